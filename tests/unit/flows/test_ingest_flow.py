"""Ingest: only closed, sane candles get in; a bad instrument never stops the others; a crash costs one window."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.desk import Behind, Desk, DiedHere
from tests.examples import BTC, ETH, T0
from trading.domain.market import CandleSeries, to_ms
from trading.errors import DataError, ExchangeUnavailable
from trading.flows.ingest import Ingest, IngestRequest


def stored_opens(desk: Desk, symbol: str = BTC.symbol) -> list[int]:
    return sorted(desk.read(lambda books: books.candles._candles[symbol, "1m"]))


def test_the_open_candle_is_never_stored() -> None:
    """At 12:00:02 the newest stored candle is that of 11:59, closed by the venue's clock."""
    desk = Desk()
    report = desk.ingest()
    assert stored_opens(desk)[-1] == to_ms(T0) - 60_000
    assert report.newest_close == {BTC.symbol: T0, ETH.symbol: T0}
    assert report.inserted == 2 * len(stored_opens(desk))
    assert (report.revised, report.quarantined, report.failed) == (0, 0, {})


def test_the_venues_clock_decides_what_is_closed() -> None:
    """Our clock is two seconds past the close, the venue's is one before it: the candle is still open."""
    desk = Desk()
    desk.market = Behind(desk.memory_market, server_time=lambda: T0 - timedelta(seconds=1))
    desk.ingest()
    assert stored_opens(desk)[-1] == to_ms(T0) - 120_000


def test_a_second_run_reads_the_last_three_again_and_changes_nothing() -> None:
    """Nothing is stored twice, and what is stored is not read again but for the last few."""
    desk = Desk()
    desk.ingest()
    asked: list[tuple[int, int]] = []

    def candles(*args: Any, since_ms: int, until_ms: int) -> CandleSeries:
        asked.append((since_ms, until_ms))
        return desk.memory_market.candles(*args, since_ms=since_ms, until_ms=until_ms)

    desk.market = Behind(desk.memory_market, candles=candles)
    assert desk.ingest().counts["candles"] == 0
    assert {since for since, _ in asked} == {to_ms(T0) - 3 * 60_000}


def test_a_restated_candle_is_a_revision() -> None:
    """The venue restates its newest closed candle: one row changes, none is added."""
    desk = Desk()
    desk.ingest()

    def restated(*args: Any, **window: int) -> CandleSeries:
        series = desk.memory_market.candles(*args, **window)
        series.volume[series.open_ms == to_ms(T0) - 60_000] = 7.0
        return series

    desk.market = Behind(desk.memory_market, candles=restated)
    report = desk.ingest()
    assert (report.inserted, report.revised) == (0, 2)
    assert desk.read(lambda books: books.candles._candles[BTC.symbol, "1m"][to_ms(T0) - 60_000][4]) == 7.0


def test_an_insane_candle_is_quarantined_with_its_reason() -> None:
    """A candle whose high is below its low is kept apart, once, and leaves a gap."""
    desk = Desk()

    def insane(symbol: str, *args: Any, **window: int) -> CandleSeries:
        series = desk.memory_market.candles(symbol, *args, **window)
        if symbol == BTC.symbol:
            series.high[series.open_ms == to_ms(T0) - 60_000] = 1.0
        return series

    desk.market = Behind(desk.memory_market, candles=insane)
    assert desk.ingest().quarantined == 1
    assert to_ms(T0) - 60_000 not in stored_opens(desk)
    desk.ingest()
    refused = desk.read(lambda books: books.candles.quarantined())
    assert [(symbol, candle.open_ms, candle.reason) for symbol, _, candle in refused] == [
        (BTC.symbol, to_ms(T0) - 60_000, "insane")
    ]


@pytest.mark.parametrize("error", [DataError("nonsense"), ExchangeUnavailable("HTTP 503")])
def test_one_bad_instrument_never_stops_the_others(error: Exception) -> None:
    """ETH is ingested though BTC, which comes first, fails; the report names it."""
    desk = Desk()

    def candles(symbol: str, *args: Any, **window: int) -> CandleSeries:
        if symbol == BTC.symbol:
            raise error
        return desk.memory_market.candles(symbol, *args, **window)

    desk.market = Behind(desk.memory_market, candles=candles)
    report = desk.ingest()
    assert report.failed == {BTC.symbol: str(error)}
    assert report.newest_close == {ETH.symbol: T0}


def test_where_every_instrument_fails_the_run_fails() -> None:
    """Nothing could be read: that is worth a retry, and the run is recorded as failed."""
    desk = Desk()

    def broken(*args: Any, **window: int) -> CandleSeries:
        raise ExchangeUnavailable("HTTP 503")

    desk.market = Behind(desk.memory_market, candles=broken)
    with pytest.raises(ExchangeUnavailable, match="no instrument"):
        desk.ingest()
    assert desk.read(lambda books: books.runs.recent("ingest", 1))[0].outcome == "failed"


def test_a_crash_in_the_middle_loses_one_window_and_the_next_run_goes_on() -> None:
    """Each window is committed by itself; the run after the crash starts where it ended."""
    desk, calls = Desk(), []

    def dies_at_the_third(*args: Any, **window: int) -> CandleSeries:
        calls.append(window["since_ms"])
        if len(calls) == 3:
            raise DiedHere
        return desk.memory_market.candles(*args, **window)

    request = IngestRequest(instruments=(BTC.symbol,), timeframe="1m", history=timedelta(minutes=20))
    market = Behind(desk.memory_market, candles=dies_at_the_third)
    with pytest.raises(DiedHere):
        Ingest(desk.ledger, market, desk.clock, chunk_candles=5).run(desk.run_of("ingest"), [request])
    assert len(stored_opens(desk)) == 10
    Ingest(desk.ledger, market, desk.clock, chunk_candles=5).run(desk.run_of("ingest"), [request])
    opens = stored_opens(desk)
    assert opens == list(range(opens[0], to_ms(T0), 60_000))
    assert len(opens) == 20


def test_changed_filters_become_a_new_version_once_an_hour() -> None:
    """In the first minute of an hour the venue's filters are read again."""
    desk = Desk()
    desk.ingest()
    changed = replace(BTC, min_notional=BTC.min_notional * 2)
    desk.market = Behind(desk.memory_market, instruments=lambda symbols: [changed, ETH])
    desk.next_minute()
    desk.ingest()
    assert desk.read(lambda books: books.instruments.all())[BTC.symbol] == BTC
    desk.clock.advance(59 * 60)
    desk.ingest()
    assert desk.read(lambda books: books.instruments.all())[BTC.symbol] == changed
