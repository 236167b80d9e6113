"""Backtests: a strategy over stored candles, alone or over a grid of parameters, beside buying and holding."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest import Backtest, BacktestRules, Market, market_of, run_backtest
from trading.domain.backtest_terms import FILLED
from trading.domain.market import Instrument, Panel, candles_per_year, timeframe_s, to_ms
from trading.domain.money import BPS
from trading.domain.overfitting import windows
from trading.domain.performance import Performance, figures_of, performance, period_returns, sharpe
from trading.domain.targets import targets_of
from trading.errors import ConfigurationError, DataError
from trading.strategies import registry
from trading.strategies.bias import answer
from trading.strategies.parameters import Parameters
from trading.strategies.rolling import full_stretches

#: A sweep has at most this many combinations.
MOST_COMBINATIONS: Final = 20_000
#: Two threads share a sweep: the kernel and numpy let go of the interpreter's lock.
_THREADS: Final = 2
_AHEAD: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Candles:
    """What a backtest runs over: a panel on its grid, the filters of its instruments, and where they come from."""

    panel: Panel
    instruments: Mapping[str, Instrument]
    source: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """One backtest with its figures, measured from candle `first` on: the first that it decided."""

    strategy: str
    parameters: Parameters
    warmup: int
    candles: Candles
    backtest: Backtest
    first: int

    @cached_property
    def equity(self) -> NDArray[np.float64]:
        """In quote, at each close from `first` on."""
        return self.backtest.equity[self.first :]

    @cached_property
    def close_ms(self) -> NDArray[np.int64]:
        """When those candles closed."""
        panel = self.candles.panel
        return panel.open_ms[self.first :] + timeframe_s(panel.timeframe) * 1000

    @cached_property
    def figures(self) -> Performance:
        """What the strategy came to."""
        return figures_of(self.backtest.sums(self.first), candles_per_year(self.candles.panel.timeframe))

    @cached_property
    def held(self) -> NDArray[np.float64]:
        """The equity of who buys an equal share of each instrument at the first open and keeps it; costs included."""
        panel, rules = self.candles.panel, self.backtest.rules
        close, opened = panel.close[self.first :], panel.open[self.first :]
        cost = (1 + float(rules.slippage.bps * BPS)) / (1 - float(rules.fees.taker_bps * BPS))
        cash = float(rules.cash)
        equity = np.full(len(close), cash)
        if len(close) > 1:
            worth = _carried(close) / (_carried(opened[1:][::-1])[-1] * cost)
            equity[1:] = cash * worth[1:].mean(axis=1)
        return equity

    @cached_property
    def held_figures(self) -> Performance:
        """What buying and holding came to."""
        none = np.zeros(0)
        return performance(
            self.held,
            candles_a_year=candles_per_year(self.candles.panel.timeframe),
            exposure=np.ones(len(self.held)),
            traded=none,
            results=none,
            fees=none,
        )

    def returns_by(self, unit: str) -> Mapping[str, float]:
        """By month (`M`) or year (`Y`)."""
        return period_returns(self.equity, self.close_ms, unit)

    @cached_property
    def fills(self) -> int:
        """Orders that filled, at least in part."""
        return int((self.backtest.rows[:, FILLED] > 0).sum())


def study(
    name: str,
    parameters: Parameters,
    candles: Candles,
    rules: BacktestRules,
    *,
    since: datetime | None = None,
    market: Market | None = None,
) -> Study:
    """Backtest strategy `name`. Candles before `since` are its history only. `market` spares making it again.

    Raises DataError where there is nothing to decide on, and for weights that are not spot, with their row.
    """
    registered, panel = registry.get(name), candles.panel
    warmup = registered.warmup(parameters)
    weights = answer(name, lambda given: registered.compute(given, parameters), panel)
    targets = targets_of(name, panel, weights, full_stretches(panel, warmup))
    targets = targets.since(int(np.searchsorted(panel.open_ms, to_ms(since)))) if since else targets
    first = targets.first
    if first is None or first >= len(panel):
        raise DataError(
            f"strategy {name}: nothing to decide on in {len(panel)} candles of {', '.join(panel.instruments)}"
            f" {panel.timeframe} from {candles.source}: expected {warmup} of them in a row"
        )
    return Study(
        strategy=name,
        parameters=parameters,
        warmup=warmup,
        candles=candles,
        backtest=run_backtest(market or market_of(panel, candles.instruments, rules), targets, rules),
        first=first,
    )


def combinations(
    name: str, fixed: Mapping[str, object], swept: Mapping[str, Sequence[Decimal]]
) -> tuple[list[Parameters], int]:
    """Every combination of swept values that the strategy takes, and how many it does not (fast ≥ slow).

    Raises ConfigurationError for an unknown parameter, and where no combination is left.
    """
    total = int(np.prod([len(values) for values in swept.values()]))
    if total > MOST_COMBINATIONS:
        raise ConfigurationError(f"the sweep has {total} combinations: expected at most {MOST_COMBINATIONS}")
    taken: list[Parameters] = []
    refusal: ConfigurationError | None = None
    for values in itertools.product(*swept.values()):
        chosen = {key: format(value.normalize(), "f") for key, value in zip(swept, values, strict=True)}
        try:
            taken.append(registry.parameters(name, {**fixed, **chosen}))
        except ConfigurationError as error:
            refusal = error
    if not taken and refusal is not None:
        raise refusal
    return taken, total - len(taken)


def sweep(
    name: str,
    grid: Sequence[Parameters],
    candles: Candles,
    rules: BacktestRules,
    *,
    since: datetime | None = None,
    among: Sequence[Parameters] = (),
) -> Iterator[Study]:
    """Each combination's backtest, in the order given; whoever keeps them keeps their curves.

    All are measured from the same candle on, the first that the longest warm-up decides: of `among`, where this grid is
    a part of it.
    """
    registered = registry.get(name)
    longest = max(registered.warmup(parameters) for parameters in (among or grid))
    asked = int(np.searchsorted(candles.panel.open_ms, to_ms(since))) if since else 0
    first = min(max(asked, longest - 1), len(candles.panel) - 1)
    market = market_of(candles.panel, candles.instruments, rules)

    def one(parameters: Parameters) -> Study:
        return replace(study(name, parameters, candles, rules, since=since, market=market), first=first)

    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(grid), _AHEAD):  # a few at a time: whoever reads them need not keep them
            yield from threads.map(one, grid[start : start + _AHEAD])


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One round of walking forward: what was chosen on [start, split) and made over [split, end), in candles."""

    parameters: Parameters
    start: datetime
    split: datetime
    end: datetime
    chosen_on: float | None  # Sharpe ratio, a year
    made: float  # return


def walk_forward(
    name: str,
    grid: Sequence[Parameters],
    candles: Candles,
    rules: BacktestRules,
    *,
    train: int,
    test: int,
    since: datetime | None = None,
) -> list[Round]:
    """Choose by Sharpe ratio on `train` candles, keep it for the next `test`, and so on.

    Each combination trades through; a change of choice itself costs nothing here. Raises DataError for too few candles.
    """
    a_year, sharpes, first = candles_per_year(candles.panel.timeframe), [], 0
    for found in sweep(name, grid, candles, rules, since=since):
        first, returns = found.first, found.equity[1:] / found.equity[:-1] - 1
        rounds = windows(len(returns), train, test)
        sharpes.append([sharpe(returns[start:split], a_year) for start, split, _ in rounds])
    if not rounds:
        raise DataError(f"walking forward needs more than {train} candles after the warm-up, got {len(returns)}")
    ranked = np.array([[-np.inf if one is None else one for one in row] for row in sharpes])
    winners = ranked.argmax(axis=0).tolist()
    curves = {
        number: replace(study(name, grid[number], candles, rules, since=since), first=first).equity
        for number in sorted(set(winners))
    }
    told: list[Round] = []
    for number, (start, split, end) in zip(winners, rounds, strict=True):
        curve = curves[number][split : end + 1]
        at = [candles.panel.close_time(first + row) for row in (start, split, end)]
        chosen_on = sharpes[number][len(told)]
        told.append(
            Round(
                parameters=grid[number],
                start=at[0],
                split=at[1],
                end=at[2],
                chosen_on=chosen_on,
                made=float(curve[-1] / curve[0] - 1),
            )
        )
    return told


def _carried(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column with its gaps filled by the last value before them: a holder keeps what cannot be sold."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, np.newaxis], 0)
    return np.take_along_axis(values, np.maximum.accumulate(rows, axis=0), axis=0)
