"""Halt: append it to the audit log. Anybody may stop; nothing here asks for a signature or waits for a lock.

What rests at the venue is `enforce_halt`'s to cancel: it is woken by the halt's own commit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trading.clock import Clock
from trading.domain.halt_effect import HaltEffect, ProtectiveOnHalt, halt_effect
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind, HaltLevel
from trading.domain.kill_switch import Halt as StandingHalt
from trading.domain.portfolio import Portfolio
from trading.domain.scope import Scope
from trading.errors import CommitUnknown, ConfigurationError
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.control import EVERY_ACCOUNT
from trading.ports.ledger import Books, Ledger

logger = logging.getLogger(__name__)

#: A run that halts again looks this far back for its own halt.
_HISTORY: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class HaltReport:
    """The halt that now stands."""

    halt_id: int

    @property
    def counts(self) -> dict[str, int]:
        """One halt."""
        return {"halts": 1}


class ScopeUnknown(ConfigurationError):
    """A halt of it would stop nothing."""


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

    def require_known(self, scope: Scope, portfolio: Callable[[], Portfolio]) -> None:
        """Raise ScopeUnknown for a strategy or instrument that neither the portfolio nor the books name.

        A typing error would stop nothing. `all` and `account:` ask for no portfolio: a broken file keeps nobody from
        stopping.
        """
        if scope.kind not in ("strategy", "instrument"):
            return
        with self._ledger.transaction() as books:
            traded = [*books.fills.positions(self._account)]
            traded += [(o.intent.strategy, o.intent.instrument) for o in books.orders.open(self._account)]
        if scope.kind == "strategy":
            known = {plan.name for plan in portfolio().strategies} | {strategy for strategy, _ in traded}
        else:
            known = set(portfolio().instruments) | {instrument for _, instrument in traded}
        if scope.name not in known:
            raise ScopeUnknown(f"{scope}: expected one of {', '.join(sorted(known))}, or scope all")

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
        try:
            halt_id = self._engage(run, author, reason, scope=scope, level=level)
        except CommitUnknown:  # it may stand: looked for by its run, and appended once
            halt_id = self._engage(run, author, reason, scope=scope, level=level)
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

    def _engage(self, run: Run, author: str, reason: str, *, scope: Scope, level: HaltLevel) -> int:
        """The id of the halt; of the one that stands, where this run has engaged it before."""
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
            standing = self._standing(books, event)
            return standing or books.control.engage(self._owner(books, scope), event)

    def _standing(self, books: Books, event: ControlEvent) -> int | None:
        said = (event.author, event.reason, event.scope, event.level)
        alike = [
            halt.halt_id
            for halt in books.control.halts(self._account)
            if (halt.author, halt.reason, halt.scope, halt.level) == said
        ]
        past = books.control.history(self._account, _HISTORY) if alike else []
        return next((one.halt_id for one in past if one.run_id == event.run_id and one.halt_id in alike), None)

    def _owner(self, books: Books, scope: Scope) -> str:
        """The account whose halt it is: everything is every account's, and strategies and instruments are ours."""
        if scope.kind == "all":
            return EVERY_ACCOUNT
        if scope.kind == "account" and books.accounts.get(scope.name) is None:
            raise ConfigurationError(
                f"account {scope.name!r} was never opened: expected {self._account}, or scope all for everything"
            )
        return scope.name if scope.kind == "account" else self._account
