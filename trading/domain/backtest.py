"""A backtest: one strategy's weights over a panel, decided at each close and filled at the next open.

The rules are the product's own: sizing as in `planning`, the pre-trade checks of `risk` that look at one order, fills
as in `matching`. What it leaves out is listed in docs/STRATEGIES.md.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trading.domain import backtest_terms as words
from trading.domain.backtest_grid import Grid, grid_of, share_of_whole
from trading.domain.backtest_terms import OUTCOMES, UNSET, Filters, Terms
from trading.domain.limits import Limits
from trading.domain.market import Instrument, Panel, timeframe_s
from trading.domain.matching import FeeModel, SlippageModel, VolumeShareModel
from trading.domain.money import ZERO, plain
from trading.domain.order import Side
from trading.domain.performance import Sums
from trading.domain.targets import Targets
from trading.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class BacktestRules:
    """What a strategy starts with, what trading costs it, and how it is sized. `outside`: the account's other quote.

    `limits` are the account's; those that look at one order are kept: its notional, the price collar, position and
    gross exposure. None: no limits.
    """

    cash: Decimal = Decimal(10_000)
    fees: FeeModel = field(default_factory=FeeModel)
    slippage: SlippageModel = field(default_factory=SlippageModel)
    volume_share: VolumeShareModel = field(default_factory=VolumeShareModel)
    cash_buffer_bps: Decimal = Decimal(0)
    rebalance_threshold_bps: Decimal = Decimal(100)
    limits: Limits | None = None
    outside: Decimal = ZERO


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedOrder:
    """An order of a backtest: quantities in base, price and notional in quote, the fee in what was received."""

    as_of: datetime
    at: datetime  # the open that it met
    instrument: str
    side: Side
    quantity: Decimal
    target_quantity: Decimal
    outcome: str
    filled: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    result: Decimal = ZERO  # of a sale, against its average cost, in quote

    @property
    def notional(self) -> Decimal:
        """What was paid or received before its fee, in quote."""
        return self.filled * self.price


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """A panel in whole numbers: what every backtest of a sweep shares."""

    panel: Panel
    instruments: tuple[Instrument, ...]
    grid: Grid
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    capacity: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """What became of it: `rows` int64 (orders, COLUMNS), columns of `backtest_terms`; all else follows from them."""

    market: Market
    rules: BacktestRules
    rows: NDArray[np.int64]

    @property
    def panel(self) -> Panel:
        """The candles."""
        return self.market.panel

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """In the panel's order."""
        return self.market.instruments

    @property
    def grid(self) -> Grid:
        """The steps of its whole numbers."""
        return self.market.grid

    @property
    def units(self) -> NDArray[np.int64]:
        """The equity at each close, in whole units of `grid`."""
        return self._curves[0]

    @property
    def invested_units(self) -> NDArray[np.int64]:
        """What is invested at each close, in whole units of `grid`."""
        return self._curves[1]

    @cached_property
    def equity(self) -> NDArray[np.float64]:
        """In quote, at each close."""
        return self.units.astype(np.float64) * float(self.grid.unit)

    @cached_property
    def exposure(self) -> NDArray[np.float64]:
        """The invested share of the equity at each close."""
        return self.invested_units / np.maximum(self.units, 1)

    def sums(self, first: int) -> Sums:
        """What the figures need to know of the curve from candle `first` on, and of all trades; without the curve."""
        none = np.zeros(0, dtype=np.int64)
        sums, unit = self._follow(first, none, none), float(self.grid.unit)
        candles = len(self.panel) - first
        returns = candles - 1
        mean = sums[words.RETURNS] / returns if returns > 0 else 0.0
        around = max(sums[words.SQUARES] - returns * mean * mean, 0.0)
        return Sums(
            candles=candles,
            first=sums[words.FIRST] * unit,
            last=sums[words.LAST] * unit,
            mean=sums[words.TOTAL] / candles * unit,
            exposure=sums[words.EXPOSURE] / candles,
            mean_return=mean,
            deviation=math.sqrt(around / (returns - 1)) if returns > 1 else 0.0,
            downside=math.sqrt(sums[words.LOSSES] / returns) if returns > 0 else 0.0,
            deepest=sums[words.DEEPEST] - 1,
            longest=int(sums[words.LONGEST]),
            traded=sums[words.TRADED] * unit,
            fees=sums[words.FEES] * unit,
            sales=int(sums[words.SALES]),
            hits=int(sums[words.HITS]),
            gained=sums[words.GAINED] * unit,
            lost=sums[words.LOST] * unit,
        )

    @cached_property
    def _curves(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        units, invested = (np.zeros(len(self.panel), dtype=np.int64) for _ in range(2))
        self._follow(0, units, invested)
        return units, invested

    def _follow(self, first: int, units: NDArray[np.int64], invested: NDArray[np.int64]) -> list[float]:
        from trading.domain.backtest_curve import follow  # noqa: PLC0415 - numba, only where a backtest is run

        market, grid = self.market, self.grid
        value = np.array([grid.value(one) for one in market.instruments], dtype=np.int64)
        found: NDArray[np.float64] = follow(
            market.closes, self.rows, value, grid.units(self.rules.cash), first, units, invested
        )
        sums: list[float] = found.tolist()
        return sums

    def equity_at(self, row: int) -> Decimal:
        """The exact equity at a candle's close."""
        return int(self.units[row]) * self.grid.unit

    def orders(self, *, last: int | None = None) -> Iterator[SimulatedOrder]:
        """Every order, or the `last` so many, in the order of their sending."""
        step, atom = timedelta(seconds=timeframe_s(self.panel.timeframe)), self.grid.atom
        for row, column, quantity, target, outcome, filled, price, fee, result in self.rows[
            -last if last else 0 :
        ].tolist():
            instrument, buys = self.instruments[column], quantity > 0
            close = self.panel.close_time(row)
            yield SimulatedOrder(
                as_of=close,
                at=self.panel.close_time(row + 1) - step,
                instrument=instrument.symbol,
                side=Side.BUY if buys else Side.SELL,
                quantity=abs(quantity) * atom,
                target_quantity=target * atom,
                outcome=OUTCOMES[outcome],
                filled=filled * atom,
                price=price * instrument.tick_size,
                fee=fee * (atom if buys else self.grid.unit),
                fee_currency=instrument.base if buys else instrument.quote,
                result=result * self.grid.unit,
            )


def market_of(panel: Panel, instruments: Mapping[str, Instrument], rules: BacktestRules) -> Market:
    """The panel for these rules. Raises ConfigurationError for filters that whole numbers cannot hold."""
    chosen = tuple(instruments[symbol] for symbol in panel.instruments)
    grid = grid_of(chosen, rules.fees.places)
    return Market(
        panel=panel,
        instruments=chosen,
        grid=grid,
        opens=grid.ticks(panel.open, chosen),
        closes=grid.ticks(panel.close, chosen),
        capacity=grid.capacity(panel.volume, chosen, rules.volume_share),
    )


def run_backtest(market: Market, targets: Targets, rules: BacktestRules) -> Backtest:
    """Trade a strategy's targets over the market that `market_of` made for these rules.

    Raises ConfigurationError for shares that whole numbers cannot hold, DataError for money beyond 64 bits.
    """
    from trading.domain.backtest_kernel import simulate  # noqa: PLC0415 - numba, only where a backtest is run

    panel, chosen, grid = market.panel, market.instruments, market.grid
    filters, terms = _filters(grid, chosen), _terms(grid, rules)
    rows, overflow = simulate(
        market.opens, market.closes, market.capacity, targets.rows, targets.millionths, filters, terms
    )
    if overflow >= 0:
        raise DataError(
            f"the equity outgrew {plain(grid.most)} {chosen[0].quote} at the close of"
            f" {panel.close_time(overflow).isoformat()}, which is all that 64 bits can count in steps of"
            f" {plain(grid.unit)}: begin with less cash"
        )
    return Backtest(market=market, rules=rules, rows=rows)


def _filters(grid: Grid, instruments: tuple[Instrument, ...]) -> NDArray[np.int64]:
    """A row of `Filters` for each instrument."""

    def most(instrument: Instrument) -> int:
        allowed = [limit for limit in (instrument.max_quantity, instrument.market_max_quantity) if limit]
        return grid.atoms(min(allowed)) if allowed else UNSET

    rows = [
        Filters(
            value=grid.value(one),
            lot=grid.atoms(one.lot_step),
            market_lot=grid.atoms(one.market_lot_step or one.lot_step),
            least=grid.atoms(one.min_quantity),
            most=most(one),
            least_notional=grid.units(one.min_notional),
        )
        for one in instruments
    ]
    return np.array(rows, dtype=np.int64)


def _terms(grid: Grid, rules: BacktestRules) -> Terms:
    limits = rules.limits

    def most_money(name: str) -> int:
        # Beyond all that can be counted a limit binds nothing.
        return UNSET if limits is None else grid.units(min(getattr(limits, name), grid.most))

    def most_share(name: str) -> int:
        return UNSET if limits is None else share_of_whole(getattr(limits, name), name)

    return Terms(
        cash=grid.units(rules.cash),
        outside=grid.units(rules.outside),
        fee=share_of_whole(rules.fees.taker_bps, "fee"),
        fee_base_step=grid.fee_atoms,
        fee_quote_step=grid.fee_units,
        slippage=share_of_whole(rules.slippage.bps, "slippage"),
        investable=share_of_whole(10_000 - rules.cash_buffer_bps, "cash_buffer_bps"),
        threshold=share_of_whole(rules.rebalance_threshold_bps, "rebalance_threshold_bps"),
        collar=most_share("price_collar_bps"),
        most_order=most_money("max_order_notional"),
        most_position=most_money("max_position_notional"),
        most_gross=most_share("max_gross_exposure_bps"),
    )
