"""Statistics over a moving window, computed so that a row's bits depend on its own window alone.

Running sums (TA-Lib's, and cumulative ones) make each row depend on everything before it, and numpy's own reductions
pick the order of additions by the array's shape. Here a window is put together from blocks of 1, 2, 4, 8 … rows, always
in the same order: log2(window) passes over the data, and the same bits whatever surrounds the window. The tests hold
the results equal to TA-Lib's up to rounding.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel

Rows = NDArray[np.float64]
#: Statistics of a block of older rows, of the newer block that follows it, and their lengths → of both together.
_Merge = Callable[[tuple[Rows, ...], tuple[Rows, ...], int, int], tuple[Rows, ...]]

#: Wilder's average forgets: after this many periods what came before weighs less than 1/20,000.
_PERIODS_OF_RSI: Final = 10
#: So many numbers at a time: a few arrays of them stay in a processor's cache.
_CACHED: Final = 8_192


def rolling_mean(values: Rows, window: int) -> Rows:
    """Mean of the `window` rows up to and with each row; (rows, columns) → the same; NaN in the first window - 1 rows.

    A NaN in the window makes the mean NaN; equal values have exactly that value as their mean.
    """

    def means(rows: Rows) -> Rows:
        (mean,) = _over_windows((rows,), window, _merge_means)
        return mean

    return _padded(values, window, means)


def rolling_deviation(values: Rows, window: int, *, ddof: int = 1) -> Rows:
    """Standard deviation with `window` - `ddof` degrees of freedom; shapes and NaN as in `rolling_mean`.

    Source of the merging: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979).
    """

    def squares(rows: Rows) -> Rows:
        _, around = _over_windows((rows, np.zeros_like(rows)), window, _merge_squares)
        return np.sqrt(around / (window - ddof))

    return _padded(values, window, squares)


def rsi(close: Rows, period: int) -> Rows:
    """Wilder's relative strength index, 0 … 100, over `rsi_window(period)` closes; 50 where nothing moved.

    The averages start from the mean of the window's first `period` changes, as TA-Lib's do from the series' first.
    Source: Wilder, "New Concepts in Technical Trading Systems" (1978).
    """
    window = rsi_window(period)
    result = np.full(close.shape, np.nan)
    if len(close) < window:
        return result
    with np.errstate(invalid="ignore", divide="ignore"):
        change = close[1:] - close[:-1]
        gain, loss = (_wilder_average(np.maximum(sign * change, 0.0), period) for sign in (1.0, -1.0))
        moved = gain + loss
        result[window - 1 :] = np.where(moved > 0, 100 * gain / moved, np.where(moved == 0, 50.0, np.nan))
    return result


def rsi_window(period: int) -> int:
    """How many closes `rsi` looks at."""
    return _PERIODS_OF_RSI * period + 1


def full_windows(panel: Panel, window: int) -> NDArray[np.bool_]:
    """Whether the `window` candles up to and with each row are there for all instruments; (candles, 1)."""
    holes = np.cumsum(~np.isfinite(panel.close).all(axis=1))
    before = np.concatenate([np.zeros(window, dtype=holes.dtype), holes[:-window]])[: len(holes)]
    full: NDArray[np.bool_] = (holes == before) & (np.arange(len(holes)) >= window - 1)
    return full[:, np.newaxis]


def full_stretches(panel: Panel, window: int) -> NDArray[np.int64]:
    """Where `full_windows` is so: the first row of each stretch and the one after its last, int64 (stretches, 2)."""
    holes = np.flatnonzero(~np.isfinite(panel.close).all(axis=1))
    starts = np.concatenate([[0], holes + 1]) + window - 1
    stops = np.concatenate([holes, [len(panel)]])
    return np.stack([starts, stops], axis=1)[starts < stops]


def latched(enter: NDArray[np.bool_], leave: NDArray[np.bool_], hold: int) -> NDArray[np.bool_]:
    """Whether the newest event among the last `hold` rows is an entry; (rows, columns). Both at once is a leave.

    What was entered is given up `hold` rows after its newest entry, so that a row depends on a bounded past.
    """
    row = np.arange(len(enter))[:, np.newaxis]
    event = np.maximum.accumulate(np.where(enter | leave, row, -1), axis=0)
    recent = (event >= 0) & (row - event < hold)
    entered: NDArray[np.bool_] = recent & np.take_along_axis(enter & ~leave, np.maximum(event, 0), axis=0)
    return entered


def by_segments(function: Callable[..., Rows], *columns: Rows) -> Rows:
    """A TA-Lib function over each gap-free stretch of its columns, (rows, instruments): it does not know of gaps.

    Only functions whose result follows from their window alone (MAX, MIN, ROC …) give bits that depend on nothing else.
    """
    result: Rows = np.full_like(columns[0], np.nan)
    for number in range(result.shape[1]):
        parts = [np.ascontiguousarray(column[:, number]) for column in columns]
        hole = np.ones(len(result) + 2, dtype=bool)
        hole[1:-1] = ~np.logical_and.reduce([np.isfinite(part) for part in parts])
        edges = np.flatnonzero(hole[1:] != hole[:-1])
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            result[start:stop, number] = function(*(part[start:stop] for part in parts))
    return result


def _padded(values: Rows, window: int, of_full_windows: Callable[[Rows], Rows]) -> Rows:
    """NaN where a window is not full; the rest from `of_full_windows`, so few rows at a time that the cache holds them.

    A row's bits follow from its own window, so that it does not matter where the parts begin.
    """
    result = np.full(values.shape, np.nan)
    part = max(4 * window, _CACHED // max(values.shape[1], 1))
    with np.errstate(invalid="ignore", over="ignore"):  # what is not a number ends as NaN
        for start in range(0, len(values) - window + 1, part):
            rows = values[start : start + part + window - 1]
            result[start + window - 1 : start + len(rows)] = of_full_windows(rows)
    return result


def _over_windows(blocks: tuple[Rows, ...], window: int, merge: _Merge) -> tuple[Rows, ...]:
    """The statistics of each full window, oldest first, from those of single rows."""
    rows, width, covered = len(blocks[0]) - window + 1, 1, 0
    total: tuple[Rows, ...] | None = None
    while True:
        if window & width:
            part = tuple(block[covered : covered + rows] for block in blocks)
            total = part if total is None else merge(total, part, covered, width)
            covered += width
        if covered == window and total is not None:
            return total
        blocks = merge(tuple(b[:-width] for b in blocks), tuple(b[width:] for b in blocks), width, width)
        width *= 2


def _merge_means(older: tuple[Rows, ...], newer: tuple[Rows, ...], before: int, after: int) -> tuple[Rows, ...]:
    return (older[0] + (newer[0] - older[0]) * (after / (before + after)),)


def _merge_squares(older: tuple[Rows, ...], newer: tuple[Rows, ...], before: int, after: int) -> tuple[Rows, ...]:
    """Means, and the sums of squares around them."""
    apart = newer[0] - older[0]
    share = after / (before + after)
    return (older[0] + apart * share, older[1] + newer[1] + apart * apart * (before * share))


def _wilder_average(values: Rows, period: int) -> Rows:
    """The smoothed average of each window of _PERIODS_OF_RSI * period values, seeded with its first mean."""
    steps = (_PERIODS_OF_RSI - 1) * period
    kept = 1 - 1 / period

    def merge(older: tuple[Rows, ...], newer: tuple[Rows, ...], _before: int, after: int) -> tuple[Rows, ...]:
        return (older[0] * kept**after + newer[0],)

    seed = rolling_mean(values, period)[period - 1 : len(values) - steps]
    (recent,) = _over_windows((values[period:],), steps, merge)
    return seed * kept**steps + recent / period
