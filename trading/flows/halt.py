"""Halt: append it to the audit log. Anybody may stop; nothing here asks for a signature or waits for a lock.

What rests at the venue is `enforce_halt`'s to cancel: it is woken by the halt's own commit.
"""

import logging
from dataclasses import dataclass

from trading.clock import Clock
from trading.domain.halt_effect import HaltEffect, ProtectiveOnHalt, halt_effect
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind, HaltLevel
from trading.domain.kill_switch import Halt as StandingHalt
from trading.domain.scope import Scope
from trading.errors import ConfigurationError
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.control import EVERY_ACCOUNT
from trading.ports.ledger import Books, Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class HaltReport:
    """The halt that now stands."""

    halt_id: int

    @property
    def counts(self) -> dict[str, int]:
        """One halt."""
        return {"halts": 1}


EVERYTHING = Scope(kind="all")


class Halt:
    """Forbid orders from this moment on: all of them, or those of one account, strategy or instrument."""

    def __init__(self, ledger: Ledger, clock: Clock, *, account: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._account = account

    def run(
        self,
        run: Run,
        *,
        author: str,
        reason: str,
        scope: Scope = EVERYTHING,
        level: HaltLevel = HaltLevel.HALT,
    ) -> HaltReport:
        """Engage a halt; senders see it before their next POST. Raises ConfigurationError for an unknown account."""
        return recorded(
            self._ledger, self._clock, run, "halt", lambda: self._halt(run, author, reason, scope=scope, level=level)
        )

    def preview(self, scope: Scope, level: HaltLevel, *, protective_on_halt: ProtectiveOnHalt) -> HaltEffect:
        """What such a halt would do now. Raises ConfigurationError for a scope that nothing here is in.

        A halt of a name that nobody has would stop nothing, while whoever engaged it believes that it did.
        """
        with self._ledger.transaction() as books:
            self._owner(books, scope)
            halt = StandingHalt(halt_id=0, scope=str(scope), level=level, author="", reason="", engaged_at=books.now())
            positions = books.fills.positions(self._account)
            orders = books.orders.open(self._account)
        held = {key: position.quantity for key, position in positions.items()}
        return halt_effect(halt, orders, held, account=self._account, protective_on_halt=protective_on_halt)

    def _halt(self, run: Run, author: str, reason: str, *, scope: Scope, level: HaltLevel) -> HaltReport:
        with self._ledger.transaction() as books:
            event = ControlEvent(
                kind=ControlKind.HALT_ENGAGED,
                author=author,
                reason=reason,
                at=books.now(),
                run_id=run.run_id,
                dag_id=run.dag_id,
                scope=str(scope),
                detail={"level": level},
            )
            halt_id = books.control.engage(self._owner(books, scope), event)
        log_event(
            logger,
            "halt_engaged",
            level=logging.ERROR,
            halt_id=halt_id,
            author=author,
            reason=reason,
            scope=str(scope),
            halt_level=level,
        )
        return HaltReport(halt_id=halt_id)

    def _owner(self, books: Books, scope: Scope) -> str:
        """The account whose halt it is: everything is every account's, and strategies and instruments are ours."""
        if scope.kind == "all":
            return EVERY_ACCOUNT
        if scope.kind == "account" and books.accounts.get(scope.name) is None:
            raise ConfigurationError(
                f"account {scope.name!r} was never opened: expected {self._account}, or scope all for everything"
            )
        return scope.name if scope.kind == "account" else self._account
