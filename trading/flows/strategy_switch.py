"""A strategy that repeats itself is disabled in the sender's own transaction; only a person enables it again."""

import logging
from dataclasses import dataclass
from datetime import datetime

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.order import OrderIntent
from trading.errors import ConfigurationError
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger

logger = logging.getLogger(__name__)


def disable_strategy(books: Books, intent: OrderIntent, why: str, *, at: datetime, run: Run) -> None:
    """Append that the strategy may send nothing but ways out, until a person enables it."""
    event = _event(ControlKind.STRATEGY_DISABLED, intent.strategy, author="limits", reason=why, at=at, run=run)
    books.control.record(intent.account, event)
    log_event(logger, "strategy_disabled", level=logging.ERROR, strategy=intent.strategy, reason=why)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableReport:
    """The strategy that may trade again, and why it could not."""

    strategy: str
    was: str

    @property
    def counts(self) -> dict[str, int]:
        """One strategy."""
        return {"enabled": 1}


class EnableStrategy:
    """Let a disabled strategy trade again, in a person's name; its breaker counts from here on."""

    def __init__(self, ledger: Ledger, clock: Clock, *, account: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._account = account

    def run(self, run: Run, strategy: str, *, person: str, reason: str) -> EnableReport:
        """Enable it. Raises ConfigurationError where it is not disabled, or nobody signs for it."""
        return recorded(
            self._ledger, self._clock, run, "enable_strategy", lambda: self._enable(run, strategy, person, reason)
        )

    def _enable(self, run: Run, strategy: str, person: str, reason: str) -> EnableReport:
        if not person.strip() or not reason.strip():
            raise ConfigurationError("enabling a strategy names a person and a reason: expected both, one is empty")
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            disabled = books.risk.standing(self._account).disabled
            if strategy not in disabled:
                names = ", ".join(sorted(disabled)) or "none is"
                raise ConfigurationError(f"strategy {strategy!r} is not disabled: expected one that is ({names})")
            kind = ControlKind.STRATEGY_ENABLED
            event = _event(kind, strategy, author=person, reason=reason, at=books.now(), run=run)
            books.control.record(self._account, event)
        log_event(logger, "strategy_enabled", level=logging.WARNING, strategy=strategy, person=person, reason=reason)
        return EnableReport(strategy=strategy, was=disabled[strategy])


def _event(kind: ControlKind, strategy: str, *, author: str, reason: str, at: datetime, run: Run) -> ControlEvent:
    return ControlEvent(
        kind=kind,
        author=author,
        reason=reason,
        at=at,
        run_id=run.run_id,
        dag_id=run.dag_id,
        scope=f"strategy:{strategy}",
    )
