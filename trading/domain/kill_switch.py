"""The kill switch: what may be sent in which state, as one literal table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from trading.domain.order import Purpose

#: Why a new account is halted.
FIRST_HALT: Final = "fresh installation: release it with a signed override"


class ControlKind(StrEnum):
    """What an audit row of the controls records."""

    HALT_ENGAGED = "halt_engaged"
    HALT_RELEASED = "halt_released"
    OVERRIDE_REFUSED = "override_refused"
    ADOPTED = "adopted"
    RESTORED = "restored"


class LatchState(StrEnum):
    """Whether pausing the DAG `kill_switch` latches in the database itself."""

    ARMED = "armed"
    DISABLED = "disabled"
    ABSENT = "absent"
    NO_AIRFLOW_TABLES = "no_airflow_tables"


class TradingState(StrEnum):
    """What an account may do now."""

    RUNNING = "running"
    PAUSE_ENTRIES = "pause_entries"
    HALT = "halt"
    STALE = "stale"  # running, but the lease expired, or the clock or the reconciliation is stale
    UNREADABLE = "unreadable"


class Answer(StrEnum):
    """What the table says of an order."""

    YES = "yes"
    NO = "no"
    DEFERRED = "deferred"
    OVERRIDE = "override"  # only with a signed reduce_only override


_P, _A = Purpose, Answer


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

#: State → purpose → answer. Cancelling and reading are always allowed.
MAY_SEND: Final[Mapping[TradingState, Mapping[Purpose, Answer]]] = MappingProxyType(
    {
        # in the order: entry, rebalance, protective, flatten
        TradingState.RUNNING: _row(_A.YES, _A.YES, _A.YES, _A.YES),
        TradingState.PAUSE_ENTRIES: _row(_A.NO, _A.NO, _A.YES, _A.YES),
        TradingState.HALT: _row(_A.NO, _A.NO, _A.YES, _A.OVERRIDE),
        TradingState.STALE: _row(_A.DEFERRED, _A.DEFERRED, _A.YES, _A.OVERRIDE),
        TradingState.UNREADABLE: _row(_A.NO, _A.NO, _A.NO, _A.NO),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """A halt that nobody has released."""

    halt_id: int
    scope: str
    author: str
    reason: str
    engaged_at: datetime


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


def trading_state(halts: tuple[Halt, ...], *, lease_expires_at: datetime | None, at: datetime) -> TradingState:
    """The state that open halts and the lease make. Without a lease nothing was ever alive: stale."""
    if halts:
        return TradingState.HALT
    if lease_expires_at is None or lease_expires_at <= at:
        return TradingState.STALE
    return TradingState.RUNNING
