"""The flows candle by candle under a clock that is moved, and the compiled backtest over the same candles, compared.

What is compared is exact: decisions, intents, fills, fees, cash and equity, at every candle.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from tests.desk import LIMITS, Desk, portfolio
from tests.examples import ACCOUNT, MINUTE
from trading.clock import ManualClock
from trading.domain.backtest import Backtest, BacktestRules, market_of, run_backtest
from trading.domain.candles import aligned
from trading.domain.decision import DecisionStatus, quantised_rows
from trading.domain.ledger import Fill
from trading.domain.limits import Limits
from trading.domain.market import CandleSeries, Instrument, Panel, from_ms, to_ms
from trading.domain.money import ZERO, floor_to_step, price_from_candle
from trading.domain.order import Order
from trading.domain.portfolio import Parameters, Portfolio, StrategyPlan
from trading.domain.targets import targets_of
from trading.flows.bound_strategies import bound_strategies
from trading.flows.evaluate import Strategy
from trading.strategies import registry
from trading.strategies.bias import signals

#: Every shipped strategy, with windows short enough for a test to reach many decisions.
SHIPPED: dict[str, dict[str, Any]] = {
    "bollinger_reversion": {"window": 6, "deviations": Decimal("1.1"), "hold": 8},
    "buy_and_hold": {},
    "cross_sectional_momentum": {"lookback": 5, "skip": 1, "top": 1},
    "donchian_breakout": {"entry": 6, "exit": 3, "hold": 9},
    "inverse_volatility": {"window": 8},
    "rsi_reversion": {"period": 2, "oversold": 30, "recovered": 60, "hold": 5},
    "sma_crossover": {"fast": 3, "slow": 8},
    "time_series_momentum": {"lookback": 7, "window": 9, "target": Decimal("0.5")},
}
TIGHT: Limits = replace(
    LIMITS,
    max_order_notional=Decimal(30_000),
    max_position_notional=Decimal(45_000),
    max_gross_exposure_bps=Decimal(7_000),
    price_collar_bps=Decimal(8),
    repeated_order_count=1_000,
    max_orders_per_minute=6_000,
    max_messages_per_minute=6_000,
)
CASH = Decimal(100_000)


def planned(function: str, instruments: tuple[str, ...], limits: Limits) -> Portfolio:
    """One strategy with nine tenths of the account, and a small cash buffer."""
    plan = StrategyPlan(
        name="s",
        function=function,
        timeframe="1m",
        instruments=instruments,
        allocation=Decimal("0.9"),
        rebalance_threshold_bps=Decimal(15),
        parameters=Parameters(SHIPPED[function]),
    )
    return portfolio(plan, instruments=instruments, limits=limits, cash_buffer_bps=Decimal(100))


class LiveDesk(Desk):
    """A desk that runs the strategies of its portfolio as the pipeline binds them."""

    def strategies(self) -> list[Strategy]:
        return bound_strategies(self.portfolio)

    def ingest(self, **changes: Any) -> Any:
        return super().ingest(**({"history": 40 * MINUTE} | changes))


@dataclass
class Lived:
    """What the flows did: a row a candle."""

    closes: list[datetime] = field(default_factory=list)
    weights: list[Mapping[str, Decimal]] = field(default_factory=list)
    cash: list[Decimal] = field(default_factory=list)
    held: list[Mapping[str, Decimal]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    fills: dict[str, list[Fill]] = field(default_factory=dict)


def live_through(desk: Desk, candles: int) -> Lived:
    """One cycle two seconds after each close."""
    lived = Lived()
    for _ in range(candles):
        desk.next_minute()
        report = desk.cycle()
        assert set(report.outcomes) <= {"planned", "sent", "denied", "rejected"}, report.outcomes
        assert not desk.halts()
        decision = desk.read(lambda books: books.decisions.newest("s"))
        assert decision.status is DecisionStatus.DECIDED, decision
        lived.closes.append(decision.as_of)
        lived.weights.append(decision.weights)
        balances = desk.read(lambda books: books.entries.balances(ACCOUNT))
        lived.cash.append(balances.get(("s", "USDT"), ZERO))
        positions = desk.read(lambda books: books.fills.positions(ACCOUNT))
        lived.held.append({symbol: position.quantity for (_, symbol), position in positions.items()})
    lived.orders = desk.orders()
    for symbol in desk.portfolio.instruments:
        for fill in desk.venue.fills(symbol, since=lived.closes[0] - MINUTE, until=desk.clock.now() + MINUTE):
            lived.fills.setdefault(fill.venue_order_id, []).append(fill)
    return lived


def backtested(
    plan: Portfolio, series: Mapping[str, CandleSeries], instruments: Mapping[str, Instrument], lived: Lived
) -> Backtest:
    """The kernel over the candles that the flows lived through, and the history before them."""
    strategy = plan.strategies[0]
    last = lived.closes[-1]
    history = timedelta(minutes=60)
    panel = aligned(
        {symbol: series[symbol] for symbol in strategy.instruments},
        "1m",
        first_ms=to_ms(lived.closes[0] - history),
        end_ms=to_ms(last + MINUTE),  # the candle that the last decision met
    )
    registered = registry.get(strategy.function)
    parameters = registry.parameters(strategy.function, strategy.parameters)
    weights = signals("s", lambda given: registered.compute(given, parameters), registered.warmup(parameters), panel)
    millionths = quantised_rows("s", panel, weights)
    first = first_row(panel, lived)
    assert [weights_as_text(row) for row in millionths[first : first + len(lived.closes)].tolist()] == [
        weights_as_text(int(weight * 1_000_000) for weight in row.values()) for row in lived.weights
    ]
    cash = floor_to_step(CASH * strategy.allocation, Decimal("0.01"))
    rules = BacktestRules(
        cash=cash,
        outside=CASH - cash,
        cash_buffer_bps=plan.cash_buffer_bps,
        rebalance_threshold_bps=strategy.rebalance_threshold_bps,
        limits=plan.limits,
    )
    return run_backtest(market_of(panel, instruments, rules), targets_of("s", panel, weights).since(first), rules)


def weights_as_text(row: Iterable[int]) -> str:
    """One decision, in millionths."""
    return " ".join(map(str, row))


def first_row(panel: Panel, lived: Lived) -> int:
    """The row whose close the flows decided first."""
    return int(np.searchsorted(panel.open_ms, to_ms(lived.closes[0] - MINUTE)))


def compare(lived: Lived, backtest: Backtest) -> list[str]:
    """Hold the two equal, to the last digit; the outcomes of the orders, so that a test can see what it reached."""
    panel, first = backtest.panel, first_row(backtest.panel, lived)
    simulated = list(backtest.orders())
    assert len(simulated) == len(lived.orders)
    for ours, order in zip(simulated, lived.orders, strict=True):
        intent = order.intent
        assert (ours.as_of, ours.instrument, ours.side, ours.quantity, ours.target_quantity) == (
            intent.as_of,
            intent.instrument,
            intent.side,
            intent.quantity,
            intent.target_quantity,
        )
        fills = lived.fills.get(order.venue_order_id or "", [])
        assert sum((fill.quantity for fill in fills), ZERO) == ours.filled == order.filled_quantity
        for fill in fills:
            assert (fill.price, fill.fee, fill.fee_currency) == (ours.price, ours.fee, ours.fee_currency)
        state, reason = str(order.state), order.reason
        expected = {"filled": "filled", "partially_filled": "expired_at_venue", "expired": "expired_at_venue"}
        assert state == expected.get(ours.outcome, "rejected" if ours.outcome.startswith("rejected") else "denied")
        assert state != "denied" or reason.startswith(ours.outcome), (reason, ours.outcome)
    for number, (cash, held) in enumerate(zip(lived.cash, lived.held, strict=True)):
        row = first + number + 1
        invested = int(backtest.invested_units[row]) * backtest.grid.unit
        assert cash == backtest.equity_at(row) - invested, panel.close_time(row)
        worth = sum((held.get(one.symbol, ZERO) * price_at(panel, row, one) for one in backtest.instruments), ZERO)
        assert cash + worth == backtest.equity_at(row), panel.close_time(row)
    return [order.outcome for order in simulated]


def price_at(panel: Panel, row: int, instrument: Instrument) -> Decimal:
    """The exact close."""
    value = panel.close[row, panel.instruments.index(instrument.symbol)]
    return price_from_candle(float(value), instrument.tick_size)


def clock_before(series: Mapping[str, CandleSeries], candles: int) -> ManualClock:
    """Two seconds into the candle that follows so many of them."""
    first = next(iter(series.values()))
    return ManualClock(from_ms(int(first.open_ms[candles])) + timedelta(seconds=2))
