"""Gaps: what is missing, of which kind, joined whatever the windows were; and quiet periods in a panel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.examples import T0
from trading.domain.gaps import CandleGap, GapKind, gaps_after, missing_opens, with_quiet_periods
from trading.domain.market import Panel, to_ms

STEP = 60_000
FIRST = to_ms(T0)
NOTHING = np.array([], dtype=np.int64)


def opens(*rows: int) -> NDArray[np.int64]:
    return np.array([FIRST + row * STEP for row in rows], dtype=np.int64)


def gap(first: int, after: int, kind: GapKind = GapKind.OUTAGE) -> CandleGap:
    return CandleGap(from_ms=FIRST + first * STEP, to_ms=FIRST + after * STEP, kind=kind)


def after(
    *before: CandleGap,
    window: tuple[int, int],
    outages: NDArray[np.int64] = NOTHING,
    quiet: NDArray[np.int64] = NOTHING,
) -> list[CandleGap]:
    window_ms = (FIRST + window[0] * STEP, FIRST + window[1] * STEP)
    return gaps_after(before, window_ms=window_ms, outages_ms=outages, quiet_ms=quiet, timeframe="1m")


def test_what_is_missing_lies_on_the_grid_inside_the_window() -> None:
    """A window that starts off the grid begins at the next open; its end is not part of it."""
    window = (FIRST + 1, FIRST + 5 * STEP)
    assert missing_opens(opens(0, 2, 3, 7), window, STEP).tolist() == opens(1, 4).tolist()
    assert len(missing_opens(NOTHING, (FIRST, FIRST), STEP)) == 0


def test_consecutive_missing_candles_are_one_gap() -> None:
    assert after(window=(0, 10), outages=opens(2, 3, 4, 7)) == [gap(2, 5), gap(7, 8)]


def test_a_gap_goes_on_across_windows_and_is_one() -> None:
    """However a stretch was cut into windows, and in whichever order they were read, it is one gap."""
    first = after(window=(0, 5), outages=opens(3, 4))
    assert after(*first, window=(5, 10), outages=opens(5, 6)) == [gap(3, 7)]
    second = after(window=(5, 10), outages=opens(5, 6))
    assert after(*second, window=(0, 5), outages=opens(3, 4)) == [gap(3, 7)]


def test_candles_that_came_later_end_shorten_or_split_a_gap() -> None:
    assert after(gap(2, 5), window=(0, 10)) == []
    assert after(gap(2, 8), window=(4, 6)) == [gap(2, 4), gap(6, 8)]
    assert after(gap(2, 8), window=(0, 4), outages=opens(3)) == [gap(3, 8)]


def test_a_quiet_stretch_beside_an_outage_is_part_of_it() -> None:
    """Nobody knows where the one ends and the other begins: the careful reading counts."""
    assert after(window=(0, 10), outages=opens(3), quiet=opens(2, 6)) == [gap(2, 4), gap(6, 7, GapKind.NO_TRADES)]


@pytest.mark.parametrize(
    ("candles", "kind"), [(60, GapKind.NO_TRADES), (61, GapKind.OUTAGE)], ids=["an hour", "longer"]
)
def test_a_stretch_too_long_to_be_quiet_is_an_outage(candles: int, kind: GapKind) -> None:
    assert after(window=(0, 100), quiet=opens(*range(candles))) == [gap(0, candles, kind)]


def test_of_a_long_timeframe_one_candle_may_be_quiet() -> None:
    day = 86_400_000
    start = FIRST // day * day
    found = gaps_after(
        [], window_ms=(start, start + 5 * day), outages_ms=NOTHING, quiet_ms=np.array([start]), timeframe="1d"
    )
    assert [one.kind for one in found] == [GapKind.NO_TRADES]


@given(st.sets(st.integers(0, 39)), st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), max_size=8))
def test_gaps_are_what_is_missing_in_whatever_windows_it_was_read(
    missing: set[int], windows: list[tuple[int, int]]
) -> None:
    """After any overlapping windows, in any order, the gaps cover exactly the missing opens of what was read."""
    gaps: list[CandleGap] = []
    read: set[int] = set()
    for start, length in windows:
        span = range(start, min(start + length, 40))
        read |= set(span)
        gone = opens(*sorted(missing & set(span)))
        touched = [one for one in gaps if one.from_ms <= FIRST + span.stop * STEP and one.to_ms >= FIRST + start * STEP]
        others = [one for one in gaps if one not in touched]
        gaps = others + after(*touched, window=(start, span.stop), outages=gone)
    covered = [row for one in gaps for row in range((one.from_ms - FIRST) // STEP, (one.to_ms - FIRST) // STEP)]
    assert sorted(covered) == sorted(missing & read)
    ends = {one.to_ms for one in gaps}
    assert not ends & {one.from_ms for one in gaps}


def panel(closes: list[float]) -> Panel:
    close = np.array(closes).reshape(-1, 1)
    open_ms = FIRST + np.arange(len(closes), dtype=np.int64) * STEP
    return Panel(("BTC/USDT",), "1m", open_ms, close * 0.9, close * 1.1, close * 0.8, close, close * 0 + 5)


def test_a_quiet_period_is_flat_at_the_close_before_and_an_outage_stays_unknown() -> None:
    """Row 2 and 3 are quiet, row 5 is an outage; what was there is not touched."""
    nan = float("nan")
    before = panel([10.0, 11.0, nan, nan, 12.0, nan])
    filled = with_quiet_periods(before, {"BTC/USDT": [gap(2, 4, GapKind.NO_TRADES), gap(5, 6)]}, {})
    np.testing.assert_array_equal(filled.close[:, 0], [10.0, 11.0, 11.0, 11.0, 12.0, nan])
    np.testing.assert_array_equal(filled.open[2:4, 0], [11.0, 11.0])
    np.testing.assert_array_equal(filled.low[2:4, 0], [11.0, 11.0])
    np.testing.assert_array_equal(filled.volume[:, 0], [5.0, 5.0, 0.0, 0.0, 5.0, nan])
    assert np.isnan(before.close[2, 0])


def test_a_quiet_period_without_a_close_before_it_stays_unknown() -> None:
    """Whether the panel begins in it or behind an outage: there is no price to stand still at."""
    nan = float("nan")
    quiet = {"BTC/USDT": [gap(0, 1, GapKind.NO_TRADES), gap(3, 4, GapKind.NO_TRADES)]}
    filled = with_quiet_periods(panel([nan, 11.0, nan, nan, 12.0]), quiet, {})
    np.testing.assert_array_equal(filled.close[:, 0], [nan, 11.0, nan, nan, 12.0])
    np.testing.assert_array_equal(filled.volume[:, 0], [nan, 5.0, nan, nan, 5.0])


def test_a_panel_that_begins_in_a_quiet_period_goes_on_from_the_close_before_it() -> None:
    nan = float("nan")
    quiet = {"BTC/USDT": [gap(-3, 2, GapKind.NO_TRADES)]}
    filled = with_quiet_periods(panel([nan, nan, 12.0]), quiet, {"BTC/USDT": 9.0})
    np.testing.assert_array_equal(filled.close[:, 0], [9.0, 9.0, 12.0])
    np.testing.assert_array_equal(filled.volume[:, 0], [0.0, 0.0, 5.0])
