"""Coarser candles from finer ones, candles from trades, and where two series differ."""

import numpy as np
import pytest

from tests.examples import T0, candles
from trading.domain.market import to_ms
from trading.domain.resampling import differing, resampled
from trading.errors import ConfigurationError

HOUR = 3_600_000
START = to_ms(T0) // HOUR * HOUR


def test_an_hour_is_its_minutes_first_open_last_close_and_extremes() -> None:
    fine = candles(START, [float(10 + row % 13) for row in range(120)])
    coarse = resampled(fine, "1m", "1h")
    assert coarse.open_ms.tolist() == [START, START + HOUR]
    for number in range(2):
        rows = slice(number * 60, number * 60 + 60)
        assert coarse.open[number] == fine.open[rows][0]
        assert coarse.close[number] == fine.close[rows][-1]
        assert coarse.high[number] == fine.high[rows].max()
        assert coarse.low[number] == fine.low[rows].min()
        assert coarse.volume[number] == fine.volume[rows].sum()


def test_an_hour_that_lacks_a_minute_is_not_derived() -> None:
    fine = candles(START, [1.0] * 120)
    assert resampled(fine.take(np.arange(120) != 70), "1m", "1h").open_ms.tolist() == [START]
    assert len(resampled(fine.take(np.arange(0)), "1m", "1h")) == 0


@pytest.mark.parametrize(("fine", "coarse"), [("1h", "1m"), ("1h", "1h"), ("2h", "3m")])
def test_only_a_multiple_can_be_derived(fine: str, coarse: str) -> None:
    with pytest.raises(ConfigurationError, match="multiple"):
        resampled(candles(START, [1.0]), fine, coarse)


def test_series_are_compared_where_both_have_a_candle() -> None:
    ours, theirs = candles(START, [1.0, 2.0, 3.0]), candles(START + 60_000, [2.0, 4.0, 9.0])
    theirs.volume[:] = ours.volume[1]
    theirs.volume[1] = ours.volume[2] * (1 + 1e-12)
    compared, differs = differing(ours, theirs)
    assert (compared, differs.tolist()) == (2, [START + 120_000])
