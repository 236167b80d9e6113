"""Whether a strategy looks ahead, remembers more than it says, or breaks its contract: what is wrong, in words.

Rows are compared bit by bit: equal "up to rounding" would hide a result that depends on what lies around its window.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trading.domain.decision import quantised_rows, require_shape, weights_in_millionths
from trading.domain.market import Panel, timeframe_s
from trading.errors import DataError
from trading.strategies import registry
from trading.strategies.rolling import full_windows

Compute = Callable[[Panel], NDArray[np.float64]]

#: How often a strategy is cut, poisoned and robbed of its history.
ROUNDS: Final = 1_000
_COLUMNS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, kw_only=True, slots=True)
class BiasReport:
    """What is wrong, a sentence each, and what is only to be known."""

    wrong: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def signals(name: str, compute: Compute, warmup: int, panel: Panel) -> NDArray[np.float64]:
    """A strategy's weights over a panel, NaN in each row whose window of `warmup` candles is not full or has a gap.

    Raises DataError as `answer` does.
    """
    return np.where(full_windows(panel, warmup), answer(name, compute, panel), np.nan)


def answer(name: str, compute: Compute, panel: Panel) -> NDArray[np.float64]:
    """What a strategy says of a panel. Raises DataError where it, a user's code, raises or returns another shape."""
    try:
        weights = compute(panel)
    except Exception as error:
        raise DataError(f"strategy {name} raised {type(error).__name__}: {error}") from error
    return require_shape(name, panel, weights)


def bias_report(
    name: str, compute: Compute, panel: Panel, *, warmup: int, generator: Generator, rounds: int = ROUNDS
) -> BiasReport:
    """Judge `compute` on a panel without gaps, of more than twice `warmup` candles."""

    def weights(given: Panel) -> NDArray[np.float64]:
        return signals(name, compute, warmup, _read_only(given))

    try:
        full = weights(panel)
        quantised_rows(name, panel, full)
        trial = _Trial(weights, panel, full, warmup, generator, rounds)
        memory, remarks = trial.memory()
        return BiasReport(wrong=(*trial.silence(), *trial.ahead(), *memory, *trial.gap()), remarks=tuple(remarks))
    except DataError as error:
        return BiasReport(wrong=(str(error),))


def examine(
    name: str, values: Mapping[str, object] | None = None, *, rounds: int = ROUNDS, seed: int = 1
) -> BiasReport:
    """Judge a registered strategy on random candles of the instruments it was written for, or of two.

    Raises ConfigurationError for an unknown strategy or parameter.
    """
    registered, parameters = registry.get(name), registry.parameters(name, values or {})
    warmup = registered.warmup(parameters)
    instruments = registered.instruments or ("BTC/USDT", "ETH/USDT")
    generator = np.random.default_rng(seed)
    panel = random_panel(generator, 3 * warmup + 200, instruments, registered.timeframe)
    return bias_report(
        name,
        lambda given: registered.compute(given, parameters),
        panel,
        warmup=warmup,
        generator=generator,
        rounds=rounds,
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """One strategy under examination; `full` is its answer to the whole panel."""

    weights: Compute
    panel: Panel
    full: NDArray[np.float64]
    warmup: int
    generator: Generator
    rounds: int

    def silence(self) -> Iterator[str]:
        """After its warm-up and without a gap a strategy has an opinion."""
        silent = np.flatnonzero(np.isnan(self.full[self.warmup - 1 :]).all(axis=1))
        if len(silent):
            row = int(silent[0]) + self.warmup - 1
            yield f"row {row} is NaN though all {self.warmup} candles of its warm-up are there: its warm-up is longer"

    def ahead(self) -> Iterator[str]:
        """Truncations and a poisoned future: what came before must stay."""
        cuts = [self.warmup, *self.generator.integers(self.warmup, len(self.panel), self.rounds).tolist()]
        for cut in cuts:
            if not same(self.weights(rows_of(self.panel, 0, cut)), self.full[:cut]):
                yield f"cut after {cut} candles, earlier rows change: it looks ahead"
                break
        for cut in cuts:
            value = float(self.generator.choice([np.nan, 1e-9, 1e9]))
            poisoned = with_rows_set(self.panel, slice(cut, None), value)
            if not same(self.weights(poisoned)[:cut], self.full[:cut]):
                yield f"with {value} in all candles from {cut} on, earlier rows change: it looks ahead"
                break

    def memory(self) -> tuple[list[str], list[str]]:
        """With exactly its warm-up before it, each row must come to the same, in its last bits but for a remark."""
        last_bits, warmup = 0, self.warmup
        for end in self.generator.integers(warmup, len(self.panel) + 1, self.rounds).tolist():
            alone, among = self.weights(rows_of(self.panel, end - warmup, end))[-1:], self.full[end - 1 : end]
            if not _decides_alike(alone, among):
                sentence = f"row {end - 1} differs with a history of {warmup} candles only: its warm-up is longer"
                return [sentence], []
            last_bits += not same(alone, among)
        remark = (
            f"{last_bits} of {self.rounds} rows differ in their last bits with a history of {warmup} candles only, as"
            " running sums do; their decisions are the same"
        )
        return [], [remark] if last_bits else []

    def gap(self) -> Iterator[str]:
        """One missing candle: as if it had never been, once no window touches it any more."""
        gap = len(self.panel) // 2
        holed = rows_of(self.panel, 0, len(self.panel))
        for name in _COLUMNS:
            getattr(holed, name)[gap, 0] = np.nan
        clear = np.ones(len(self.panel), dtype=bool)
        clear[gap : gap + self.warmup] = False
        if not _decides_alike(self.weights(holed)[clear], self.full[clear]):
            yield "a gap changes rows whose windows do not touch it: what comes after it must not remember it"


def random_panel(generator: Generator, candles: int, instruments: tuple[str, ...], timeframe: str = "1m") -> Panel:
    """Random walks without gaps, from 1970 on."""
    shape = (candles, len(instruments))
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.002, shape), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    spread = generator.uniform(0, 0.001, shape)
    return Panel(
        instruments=instruments,
        timeframe=timeframe,
        open_ms=np.arange(candles, dtype=np.int64) * timeframe_s(timeframe) * 1000,
        open=opened,
        high=np.maximum(opened, close) * (1 + spread),
        low=np.minimum(opened, close) * (1 - spread),
        close=close,
        volume=generator.uniform(1, 9, shape),
    )


def rows_of(panel: Panel, start: int, stop: int) -> Panel:
    """The candles [start, stop) alone, in memory of their own."""
    cut: dict[str, Any] = {name: getattr(panel, name)[start:stop].copy() for name in _COLUMNS}
    return Panel(instruments=panel.instruments, timeframe=panel.timeframe, open_ms=panel.open_ms[start:stop], **cut)


def with_rows_set(panel: Panel, rows: slice, value: float) -> Panel:
    """The panel with every number of `rows` replaced."""
    poisoned = rows_of(panel, 0, len(panel))
    for name in _COLUMNS:
        getattr(poisoned, name)[rows] = value
    return poisoned


def same(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    """Equal bit by bit; every NaN is like every other."""
    return left.shape == right.shape and bool(np.array_equal(left, right, equal_nan=True))


def _decides_alike(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    """Equal to the millionth that decisions are made from."""
    if not np.array_equal(np.isnan(left), np.isnan(right)):
        return False
    return np.array_equal(weights_in_millionths(np.nan_to_num(left)), weights_in_millionths(np.nan_to_num(right)))


def _read_only(panel: Panel) -> Panel:
    """So that a strategy which writes into its candles is told."""
    for name in _COLUMNS:
        getattr(panel, name).flags.writeable = False
    return panel
