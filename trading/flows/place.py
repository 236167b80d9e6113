"""Place: decisions into orders, each at most once.

Plan every strategy under the account's lock, then hand each intent to the sender.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.clock import Clock
from trading.domain.conformance import ConformanceRequired, Target
from trading.domain.ids import Run
from trading.domain.limits import Limits
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderState, OrderType, Side
from trading.domain.plan import PlanLine, SizingRules, StrategyBook
from trading.domain.planning import plan_orders
from trading.domain.portfolio import Portfolio, StrategyPlan
from trading.domain.position import Position
from trading.domain.venue_order import Step
from trading.errors import TradingHalted
from trading.flows.allocation import allocate
from trading.flows.limits_in_force import limits_in_force
from trading.flows.losses import guard_losses
from trading.flows.lost_rows import check_memory
from trading.flows.market_view import MarketView, view_market
from trading.flows.order_steps import append_step
from trading.flows.recording import recorded
from trading.flows.seen_pause import latch_seen_pause
from trading.flows.send import IsPaused, Outcome, PauseFlag, Sender
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import MarketData, Venue
from trading.ports.witness import Witness

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceReport:
    """What one placing did, by what became of the orders, and why nothing was planned where nothing was."""

    outcomes: Counter[str]
    lines: tuple[PlanLine, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Orders by what became of them."""
        return {str(outcome): number for outcome, number in self.outcomes.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Standing:
    """The account's books before anything is planned: no strategy's planning changes another one's part of them."""

    balances: dict[tuple[str, str], Decimal]
    positions: dict[tuple[str, str], Position]
    open_orders: list[Order]


class Place:
    """Turn the newest decisions into orders."""

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
        witness: Witness | None = None,
        required: ConformanceRequired | None = None,
        require_room: Callable[[], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._witness = witness
        self._required = required
        self._require_room = require_room
        self._market = market
        self._clock = clock
        self._account = account
        self._portfolio = portfolio
        self._sender = Sender(ledger, venue, clock, account=account, portfolio=portfolio, recv_window_ms=recv_window_ms)

    def run(self, run: Run, is_paused: IsPaused | None = None) -> PlaceReport:
        """Plan, then send. Raises TradingHalted where the kill switch kept everything back.

        `is_paused` asks Airflow whether the DAG `kill_switch` is paused; without it (the command line) only the latch
        in the database can tell, and where that is not armed nothing is sent.
        """
        return recorded(self._ledger, self._clock, run, "place", lambda: self._place(run, PauseFlag(is_paused)))

    def _place(self, run: Run, pause: PauseFlag) -> PlaceReport:
        if self._require_room is not None:
            self._require_room()  # what cannot be written down is not sent
        self._require_conformance()
        forgotten = check_memory(self._ledger, self._witness, account=self._account, run=run, flow="place")
        if forgotten:
            raise TradingHalted(forgotten)
        view = view_market(self._ledger, self._market, self._clock, self._portfolio)
        epoch, limits, pending, lines = self._plan(view, run)
        outcomes: Counter[str] = Counter(planned=sum(1 for line in lines if line.client_order_id))
        if pending:
            pause.read()
        held_back = ""
        for order in pending:
            outcome, why = self._sender.send(order, view, run, limits=limits, epoch=epoch, pause=pause)
            outcomes[outcome] += 1
            held_back = held_back or (why if outcome is Outcome.HALTED else "")
        if pause.paused:
            latch_seen_pause(self._ledger, self._account, self._clock, run)
        if held_back and outcomes[Outcome.HALTED] == len(pending):
            raise TradingHalted(f"{len(pending)} orders were ready and none was sent: {held_back}")
        return PlaceReport(outcomes=outcomes, lines=tuple(lines))

    def _require_conformance(self) -> None:
        """Where orders leave the house, the venue has to have passed. Raises ConfigurationError."""
        if self._required is not None:
            with self._ledger.transaction() as books:
                self._required.check(books.conformances.newest(self._required.venue, Target.SANDBOX))

    def _plan(self, view: MarketView, run: Run) -> tuple[int, Limits, list[Order], list[PlanLine]]:
        """Advance the epoch, plan every strategy, and give back all that waits to be sent, sales first."""
        at = self._clock.now()
        lines: list[PlanLine] = []
        with self._ledger.transaction() as books:
            account = books.accounts.lock(self._account)
            epoch = books.accounts.advance_epoch(self._account)
            limits = limits_in_force(books, self._account, self._portfolio, run=run)
            allocate(books, self._account, self._portfolio, view, at=at, run=run)
            guard_losses(books, self._account, self._portfolio, limits, run=run, prices=view.prices)
            rules = SizingRules(
                account=self._account,
                incarnation=account.incarnation,
                quote=self._portfolio.currency,
                cash_buffer_bps=self._portfolio.cash_buffer_bps,
                order_type=OrderType(self._portfolio.order_type),
                max_decision_age_s=limits.max_decision_age_s,
            )
            standing = _Standing(
                balances=books.entries.balances(self._account),
                positions=books.fills.positions(self._account),
                open_orders=books.orders.open(self._account),
            )
            for strategy in self._portfolio.strategies:
                if strategy.enabled:
                    lines += self._plan_one(books, strategy, standing, view, rules, at=at, run=run)
            self._expire(books, account.incarnation, at, run)
            news = books.orders.record_lines(self._account, lines, run)
            pending = [o for o in books.orders.open(self._account) if o.state is OrderState.PLANNED]
        _log_lines(news)
        # Sales first: they lower exposure and free what buys may need.
        return epoch, limits, sorted(pending, key=lambda order: order.intent.side is Side.BUY), lines

    def _plan_one(
        self,
        books: Books,
        strategy: StrategyPlan,
        standing: "_Standing",
        view: MarketView,
        rules: SizingRules,
        *,
        at: datetime,
        run: Run,
    ) -> Sequence[PlanLine]:
        """Store one strategy's intents; those that they replace end in the same transaction."""
        decision = books.decisions.newest(strategy.name)
        # A decision may be older than the portfolio file, and name what is not traded any more.
        named = dict.fromkeys((*strategy.instruments, *(decision.weights if decision else ())))
        lacking = [symbol for symbol in named if symbol not in view.prices]
        if lacking:
            nothing = "no candle is stored"
            return [PlanLine(strategy=strategy.name, instrument=s, as_of=None, outcome=nothing) for s in lacking]
        held = {
            symbol: position.quantity
            for (name, symbol), position in standing.positions.items()
            if name == strategy.name and position.quantity and symbol in view.prices
        }
        book = StrategyBook(
            plan=strategy,
            decision=decision,
            free_quote=standing.balances.get((strategy.name, rules.quote), ZERO),
            held=held,
            open_orders=[o for o in standing.open_orders if o.intent.strategy == strategy.name],
            served=books.orders.generations(self._account, strategy.name, decision.as_of) if decision else [],
        )
        plan = plan_orders(book, view.instruments, view.prices, at=at, rules=rules)
        for order in plan.superseded:
            append_step(books, order, Step(state=OrderState.SUPERSEDED, reason="a newer decision"), at=at, run=run)
        for intent in plan.intents:
            books.orders.plan(intent, run)
            log_event(
                logger,
                "order_planned",
                client_order_id=intent.client_order_id,
                strategy=intent.strategy,
                symbol=intent.instrument,
                side=intent.side,
                quantity=str(intent.quantity),
                as_of=intent.as_of,
                generation=intent.generation,
            )
        return plan.lines

    def _expire(self, books: Books, incarnation: int, at: datetime, run: Run) -> None:
        """Wishes whose time is over end unsent, and so do those from before a wipe or a restore: nobody knows them."""
        for order in books.orders.open(self._account):
            if order.state is not OrderState.PLANNED:
                continue
            if order.intent.incarnation != incarnation:
                step = Step(state=OrderState.SUPERSEDED, reason=f"planned in incarnation {order.intent.incarnation}")
                append_step(books, order, step, at=at, run=run)
            elif at >= order.intent.expires_at:
                append_step(books, order, Step(state=OrderState.EXPIRED, reason="not sent in time"), at=at, run=run)


def _log_lines(lines: Sequence[PlanLine]) -> None:
    """Each instrument's answer to "why (no) order?", once a decision and not at each look at what is left of it."""
    for line in lines:
        log_event(
            logger,
            "target_planned",
            strategy=line.strategy,
            symbol=line.instrument,
            as_of=line.as_of,
            weight=str(line.weight),
            delta=str(line.delta),
            outcome=line.outcome,
            client_order_id=line.client_order_id or None,
        )
