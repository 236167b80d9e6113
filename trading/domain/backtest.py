"""A backtest: one strategy's weights over a panel, decided at each close and filled at the next open.

The rules are the product's own: sizing as in `planning`, the pre-trade checks of `risk` that look at one order, fills
as in `matching`. What it leaves out is listed in docs/STRATEGIES.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest_grid import Grid, grid_of, share_of_whole
from trading.domain.backtest_terms import FEE, FILLED, INSTRUMENT, OUTCOMES, PRICE, QUANTITY, RESULT, UNSET, Terms
from trading.domain.limits import Limits
from trading.domain.market import Instrument, Panel, timeframe_s
from trading.domain.matching import FeeModel, SlippageModel, VolumeShareModel
from trading.domain.money import ZERO, plain
from trading.domain.order import Side
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


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """What became of it. Equity and invested: whole units of `grid`, int64, one a candle, at its close.

    `orders` int64 (orders, COLUMNS): the columns of `backtest_terms`.
    """

    panel: Panel
    instruments: tuple[Instrument, ...]
    grid: Grid
    rules: BacktestRules
    units: NDArray[np.int64]
    invested_units: NDArray[np.int64]
    rows: NDArray[np.int64]

    @cached_property
    def equity(self) -> NDArray[np.float64]:
        """In quote, at each close."""
        return self.units.astype(np.float64) * float(self.grid.unit)

    @cached_property
    def exposure(self) -> NDArray[np.float64]:
        """The invested share of the equity at each close."""
        return self.invested_units / np.maximum(self.units, 1)

    @cached_property
    def traded(self) -> NDArray[np.float64]:
        """The notional of each order's fills, in quote."""
        return self._whole(FILLED) * self._paid

    @cached_property
    def fees(self) -> NDArray[np.float64]:
        """What each order's fills cost in fees, in quote at their price."""
        bought = self.rows[:, QUANTITY] > 0
        return self._whole(FEE) * (bought * self._paid + ~bought * float(self.grid.unit))

    @cached_property
    def results(self) -> NDArray[np.float64]:
        """What each sale gained or lost against its average cost, in quote."""
        sold = (self.rows[:, QUANTITY] < 0) & (self.rows[:, FILLED] > 0)
        return self._whole(RESULT)[sold] * float(self.grid.unit)

    @property
    def _paid(self) -> NDArray[np.float64]:
        """Quote an atom, at each order's price."""
        steps: NDArray[np.float64] = np.array([float(one.tick_size) for one in self.instruments])
        return self._whole(PRICE) * steps[self.rows[:, INSTRUMENT]] * float(self.grid.atom)

    def _whole(self, column: int) -> NDArray[np.float64]:
        return self.rows[:, column].astype(np.float64)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """A panel in whole numbers: what every backtest of a sweep shares."""

    panel: Panel
    instruments: tuple[Instrument, ...]
    grid: Grid
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    capacity: NDArray[np.int64]


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


def run_backtest(market: Market, millionths: NDArray[np.int64], rules: BacktestRules) -> Backtest:
    """Trade a strategy's quantised weights (`quantised_rows`) over the market that `market_of` made for these rules.

    Raises ConfigurationError for shares that whole numbers cannot hold, DataError for money beyond 64 bits.
    """
    from trading.domain.backtest_kernel import simulate  # noqa: PLC0415 - numba, only where a backtest is run

    panel, chosen, grid = market.panel, market.instruments, market.grid
    terms = _terms(grid, chosen, rules)
    units, invested, rows, overflow = simulate(market.opens, market.closes, market.capacity, millionths, terms)
    if overflow >= 0:
        raise DataError(
            f"the equity outgrew {plain(grid.most)} {chosen[0].quote} at the close of"
            f" {panel.close_time(overflow).isoformat()}, which is all that 64 bits can count in steps of"
            f" {plain(grid.unit)}: begin with less cash"
        )
    return Backtest(
        panel=panel,
        instruments=chosen,
        grid=grid,
        rules=rules,
        units=units,
        invested_units=invested,
        rows=rows,
    )


def _terms(grid: Grid, instruments: tuple[Instrument, ...], rules: BacktestRules) -> Terms:
    def atoms(quantities: list[Decimal]) -> NDArray[np.int64]:
        return np.array([grid.atoms(quantity) for quantity in quantities], dtype=np.int64)

    def most(instrument: Instrument) -> int:
        allowed = [limit for limit in (instrument.max_quantity, instrument.market_max_quantity) if limit]
        return grid.atoms(min(allowed)) if allowed else UNSET

    limits = rules.limits

    def most_money(name: str) -> int:
        # Beyond all that can be counted a limit binds nothing.
        return UNSET if limits is None else grid.units(min(getattr(limits, name), grid.most))

    def most_share(name: str) -> int:
        return UNSET if limits is None else share_of_whole(getattr(limits, name), name)

    return Terms(
        value=np.array([grid.value(one) for one in instruments], dtype=np.int64),
        lot=atoms([one.lot_step for one in instruments]),
        market_lot=atoms([one.market_lot_step or one.lot_step for one in instruments]),
        least=atoms([one.min_quantity for one in instruments]),
        most=np.array([most(one) for one in instruments], dtype=np.int64),
        least_notional=np.array([grid.units(one.min_notional) for one in instruments], dtype=np.int64),
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
