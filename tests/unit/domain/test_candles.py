"""Which candles may be trusted."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import T0
from trading.domain.candles import RejectedCandle, split_candles
from trading.domain.market import CandleSeries, to_ms

STEP = 60_000
FIRST = to_ms(T0)
#: The window is ten minutes; the venue's clock stands in the middle of the eighth candle.
WINDOW = (FIRST, FIRST + 10 * STEP)
SERVER = FIRST + 7 * STEP + 30_000

Row = tuple[int, float, float, float, float, float]


def row(number: int = 0, **changes: Any) -> Row:
    """The candle number `number` of the window."""
    values = {"open_ms": FIRST + number * STEP, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}
    return tuple((values | changes).values())  # type: ignore[return-value]


def split(*rows: Row) -> tuple[list[int], list[str]]:
    """Opens of the good ones and reasons of the others."""
    good, refused = split_candles(CandleSeries.from_rows(list(rows)), "1m", window_ms=WINDOW, server_ms=SERVER)
    return good.open_ms.tolist(), [one.reason for one in refused]


def test_sane_closed_candles_pass_in_order() -> None:
    """Disordered rows come out ascending."""
    assert split(row(2), row(0), row(1)) == ([FIRST, FIRST + STEP, FIRST + 2 * STEP], [])


def test_nothing_gives_nothing() -> None:
    """An empty page is no fault."""
    assert split() == ([], [])


def test_the_open_candle_is_dropped_and_is_no_fault() -> None:
    """The eighth closes after the venue's clock; the seventh closed before it."""
    assert split(row(6), row(7)) == ([FIRST + 6 * STEP], [])


def test_a_candle_that_closes_at_the_venues_clock_is_closed() -> None:
    """[open, close): the instant of the close belongs to the next candle."""
    series = CandleSeries.from_rows([row(6)])
    good, _ = split_candles(series, "1m", window_ms=WINDOW, server_ms=FIRST + 7 * STEP)
    assert len(good) == 1
    good, _ = split_candles(series, "1m", window_ms=WINDOW, server_ms=FIRST + 7 * STEP - 1)
    assert len(good) == 0


@pytest.mark.parametrize(
    ("candle", "reason"),
    [
        (row(open=math.nan), "insane"),
        (row(close=math.inf), "insane"),
        (row(low=-1.0), "insane"),
        (row(low=0.0), "insane"),
        (row(high=10.5), "insane"),
        (row(low=10.5), "insane"),
        (row(volume=-1.0), "insane"),
        (row(volume=math.nan), "insane"),
        (row(open_ms=FIRST + 1), "off the grid"),
        (row(-1), "outside the window asked for"),
        (row(8), "from the future"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_reason(candle: Row, reason: str) -> None:
    """One fault a row; the good candle beside it passes."""
    opens, reasons = split(candle, row(3))
    assert (opens, reasons) == ([FIRST + 3 * STEP], [reason])


def test_the_same_candle_twice_is_one_candle() -> None:
    """A page that overlaps is no contradiction."""
    assert split(row(1), row(1)) == ([FIRST + STEP], [])


@pytest.mark.parametrize("order", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1)])
def test_candles_that_contradict_each_other_are_all_refused(order: tuple[int, ...]) -> None:
    """However often each version comes, and in whatever order: nobody can tell which is true."""
    versions = (row(1), row(1, close=11.5))
    opens, reasons = split(*(versions[number] for number in order))
    assert opens == []
    assert reasons == ["doubled with other values"] * len(order)


numbers = st.sampled_from([9.0, 10.0, 11.0, 12.0, 0.0, -1.0, math.nan, math.inf])
rows = st.builds(
    lambda number, shift, open_, high, low, close, volume: (
        FIRST + number * STEP + shift,
        open_,
        high,
        low,
        close,
        volume,
    ),
    st.integers(-2, 12),
    st.sampled_from([0, 0, 0, 0, 1]),
    st.just(10.0) | numbers,
    st.just(12.0) | numbers,
    st.just(9.0) | numbers,
    st.just(11.0) | numbers,
    st.just(5.0) | numbers,
)


@given(given_rows=st.lists(rows, max_size=14))
def test_every_candle_is_good_refused_or_open_and_the_good_ones_are_sane(given_rows: list[Row]) -> None:
    """Nothing is lost and nothing is invented; what passes is closed, on the grid, unique, ascending and sane."""
    series = CandleSeries.from_rows(given_rows)
    good, refused = split_candles(series, "1m", window_ms=WINDOW, server_ms=SERVER)
    opens = good.open_ms.tolist()
    assert opens == sorted(set(opens))
    for number, open_ms in enumerate(opens):
        assert open_ms % STEP == 0
        assert WINDOW[0] <= open_ms < WINDOW[1]
        assert open_ms + STEP <= SERVER
        assert 0 < good.low[number] <= min(good.open[number], good.close[number])
        assert max(good.open[number], good.close[number]) <= good.high[number] < math.inf
        assert 0 <= good.volume[number] < math.inf
    is_open = [one for one in given_rows if one[0] <= SERVER < one[0] + STEP]
    asked = Counter(map(_text, given_rows))
    passed = Counter({_text(one): asked[_text(one)] for one in _rows(good)})
    assert passed + Counter(map(_of, refused)) + Counter(map(_text, is_open)) == asked


def _text(one: Row) -> str:
    return repr(tuple(map(float, one)))


def _of(one: RejectedCandle) -> str:
    return _text((one.open_ms, *one.values))


def _rows(series: CandleSeries) -> list[Row]:
    columns = (series.open_ms, series.open, series.high, series.low, series.close, series.volume)
    return [tuple(one) for one in np.stack(columns).T.tolist()]  # type: ignore[misc]
