"""Time on the grid, and candles as columns."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import T0, candles
from trading.domain.market import (
    TIMEFRAMES,
    CandleSeries,
    floor_to_timeframe,
    from_ms,
    timeframe_s,
    to_ms,
)
from trading.errors import ConfigurationError

instants = st.timedeltas(timedelta(0), timedelta(days=40_000)).map(lambda since: from_ms(0) + since)


def test_an_unknown_timeframe_is_named_beside_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"'7m'.*1m, 3m.*1d"):
        timeframe_s("7m")


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_milliseconds_survive_the_way_to_an_instant_and_back(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds


def test_an_instant_in_another_zone_is_the_same_instant() -> None:
    tokyo = T0.astimezone(timezone(timedelta(hours=9)))
    assert to_ms(tokyo) == to_ms(T0)
    assert from_ms(to_ms(tokyo)).utcoffset() == timedelta(0)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        to_ms(datetime(2026, 1, 1))  # noqa: DTZ001


@given(instants, st.sampled_from(sorted(TIMEFRAMES)))
def test_the_floor_is_on_the_grid_at_most_one_step_back_and_its_own_floor(instant: datetime, timeframe: str) -> None:
    floored = floor_to_timeframe(instant, timeframe)
    assert to_ms(floored) % (timeframe_s(timeframe) * 1000) == 0
    assert timedelta(0) <= instant - floored < timedelta(seconds=timeframe_s(timeframe))
    assert floor_to_timeframe(floored, timeframe) == floored


def test_rows_become_typed_columns_and_none_become_empty_ones() -> None:
    series = candles(to_ms(T0), [10.0, 11.0])
    assert len(series) == 2
    assert series.open_ms.dtype == np.int64
    assert series.close.tolist() == [10.0, 11.0]
    empty = CandleSeries.from_rows([])
    assert len(empty) == 0
    assert (empty.open_ms.dtype, empty.volume.dtype) == (np.int64, np.float64)


def test_taking_rows_takes_them_from_every_column() -> None:
    series = candles(0, [10.0, 11.0, 12.0]).take(np.array([True, False, True]))
    assert series.open_ms.tolist() == [0, 120_000]
    assert series.close.tolist() == [10.0, 12.0]
    assert series.volume.tolist() == [1.0, 3.0]
