"""Which candles may be trusted: closed, on the grid, inside the window that was asked for, and sane."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import CandleSeries, Panel, from_ms, timeframe_s
from trading.errors import InvariantViolation

#: From one candle's close to the next one's open no market moves by more than this factor: the instrument was
#: re-scaled, or its name belongs to another thing now. LUNA came back at 20,000 times its last price, under its name;
#: in its collapse before, no open was more than 1 % from the close before it.
LARGEST_JUMP: Final = 5.0


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
    if _ascends(series.open_ms[usable]):
        return series.take(usable), refused
    _, last = np.unique(series.open_ms[usable][::-1], return_index=True)
    return series.take(usable[::-1][last]), refused


def compared(stored: CandleSeries, incoming: CandleSeries) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which incoming candles are new, and which restate a stored one. Both series ascend.

    Raises InvariantViolation where one period comes twice: nobody could say which counts.
    """
    if not _ascends(incoming.open_ms):
        raise InvariantViolation("expected a series with each open time once, ascending")
    if not len(stored):
        return np.ones(len(incoming), dtype=bool), np.zeros(len(incoming), dtype=bool)
    place = np.minimum(np.searchsorted(stored.open_ms, incoming.open_ms), len(stored) - 1)
    is_new = stored.open_ms[place] != incoming.open_ms
    differs = np.zeros(len(incoming), dtype=bool)
    for name in ("open", "high", "low", "close", "volume"):
        differs |= getattr(stored, name)[place] != getattr(incoming, name)
    return is_new, differs & ~is_new


def leaps(series: CandleSeries, close_before: float | None) -> dict[int, str]:
    """Opens, in ms, at which the price leaves its scale since the close before, each with a sentence about it."""
    before = np.concatenate([[series.open[0] if close_before is None else close_before], series.close[:-1]])
    ratio = series.open / before
    return {
        int(series.open_ms[row]): f"from a close at {before[row]:g} to an open at {series.open[row]:g} at"
        f" {from_ms(series.open_ms[row]).isoformat()}"
        for row in np.flatnonzero((ratio > LARGEST_JUMP) | (ratio < 1 / LARGEST_JUMP))
    }


def _ascends(open_ms: NDArray[np.int64]) -> bool:
    """Whether each opens after the one before it: nothing is doubled or out of order, as nearly always."""
    return bool((open_ms[1:] > open_ms[:-1]).all())


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
    if _ascends(series.open_ms):
        return contradicted
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
