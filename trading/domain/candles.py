"""Which candles may be trusted: closed, on the grid, inside the window that was asked for, and sane."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import CandleSeries, Panel, timeframe_s


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedCandle:
    """A candle that may not be trusted, as the venue gave it (open, high, low, close, volume), and why."""

    open_ms: int
    values: tuple[float, float, float, float, float]
    reason: str


def split_candles(
    series: CandleSeries, timeframe: str, *, window_ms: tuple[int, int], server_ms: int
) -> tuple[CandleSeries, list[RejectedCandle]]:
    """The usable candles, ascending and each once, and those to quarantine.

    The open candle (close after `server_ms`, the venue's own clock) is dropped: it is no fault. Of equal rows the last
    one counts; rows that contradict each other are refused, since nobody can tell which is true.
    """
    step_ms = timeframe_s(timeframe) * 1000
    in_future = series.open_ms > server_ms
    is_open = (series.open_ms + step_ms > server_ms) & ~in_future
    reasons = np.full(len(series), "", dtype=object)
    reasons[_insane(series)] = "insane"
    reasons[(series.open_ms < window_ms[0]) | (series.open_ms >= window_ms[1])] = "outside the window asked for"
    reasons[series.open_ms % step_ms != 0] = "off the grid"
    reasons[in_future] = "from the future"
    reasons[_contradicted(series)] = "doubled with other values"
    refused = [_rejected(series, row, str(reasons[row])) for row in np.flatnonzero((reasons != "") & ~is_open)]
    usable = np.flatnonzero((reasons == "") & ~is_open)
    _, last = np.unique(series.open_ms[usable][::-1], return_index=True)
    return series.take(usable[::-1][last]), refused


def _insane(series: CandleSeries) -> NDArray[np.bool_]:
    """Not finite, not positive, high or low that do not enclose, or a negative volume."""
    prices = np.stack([series.open, series.high, series.low, series.close])
    finite = np.isfinite(prices).all(axis=0) & np.isfinite(series.volume)
    with np.errstate(invalid="ignore"):
        encloses = (series.low <= np.minimum(series.open, series.close)) & (
            series.high >= np.maximum(series.open, series.close)
        )
        sane: NDArray[np.bool_] = finite & (prices > 0).all(axis=0) & encloses & (series.volume >= 0)
    return ~sane


def _contradicted(series: CandleSeries) -> NDArray[np.bool_]:
    """Every row whose open time comes again with other values."""
    contradicted = np.zeros(len(series), dtype=bool)
    times, counts = np.unique(series.open_ms, return_counts=True)
    for open_ms in times[counts > 1]:  # empty but for faults
        rows = np.flatnonzero(series.open_ms == open_ms)
        contradicted[rows] = len({_values(series, row) for row in rows}) > 1
    return contradicted


def _values(series: CandleSeries, row: np.intp) -> tuple[float, float, float, float, float]:
    """One row's open, high, low, close and volume."""
    return (
        float(series.open[row]),
        float(series.high[row]),
        float(series.low[row]),
        float(series.close[row]),
        float(series.volume[row]),
    )


def _rejected(series: CandleSeries, row: np.intp, reason: str) -> RejectedCandle:
    return RejectedCandle(open_ms=int(series.open_ms[row]), values=_values(series, row), reason=reason)


def aligned(series: Mapping[str, CandleSeries], timeframe: str, *, first_ms: int, end_ms: int) -> Panel:
    """The grid rows with first_ms ≤ open < end_ms, both on the grid; NaN where an instrument has no candle."""
    step_ms = timeframe_s(timeframe) * 1000
    open_ms = np.arange(first_ms, end_ms, step_ms, dtype=np.int64)
    cube = np.full((5, len(open_ms), len(series)), np.nan)
    for column, one in enumerate(series.values()):
        inside = one.take((one.open_ms >= first_ms) & (one.open_ms < end_ms))
        rows = (inside.open_ms - first_ms) // step_ms
        for part, values in enumerate((inside.open, inside.high, inside.low, inside.close, inside.volume)):
            cube[part, rows, column] = values
    return Panel(tuple(series), timeframe, open_ms, *cube)


def aggregated(series: CandleSeries, timeframe: str) -> CandleSeries:
    """Finer candles as those of a coarser timeframe, of whatever is there of each."""
    if not len(series):
        return series
    step_ms = timeframe_s(timeframe) * 1000
    bucket = series.open_ms // step_ms
    start = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    last = np.append(start[1:], len(series)) - 1
    return CandleSeries(
        bucket[start] * step_ms,
        series.open[start],
        np.maximum.reduceat(series.high, start),
        np.minimum.reduceat(series.low, start),
        series.close[last],
        np.add.reduceat(series.volume, start),
    )
