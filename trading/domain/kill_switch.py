"""The kill switch: what may be sent in which state, as one literal table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from trading.domain.order import Purpose
from trading.domain.scope import Scope

#: Why a new account is halted.
FIRST_HALT: Final = "fresh installation: release it with a signed override"


class ControlKind(StrEnum):
    """What an audit row of the controls records."""

    HALT_ENGAGED = "halt_engaged"
    HALT_RELEASED = "halt_released"
    OVERRIDE_REFUSED = "override_refused"
    ADOPTED = "adopted"
    RESTORED = "restored"
    LIMITS_APPLIED = "limits_applied"
    STRATEGY_DISABLED = "strategy_disabled"
    STRATEGY_ENABLED = "strategy_enabled"
    DEPLOYED = "deployed"
    HALT_EFFECTIVE = "halt_effective"
    HALT_VERIFIED = "halt_verified"
    OVERRIDE_SIGNED = "override_signed"  # half a release: the first of two signatures
    REDUCE_ONLY_GRANTED = "reduce_only_granted"


#: What is only told: appended as it is, it neither halts nor releases, and grants nothing.
TOLD: Final = (
    ControlKind.OVERRIDE_REFUSED,
    ControlKind.ADOPTED,
    ControlKind.RESTORED,
    ControlKind.LIMITS_APPLIED,
    ControlKind.STRATEGY_DISABLED,
    ControlKind.STRATEGY_ENABLED,
    ControlKind.DEPLOYED,
)
#: What becomes of a halt on one account, each at most once.
EFFECTS: Final = (ControlKind.HALT_EFFECTIVE, ControlKind.HALT_VERIFIED)


class HaltLevel(StrEnum):
    """How much a halt forbids. These words are the same in commands, forms, pages and alerts."""

    PAUSE_ENTRIES = "pause-entries"  # exposure may fall, not rise
    HALT = "halt"  # nothing is sent


class LatchState(StrEnum):
    """Whether pausing the DAG `kill_switch` latches in the database itself."""

    ARMED = "armed"
    DISABLED = "disabled"
    ABSENT = "absent"
    NO_AIRFLOW_TABLES = "no_airflow_tables"


class TradingState(StrEnum):
    """What an account may do now."""

    RUNNING = "running"
    PAUSE_ENTRIES = "pause-entries"
    HALT = "halt"
    STALE = "stale"  # running, but the lease expired, or the clock or the reconciliation is stale
    UNREADABLE = "unreadable"  # nobody can say whether Airflow paused; without a database no order is even made


class Answer(StrEnum):
    """What the table says of an order."""

    YES = "yes"
    NO = "no"
    DEFERRED = "deferred"
    OVERRIDE = "override"  # only with a signed reduce_only override


def _row(entry: Answer, rebalance: Answer, protective: Answer, flatten: Answer) -> Mapping[Purpose, Answer]:
    return MappingProxyType(
        {
            Purpose.ENTRY: entry,
            Purpose.REBALANCE: rebalance,
            Purpose.PROTECTIVE: protective,
            Purpose.FLATTEN: flatten,
        }
    )


_A = Answer

#: State → purpose → answer. Cancelling and reading are always allowed. Whatever may be sent in another state than
#: running may only lower what is held, by no more than is held and not offered already: the checks look at that.
MAY_SEND: Final[Mapping[TradingState, Mapping[Purpose, Answer]]] = MappingProxyType(
    {
        # in the order: entry, rebalance, protective, flatten
        TradingState.RUNNING: _row(_A.YES, _A.YES, _A.YES, _A.YES),
        TradingState.PAUSE_ENTRIES: _row(_A.NO, _A.YES, _A.YES, _A.YES),
        TradingState.HALT: _row(_A.NO, _A.NO, _A.YES, _A.OVERRIDE),
        TradingState.STALE: _row(_A.DEFERRED, _A.DEFERRED, _A.YES, _A.OVERRIDE),
        TradingState.UNREADABLE: _row(_A.NO, _A.NO, _A.NO, _A.NO),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """A halt that nobody has released.

    `effective_at`: no order that it forbids is accepted from then on; `verified_at`: the venue showed none that it
    takes. Both are of one account, None until somebody has seen to it.
    """

    halt_id: int
    scope: str
    author: str
    reason: str
    engaged_at: datetime
    level: HaltLevel = HaltLevel.HALT
    effective_at: datetime | None = None
    verified_at: datetime | None = None

    @property
    def effect(self) -> str:
        """How far it is, in the words of commands and forms."""
        return "entries cancelled" if self.verified_at else "effective" if self.effective_at else "not effective yet"

    def covers(self, *, account: str, strategy: str = "", instrument: str = "") -> bool:
        """Whether it forbids orders of these; without strategy and instrument, whether it does for all of them."""
        return Scope.parse(self.scope).covers(account=account, strategy=strategy, instrument=instrument)


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlEvent:
    """One audit row of the controls. `halt_id` names the halt that a release or a refusal is about."""

    kind: ControlKind
    author: str
    reason: str
    at: datetime
    run_id: str
    dag_id: str
    scope: str = "all"
    halt_id: int | None = None
    detail: Mapping[str, str] = field(default_factory=dict)

    @property
    def level(self) -> HaltLevel:
        """How much a halt forbids; everything, where it does not say (a pause in Airflow)."""
        return HaltLevel(self.detail.get("level", HaltLevel.HALT))


def trading_state(
    halts: Iterable[Halt],
    *,
    lease_expires_at: datetime | None,
    at: datetime,
    account: str,
    strategy: str = "",
    instrument: str = "",
) -> TradingState:
    """The state that open halts and the lease make for one order, or for an account as a whole.

    Without a lease nothing was ever alive: stale.
    """
    levels = {h.level for h in halts if h.covers(account=account, strategy=strategy, instrument=instrument)}
    if HaltLevel.HALT in levels:
        return TradingState.HALT
    if lease_expires_at is None or lease_expires_at <= at:
        return TradingState.STALE  # whatever entries' pause allows, only a live desk may do
    return TradingState.PAUSE_ENTRIES if levels else TradingState.RUNNING
