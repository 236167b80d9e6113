"""Candles from finer facts: coarser candles from fine ones, and candles from trades."""

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import CandleSeries, timeframe_s
from trading.errors import ConfigurationError


def resampled(series: CandleSeries, timeframe: str, coarser: str) -> CandleSeries:
    """The coarser candles whose every finer one is there; `series` ascends, each open once.

    Raises ConfigurationError where the coarser timeframe is no multiple of the finer one.
    """
    step_ms, coarse_ms = timeframe_s(timeframe) * 1000, timeframe_s(coarser) * 1000
    if coarse_ms <= step_ms or coarse_ms % step_ms:
        raise ConfigurationError(f"{coarser} cannot be derived from {timeframe}: expected a multiple of it")
    first, counts = _groups(series.open_ms // coarse_ms)
    whole = counts == coarse_ms // step_ms
    return _folded(series, first, coarse_ms).take(whole)


def aggregated(series: CandleSeries, coarser: str) -> CandleSeries:
    """The coarser candles of whatever is there of each; `series` ascends, each open once."""
    coarse_ms = timeframe_s(coarser) * 1000
    first, _ = _groups(series.open_ms // coarse_ms)
    return _folded(series, first, coarse_ms)


def differing(stored: CandleSeries, derived: CandleSeries) -> tuple[int, NDArray[np.int64]]:
    """How many opens both have, and at which of them they differ. Prices are compared exactly, volumes to 1e-9.

    A sum of volumes depends on its order in its last digits.
    """
    opens, ours, theirs = np.intersect1d(stored.open_ms, derived.open_ms, return_indices=True)
    differs = ~np.isclose(stored.volume[ours], derived.volume[theirs], rtol=1e-9, atol=1e-9)
    for name in ("open", "high", "low", "close"):
        differs |= getattr(stored, name)[ours] != getattr(derived, name)[theirs]
    return len(opens), opens[differs]


def _groups(keys: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each run of equal, ascending keys begins, and how long it is."""
    if not len(keys):
        return np.array([], dtype=np.intp), np.array([], dtype=np.intp)
    first = np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1])
    return first, np.diff(np.concatenate([first, [len(keys)]]))


def _folded(series: CandleSeries, first: NDArray[np.intp], step_ms: int) -> CandleSeries:
    """One candle a group; groups begin at `first`."""
    if not len(first):
        return series
    last = np.concatenate([first[1:], [len(series)]]) - 1
    return CandleSeries(
        series.open_ms[first] // step_ms * step_ms,
        series.open[first],
        np.maximum.reduceat(series.high, first),
        np.minimum.reduceat(series.low, first),
        series.close[last],
        np.add.reduceat(series.volume, first),
    )
