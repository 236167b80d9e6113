"""A backtest of the product's own nouns, one Decimal at a time: what the compiled one must equal to the last digit.

Planning by `plan_orders`, the checks by `check_order`, fills by `matching.arrive`: nothing here knows of ticks or lots.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from tests.desk import LIMITS
from tests.examples import ACCOUNT
from trading.domain.backtest import BacktestRules, SimulatedOrder
from trading.domain.decision import Decision, DecisionStatus, quantised_weights
from trading.domain.kill_switch import TradingState
from trading.domain.market import Instrument, Panel
from trading.domain.matching import MatchingRules, WorkingOrder, arrive, taker_price
from trading.domain.money import EXACT, ZERO, price_from_candle
from trading.domain.order import Order, OrderIntent, OrderState, OrderType, Side
from trading.domain.plan import SizingRules, StrategyBook
from trading.domain.planning import plan_orders, strategy_equity
from trading.domain.portfolio import StrategyPlan
from trading.domain.risk import check_order
from trading.domain.snapshot import RiskSnapshot, Verdict

_MOST = Decimal(10) ** 30
#: Limits that let every order pass.
NO_LIMITS = replace(
    LIMITS,
    max_order_notional=_MOST,
    max_position_notional=_MOST,
    max_gross_exposure_bps=_MOST,
    price_collar_bps=_MOST,
)


@dataclass
class Book:
    """What the strategy owns as its backtest goes on."""

    cash: Decimal
    held: dict[str, Decimal] = field(default_factory=dict)
    orders: list[SimulatedOrder] = field(default_factory=list)
    equity: list[Decimal] = field(default_factory=list)


class BacktestByHand:
    """One strategy over one panel; `weights` are its float64 rows, NaN where it has no signal."""

    def __init__(
        self, panel: Panel, weights: NDArray[np.float64], instruments: Mapping[str, Instrument], rules: BacktestRules
    ) -> None:
        self.panel, self.weights, self.rules = panel, weights, rules
        self.instruments = {symbol: instruments[symbol] for symbol in panel.instruments}
        self.plan = StrategyPlan(
            name="s",
            function="s",
            timeframe=panel.timeframe,
            instruments=panel.instruments,
            allocation=Decimal(1),
            rebalance_threshold_bps=rules.rebalance_threshold_bps,
        )
        self.sizing = SizingRules(
            account=ACCOUNT,
            incarnation=1,
            quote="USDT",
            cash_buffer_bps=rules.cash_buffer_bps,
            order_type=OrderType.MARKET,
            max_decision_age_s=300,
        )
        self.book = Book(cash=rules.cash)
        self.last: dict[str, Decimal] = {}

    def run(self) -> Book:
        """All candles."""
        with localcontext(EXACT):
            for row in range(len(self.panel)):
                self._candle(row)
        return self.book

    def _candle(self, row: int) -> None:
        for column, symbol in enumerate(self.panel.instruments):
            if np.isfinite(self.panel.close[row, column]):
                self.last[symbol] = self._price(self.panel.close[row, column], symbol)
        held = {symbol: quantity for symbol, quantity in self.book.held.items() if quantity}
        book = StrategyBook(
            plan=self.plan,
            decision=None,
            free_quote=self.book.cash,
            held=held,
            open_orders=[],
            served=[],
        )
        equity = strategy_equity(book, self.last)
        self.book.equity.append(equity)
        if row + 1 == len(self.panel) or np.isnan(self.weights[row]).any():
            return
        as_of = self.panel.close_time(row)
        decision = Decision(
            strategy="s",
            timeframe=self.panel.timeframe,
            as_of=as_of,
            status=DecisionStatus.DECIDED,
            weights=quantised_weights("s", self.panel.instruments, self.weights[row]),
            input_hash="",
            decided_at=as_of,
        )
        book = StrategyBook(
            plan=self.plan, decision=decision, free_quote=self.book.cash, held=held, open_orders=[], served=[]
        )
        at = as_of + timedelta(seconds=2)
        plan = plan_orders(book, self.instruments, self.last, at=at, rules=self.sizing)
        sent: list[Order] = []
        before = Book(cash=self.book.cash, held=dict(self.book.held))
        for intent in sorted(plan.intents, key=lambda one: one.side is Side.BUY):
            self._send(intent, row, before, sent, equity)

    def _send(self, intent: OrderIntent, row: int, before: Book, sent: list[Order], equity: Decimal) -> None:
        column = self.panel.instruments.index(intent.instrument)
        if not np.isfinite(self.panel.open[row + 1, column]):
            return
        market, opened = (
            self._market(intent.instrument),
            self._price(self.panel.open[row + 1, column], intent.instrument),
        )
        price = taker_price(intent.side, opened, market)
        outcome = self._checked(intent, price, before, sent, equity)
        instrument = self.instruments[intent.instrument]
        if not outcome and intent.quantity * opened < instrument.min_notional:
            outcome = "rejected: NOTIONAL"
        free = self.book.cash + self.rules.outside
        if not outcome and intent.side is Side.BUY and intent.quantity * price > free:
            outcome = "rejected: insufficient balance"
        fills = []
        if not outcome:
            sent.append(
                Order(
                    intent=intent,
                    state=OrderState.ACCEPTED,
                    sequence=2,
                    changed_at=intent.planned_at,
                    signed_at=intent.planned_at,
                )
            )
            volume = self.panel.volume[row, column]
            previous = Decimal(repr(float(volume))) if np.isfinite(volume) else ZERO
            fills = list(
                arrive(WorkingOrder(side=intent.side, quantity=intent.quantity), opened, previous, market).executions
            )
        filled = sum((fill.quantity for fill in fills), ZERO)
        fee = sum((fill.fee for fill in fills), ZERO)
        held = self.book.held.get(intent.instrument, ZERO)
        for fill in fills:
            if intent.side is Side.BUY:
                self.book.cash -= fill.notional
                self.book.held[intent.instrument] = held + fill.quantity - fill.fee
            else:
                self.book.cash += fill.notional - fill.fee
                self.book.held[intent.instrument] = held - fill.quantity
        if not outcome:
            outcome = "filled" if filled == intent.quantity else "partially_filled" if filled else "expired"
        self.book.orders.append(
            SimulatedOrder(
                as_of=intent.as_of,
                at=intent.as_of,
                instrument=intent.instrument,
                side=intent.side,
                quantity=intent.quantity,
                target_quantity=intent.target_quantity,
                outcome=outcome,
                filled=filled,
                price=price,
                fee=fee,
                fee_currency=instrument.base if intent.side is Side.BUY else instrument.quote,
            )
        )

    def _checked(self, intent: OrderIntent, price: Decimal, before: Book, sent: list[Order], equity: Decimal) -> str:
        """The first code that denies the order; empty where none does."""
        reserved = sum(
            (one.signed_remainder * self.last[one.intent.instrument] for one in sent if one.intent.side is Side.BUY),
            ZERO,
        )
        exposures = {symbol: quantity * self.last[symbol] for symbol, quantity in before.held.items()}
        for one in sent:
            symbol = one.intent.instrument
            exposures[symbol] = exposures.get(symbol, ZERO) + max(ZERO, one.signed_remainder) * self.last[symbol]
        snapshot = RiskSnapshot(
            at=intent.planned_at,
            intent=intent,
            instrument=self.instruments[intent.instrument],
            limits=self.rules.limits or NO_LIMITS,
            state=TradingState.RUNNING,
            expected_price=price,
            newest_close_at=intent.as_of,
            held=before.held.get(intent.instrument, ZERO),
            others=tuple(sent),
            exposures=exposures,
            equity=equity + self.rules.outside,
            free_quote=before.cash - reserved,
            newest_clean_at=intent.as_of,
            skew_ms=0.0,
        )
        checked = check_order(snapshot)
        assert checked.verdict in (Verdict.ALLOWED, Verdict.DENIED), checked
        return checked.codes[0] if checked.codes else ""

    def _market(self, symbol: str) -> MatchingRules:
        one = self.instruments[symbol]
        return MatchingRules(
            base=one.base,
            quote=one.quote,
            tick_size=one.tick_size,
            lot_step=one.lot_step,
            fees=self.rules.fees,
            slippage=self.rules.slippage,
            volume_share=self.rules.volume_share,
        )

    def _price(self, value: float, symbol: str) -> Decimal:
        return price_from_candle(float(value), self.instruments[symbol].tick_size)
