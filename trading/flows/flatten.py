"""Flatten: sell what is held while halted, under a signed reduce_only override. Each order at most once, as any other.

Round by round: reconcile, so that what is held is known; plan under the account's lock; send. A position that is larger
than one order may be takes several rounds.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trading.clock import Clock
from trading.domain.flatten import ClosingRules, Held, closing_order, granted_notional
from trading.domain.ids import Run
from trading.domain.kill_switch import Halt, HaltLevel
from trading.domain.limits import Limits
from trading.domain.money import plain
from trading.domain.order import Order, OrderState, Purpose
from trading.domain.portfolio import Portfolio
from trading.domain.scope import Scope
from trading.domain.venue_order import Step
from trading.errors import TradingHalted
from trading.flows.limits_in_force import limits_in_force
from trading.flows.market_view import MarketView, view_market
from trading.flows.order_steps import append_step
from trading.flows.recording import recorded
from trading.flows.send import IsPaused, Outcome, PauseFlag, Sender
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import MarketData, Venue

logger = logging.getLogger(__name__)

#: A position that is not closed after so many orders needs a person.
ROUNDS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class FlattenReport:
    """What became of the orders, and what is still held in scope, with the reason."""

    outcomes: Counter[str]
    left: dict[tuple[str, str], str]

    @property
    def counts(self) -> dict[str, int]:
        """Orders by what became of them, and positions that are not closed."""
        return {**{str(outcome): number for outcome, number in self.outcomes.items()}, "left": len(self.left)}


class Flatten:
    """Close the positions of a scope. `reconcile` brings answers and fills into the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        venue: Venue,
        market: MarketData,
        clock: Clock,
        *,
        account: str,
        portfolio: Portfolio,
        recv_window_ms: int,
        reconcile: Callable[[Run], object],
    ) -> None:
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._account = account
        self._portfolio = portfolio
        self._reconcile = reconcile
        self._sender = Sender(ledger, venue, clock, account=account, portfolio=portfolio, recv_window_ms=recv_window_ms)

    def run(self, run: Run, *, scope: Scope, is_paused: IsPaused | None = None) -> FlattenReport:
        """Close. Raises TradingHalted where no halt with a live reduce_only override covers anything that is held.

        `is_paused` as in placing: without it (the command line) and without an armed latch nothing is sent.
        """
        pause = PauseFlag(is_paused)
        return recorded(self._ledger, self._clock, run, "flatten", lambda: self._flatten(run, scope, pause))

    def _flatten(self, run: Run, scope: Scope, pause: PauseFlag) -> FlattenReport:
        outcomes: Counter[str] = Counter()
        left: dict[tuple[str, str], str] = {}
        for _ in range(ROUNDS):
            self._reconcile(run)
            sent, left = self._round(run, scope, pause)
            outcomes += sent
            if not sent[Outcome.SENT]:
                break
        return FlattenReport(outcomes=outcomes, left=left)

    def _round(self, run: Run, scope: Scope, pause: PauseFlag) -> tuple[Counter[str], dict[tuple[str, str], str]]:
        """Plan one order a position and send it; what became of them, and what is not closed, with the reason."""
        view = view_market(self._ledger, self._market, self._clock, self._portfolio)
        epoch, limits, pending, left = self._plan(view, scope, run)
        outcomes: Counter[str] = Counter()
        if pending:
            pause.read()
        for order in pending:
            outcome, why = self._sender.send(order, view, run, limits=limits, epoch=epoch, pause=pause)
            outcomes[outcome] += 1
            left[order.intent.strategy, order.intent.instrument] = f"{outcome} {why}".strip()
        return outcomes, left

    def _plan(
        self, view: MarketView, scope: Scope, run: Run
    ) -> tuple[int, Limits, list[Order], dict[tuple[str, str], str]]:
        left: dict[tuple[str, str], str] = {}
        with self._ledger.transaction() as books:
            account = books.accounts.lock(self._account)
            epoch, at = books.accounts.advance_epoch(self._account), self._clock.now()
            limits = limits_in_force(books, self._account, self._portfolio, run=run)
            halts, grants = books.control.halts(self._account), books.control.grants(self._account, books.now())
            if not grants:
                raise TradingHalted(_unsigned(halts))
            self._clear(books, scope, at, run)
            for held, halt in self._positions(books, scope, halts):
                of = {"account": self._account, "strategy": held.strategy, "instrument": held.instrument}
                intent, why = closing_order(
                    held,
                    view.instruments.get(held.instrument),
                    view.prices.get(held.instrument),
                    bid=view.best[held.instrument].bid if held.instrument in view.best else None,
                    largest_notional=granted_notional(halts, grants, **of),
                    at=at,
                    rules=ClosingRules(
                        account=self._account,
                        incarnation=account.incarnation,
                        halt=halt,
                        limits=limits,
                    ),
                )
                left[held.strategy, held.instrument] = why
                if intent is not None:
                    books.orders.plan(intent, run)
                    log_event(
                        logger,
                        "order_planned",
                        client_order_id=intent.client_order_id,
                        strategy=intent.strategy,
                        symbol=intent.instrument,
                        side=intent.side,
                        quantity=plain(intent.quantity),
                        purpose=intent.purpose,
                    )
            pending = [o for o in books.orders.open(self._account) if _waits(o) and _is_in(scope, o)]
        return epoch, limits, pending, left

    def _positions(self, books: Books, scope: Scope, halts: tuple[Halt, ...]) -> list[tuple[Held, Halt]]:
        """What is held in scope, each with the newest halt that covers it and gives its orders their name."""
        open_orders = books.orders.open(self._account)
        found = []
        for (strategy, instrument), position in books.fills.positions(self._account).items():
            of = {"account": self._account, "strategy": strategy, "instrument": instrument}
            covering = [halt for halt in halts if halt.level is HaltLevel.HALT and halt.covers(**of)]
            if not position.quantity or not covering or not scope.covers(**of):
                continue
            halt = covering[-1]
            made = books.orders.generations(self._account, strategy, halt.engaged_at)
            held = Held(
                strategy=strategy,
                instrument=instrument,
                quantity=position.quantity,
                open_orders=[
                    o for o in open_orders if (o.intent.strategy, o.intent.instrument) == (strategy, instrument)
                ],
                made=sum(1 for order in made if order.intent.instrument == instrument),
            )
            found.append((held, halt))
        return found

    def _clear(self, books: Books, scope: Scope, at: datetime, run: Run) -> None:
        """What waits unsent gives way: to fresh prices where it closes, to closing where it was anything else."""
        for order in books.orders.open(self._account):
            if order.state is not OrderState.PLANNED or not _is_in(scope, order):
                continue
            if order.intent.purpose is not Purpose.FLATTEN:
                append_step(
                    books, order, Step(state=OrderState.SUPERSEDED, reason="positions are closed"), at=at, run=run
                )
            elif at >= order.intent.expires_at:
                append_step(books, order, Step(state=OrderState.EXPIRED, reason="not sent in time"), at=at, run=run)


def _waits(order: Order) -> bool:
    return order.state is OrderState.PLANNED and order.intent.purpose is Purpose.FLATTEN


def _is_in(scope: Scope, order: Order) -> bool:
    intent = order.intent
    return scope.covers(account=intent.account, strategy=intent.strategy, instrument=intent.instrument)


def _unsigned(halts: tuple[Halt, ...]) -> str:
    """What is missing, and what to do."""
    standing = [halt for halt in halts if halt.level is HaltLevel.HALT]
    if not standing:
        return "nothing is closed while no halt stands: expected `trading flatten` to engage one first"
    halt = standing[-1]
    return (
        f"nothing is closed yet: expected a live reduce_only override for halt {halt.halt_id}; `trading killswitch sign"
        f" --halt {halt.halt_id} --action reduce_only --scope {halt.scope} --largest-notional AMOUNT --reason TEXT`"
        " prints one, `trading killswitch resume` takes it, then give this command again"
    )
