"""Ingest and evaluate around gaps: what is missing becomes a fact; a signal needs a whole window, or says otherwise."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.desk import Behind, Desk, constant, plan, portfolio
from tests.examples import BTC, ETH, T0
from trading.domain.decision import DecisionStatus, panel_hash
from trading.domain.gaps import CandleGap, GapKind
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Panel, to_ms
from trading.errors import DataError
from trading.flows.ingest import Ingest, IngestRequest
from trading.flows.trusted_panel import trusted_panel

STEP = 60_000
NOW = to_ms(T0)
RUN = Run(run_id="ingest_candles__1", dag_id="ingest_candles")


def lacking(desk: Desk, *rows: int, symbol: str = BTC.symbol) -> None:
    """From here on the venue has no such candles of BTC: row -1 is the newest closed one."""
    gone = [NOW + row * STEP for row in rows]

    def candles(asked: str, *args: Any, **window: int) -> CandleSeries:
        series = desk.memory_market.candles(asked, *args, **window)
        return series.take(~np.isin(series.open_ms, gone)) if asked == symbol else series

    desk.market = Behind(desk.memory_market, candles=candles)


def gaps(desk: Desk, symbol: str = BTC.symbol) -> list[tuple[int, int, str]]:
    found = desk.read(
        lambda books: books.candles.gaps(symbol, "1m", since_ms=NOW - 99 * STEP, until_ms=NOW + 99 * STEP)
    )
    return [((gap.from_ms - NOW) // STEP, (gap.to_ms - NOW) // STEP, gap.kind.value) for gap in found]


def ingest(desk: Desk, *, every_candle: bool, minutes: int = 20, **changes: Any) -> Any:
    request = IngestRequest(instruments=(BTC.symbol,), timeframe="1m", history=timedelta(minutes=minutes))
    flow = Ingest(desk.ledger, desk.market, desk.clock, chunk_candles=5, every_candle=every_candle)
    return flow.run(desk.run_of("ingest"), [replace(request, **changes)])


def test_what_the_venue_lacks_is_a_gap_to_the_candle() -> None:
    """Rows -12 … -10 and -7 are missing, across windows of five: two outages, each from its first to its end."""
    desk = Desk()
    lacking(desk, -12, -11, -10, -7)
    assert ingest(desk, every_candle=True).gaps == 3  # the first one was noted in two pieces, and joined
    assert gaps(desk) == [(-12, -9, "outage"), (-7, -6, "outage")]


def test_where_a_venue_makes_no_candle_for_a_quiet_minute_it_is_no_trades() -> None:
    desk = Desk()
    lacking(desk, -12, -11)
    ingest(desk, every_candle=False)
    assert gaps(desk) == [(-12, -10, "no_trades")]


def test_a_refused_candle_is_never_taken_for_a_quiet_minute() -> None:
    desk = Desk()

    def insane(*args: Any, **window: int) -> CandleSeries:
        series = desk.memory_market.candles(*args, **window)
        series.high[series.open_ms == NOW - 7 * STEP] = 1.0
        return series

    desk.market = Behind(desk.memory_market, candles=insane)
    ingest(desk, every_candle=False)
    assert gaps(desk) == [(-7, -6, "outage")]


def test_a_candle_that_may_only_be_late_is_no_gap_yet() -> None:
    """The newest closed candle is not there two seconds after its close; a minute later it is."""
    desk = Desk()
    lacking(desk, -2, -1)
    desk.ingest()
    assert gaps(desk) == []
    desk.market = desk.memory_market
    desk.next_minute()
    desk.ingest()
    assert gaps(desk) == []


def test_a_candle_that_comes_after_all_ends_its_gap() -> None:
    """The venue makes up for what it lacked; the fact that it was missing stays in the past."""
    desk = Desk()
    lacking(desk, -3)
    desk.ingest()
    assert gaps(desk) == [(-3, -2, "outage")]
    then = desk.clock.now()
    desk.clock.advance(1)
    desk.market = desk.memory_market
    desk.ingest(since=T0 - timedelta(minutes=5))
    assert gaps(desk) == []
    known = desk.read(lambda books: books.candles.gaps(BTC.symbol, "1m", since_ms=0, until_ms=NOW, known_at=then))
    assert known == [CandleGap(from_ms=NOW - 3 * STEP, to_ms=NOW - 2 * STEP, kind=GapKind.OUTAGE)]


def test_before_its_first_candle_an_instrument_has_no_gaps() -> None:
    """It was not listed yet."""
    desk = Desk()
    lacking(desk, *range(-20, -8))
    ingest(desk, every_candle=True)
    assert gaps(desk) == []


def test_only_what_is_missing_is_asked_for_when_only_that_is_wanted() -> None:
    """A window in which each candle is stored or known to be missing costs the venue nothing."""
    desk = Desk()
    lacking(desk, -12)
    since, until = T0 - timedelta(minutes=20), T0 - timedelta(minutes=5)
    ingest(desk, every_candle=True, since=since, until=until, only_missing=True)
    inner, asked = desk.market, []

    def counting(*args: Any, **window: int) -> CandleSeries:
        asked.append(window)
        return inner.candles(*args, **window)

    desk.market = Behind(inner, candles=counting)
    ingest(desk, every_candle=True, since=since, until=until, only_missing=True)
    assert asked == []
    ingest(desk, every_candle=True, since=since - timedelta(minutes=5), until=until, only_missing=True)
    assert [window["since_ms"] for window in asked] == [NOW - 25 * STEP]


def scaled(desk: Desk, factor: float, from_row: int) -> None:
    """From that candle on BTC's prices are multiplied, as when a venue re-scales it or gives its name away."""

    def candles(symbol: str, *args: Any, **window: int) -> CandleSeries:
        series = desk.memory_market.candles(symbol, *args, **window)
        if symbol == BTC.symbol:
            for column in (series.open, series.high, series.low, series.close):
                column[series.open_ms >= NOW + from_row * STEP] *= factor
        return series

    desk.market = Behind(desk.memory_market, candles=candles)


@pytest.mark.parametrize("factor", [20_000.0, 0.001])
def test_a_price_that_leaves_its_scale_stops_the_instrument_until_somebody_says_so(factor: float) -> None:
    """The leap is in the next candle to store: nothing of it is, at this run and the next; the others go on."""
    desk = Desk()
    desk.ingest()
    scaled(desk, factor, 0)
    for _ in range(2):
        desk.next_minute()
        report = desk.ingest()
        assert "leaps from a close at 100" in report.failed[BTC.symbol]
        assert report.newest_close[BTC.symbol] == T0
    assert report.newest_close[ETH.symbol] == T0 + timedelta(minutes=2)
    report = desk.ingest(jump_accepted=True)
    assert (report.failed, report.newest_close[BTC.symbol]) == ({}, T0 + timedelta(minutes=2))
    desk.next_minute()
    assert desk.ingest().failed == {}


def test_a_leap_inside_a_window_stores_nothing_of_the_window() -> None:
    desk = Desk()
    scaled(desk, 20_000.0, -2)
    assert "leaps" in desk.ingest().failed[BTC.symbol]
    assert desk.read(lambda books: books.candles.newest_open_ms([BTC.symbol], "1m")) == {}


@pytest.mark.parametrize("gone", [DataError("BTCUSDT is XBT/USDT now"), None], ids=["renamed", "halted"])
def test_a_renamed_or_halted_instrument_stops_and_its_past_can_be_read(gone: DataError | None) -> None:
    """It is reported at each run, though its filters are read once an hour, and comes back at once when it trades."""
    desk = Desk()
    desk.ingest()

    def instruments(symbols: list[str]) -> list[Any]:
        if gone is not None and BTC.symbol in symbols:
            raise gone
        return [replace(BTC, trading=False) if symbol == BTC.symbol else ETH for symbol in symbols]

    desk.clock.advance(60 * 60)
    desk.market = Behind(desk.memory_market, instruments=instruments)
    for _ in range(2):
        report = desk.ingest()
        assert "does not trade it now" in report.failed[BTC.symbol]
        desk.next_minute()
    assert desk.ingest(since=T0 - timedelta(minutes=9)).failed == {}
    desk.market = desk.memory_market
    assert desk.ingest().failed == {}


def needs(desk_weights: Callable[[Panel], Any], tolerated: int = 0) -> Desk:
    one = plan(max_missing_candles=tolerated, instruments=(BTC.symbol,))
    return Desk(portfolio_=portfolio(one, instruments=(BTC.symbol,)), weights={"sma": desk_weights})


def newest(desk: Desk) -> Any:
    return desk.read(lambda books: books.decisions.newest("sma"))


def test_a_window_that_touches_a_gap_decides_only_where_the_plan_tolerates_it() -> None:
    """The window is two candles, one is missing: no signal with a tolerance of 0, a decision with 1, which sees NaN."""
    for tolerated, status in ((0, DecisionStatus.NO_SIGNAL), (1, DecisionStatus.DECIDED)):
        seen: list[float] = []

        def looks(panel: Panel, seen: list[float] = seen) -> Any:
            seen.extend(panel.close[:, 0].tolist())
            return np.full((len(panel), 1), 0.5)

        desk = needs(looks, tolerated)
        lacking(desk, -2)
        ingest(desk, every_candle=True)
        desk.evaluate()
        assert newest(desk).status is status
        assert np.isnan(seen).tolist() == ([True, False] if tolerated else [])


def test_a_quiet_minute_is_seen_as_a_flat_candle() -> None:
    """Known to be quiet, it is no gap: the strategy sees the close before, and volume 0."""
    seen: list[tuple[float, float]] = []

    def looks(panel: Panel) -> Any:
        seen.append((float(panel.close[-1, 0]), float(panel.volume[-1, 0])))
        return np.full((len(panel), 1), 0.5)

    desk = needs(looks)
    lacking(desk, 1)
    desk.ingest()
    desk.clock.advance(3 * 60)
    for _ in range(2):  # it was among the last candles of a window: the next run looks again
        ingest(desk, every_candle=False)
    with desk.memory_ledger.transaction() as books:
        panel = trusted_panel(books.candles, [BTC.symbol], "1m", until=T0 + timedelta(minutes=2), candles=2)
    assert (panel.close[:, 0].tolist(), panel.volume[:, 0].tolist()) == ([100.0, 100.0], [10_000.0, 0.0])
    desk.evaluate()
    assert newest(desk).status is DecisionStatus.DECIDED


def test_a_replay_sees_what_the_decision_saw() -> None:
    """The candle is restated after the decision: as known when it was decided, its inputs hash to what it stored."""
    desk = Desk(weights={"sma": constant(0.5, 0.3)})
    desk.ingest()
    desk.evaluate()
    decision = newest(desk)

    def restated(*args: Any, **window: int) -> CandleSeries:
        series = desk.memory_market.candles(*args, **window)
        series.volume[series.open_ms == NOW - STEP] = 7.0
        return series

    desk.clock.advance(1)
    desk.market = Behind(desk.memory_market, candles=restated)
    assert desk.ingest().revised == 2
    (one,) = desk.portfolio.strategies

    def hashed(**known: Any) -> str:
        with desk.memory_ledger.transaction() as books:
            panel = trusted_panel(books.candles, one.instruments, "1m", until=decision.as_of, candles=2, **known)
        return panel_hash(panel, one.parameters)

    assert hashed() != decision.input_hash
    assert hashed(known_at=decision.decided_at) == decision.input_hash
