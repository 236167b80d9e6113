"""Whether a strategy looks ahead, remembers more than it says, or breaks its contract: what is wrong, in words.

Rows are compared bit by bit: equal "up to rounding" would hide a result that depends on what lies around its window.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trading.domain.market import Panel

Compute = Callable[[Panel], NDArray[np.float64]]
_COLUMNS = ("open", "high", "low", "close", "volume")


def random_panel(generator: Generator, candles: int, instruments: int) -> Panel:
    """Random walks of 1m candles without gaps."""
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.002, (candles, instruments)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    spread = generator.uniform(0, 0.001, (candles, instruments))
    return Panel(
        instruments=tuple(f"I{number}/USDT" for number in range(instruments)),
        timeframe="1m",
        open_ms=np.arange(candles, dtype=np.int64) * 60_000,
        open=opened,
        high=np.maximum(opened, close) * (1 + spread),
        low=np.minimum(opened, close) * (1 - spread),
        close=close,
        volume=generator.uniform(1, 9, (candles, instruments)),
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


def findings(compute: Compute, panel: Panel, *, warmup: int, generator: Generator, rounds: int) -> list[str]:
    """What is wrong with `compute` on a panel without gaps, of more than twice `warmup` candles."""
    full = compute(panel)
    if full.shape != panel.close.shape or full.dtype != np.float64:
        return [f"returns {full.dtype} {full.shape}: expected float64 {panel.close.shape}"]
    found = _contract(full, warmup)
    cuts = [1, warmup, *generator.integers(1, len(panel), rounds).tolist()]
    for cut in cuts:
        if not _same(compute(rows_of(panel, 0, cut)), full[:cut]):
            found.append(f"cut after {cut} candles, earlier rows change: it looks ahead")
            break
    for cut in cuts:
        value = float(generator.choice([np.nan, 1e-9, 1e9]))
        if not _same(compute(with_rows_set(panel, slice(cut, None), value))[:cut], full[:cut]):
            found.append(f"with {value} in all candles from {cut} on, earlier rows change: it looks ahead")
            break
    for end in generator.integers(warmup, len(panel), rounds).tolist():
        if not _same(compute(rows_of(panel, end - warmup, end))[-1:], full[end - 1 : end]):
            found.append(f"row {end - 1} differs with a history of {warmup} candles only: its warm-up is longer")
            break
    return found + _gaps(compute, panel, full, warmup)


def _contract(weights: NDArray[np.float64], warmup: int) -> list[str]:
    found = []
    missing = np.isnan(weights)
    if not missing[: warmup - 1].all() or missing[warmup - 1 :].any():
        found.append(f"expected NaN in the first {warmup - 1} rows and weights in all others")
    if (missing.any(axis=1) != missing.all(axis=1)).any():
        found.append("a row is partly NaN: expected all of it or none")
    if (weights < 0).any() or (np.nansum(weights, axis=1) > 1 + 1e-12).any():
        found.append("expected weights >= 0 that sum to at most 1")
    return found


def _gaps(compute: Compute, panel: Panel, full: NDArray[np.float64], warmup: int) -> list[str]:
    """One missing candle: no signal while the window touches it, and as if it had never been after that."""
    gap = len(panel) // 2
    holed = rows_of(panel, 0, len(panel))
    for name in _COLUMNS:
        getattr(holed, name)[gap, 0] = np.nan
    weights = compute(holed)
    touched = np.zeros(len(panel), dtype=bool)
    touched[gap : gap + warmup] = True
    if not np.isnan(weights[touched]).all():
        return ["a window that touches a gap gives weights: expected NaN in the whole row"]
    if not _same(weights[~touched], full[~touched]):
        return ["a gap changes rows whose windows do not touch it"]
    return []


def _same(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    """Equal bit by bit; every NaN is like every other."""
    return left.shape == right.shape and bool(np.array_equal(left, right, equal_nan=True))
