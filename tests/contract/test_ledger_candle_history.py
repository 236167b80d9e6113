"""What both ledgers promise of candles' pasts: what was known when, gaps and their kinds, and what stands of it all."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from tests.examples import BTC, ETH, MINUTE, RUN, T0, candles
from trading.domain.candles import RejectedCandle
from trading.domain.gaps import CandleGap, GapKind
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, to_ms
from trading.errors import InvariantViolation
from trading.ports.candles import CandleChange
from trading.ports.ledger import Ledger

START = to_ms(T0)
STEP = 60_000
LATER = Run(run_id="ingest_candles__2", dag_id="ingest_candles")


def store(ledger: Ledger, series: CandleSeries, at: datetime = T0, symbol: str = BTC.symbol) -> CandleChange:
    with ledger.transaction() as books:
        return books.candles.upsert(symbol, "1m", series, at=at, run=RUN)


def closes_known(ledger: Ledger, at: datetime | None) -> list[float]:
    with ledger.transaction() as books:
        panel = books.candles.panel([BTC.symbol], "1m", until=T0 + 3 * MINUTE, candles=3, known_at=at)
    return [-1.0 if np.isnan(close) else close for close in panel.close[:, 0].tolist()]


def test_candles_as_known_at_a_time_are_those_that_were_stored_then(ledger: Ledger) -> None:
    """A restatement, and one of the restatement, change what is known from their time on, and nothing before it."""
    store(ledger, candles(START, [10.0, 11.0]), T0)
    store(ledger, candles(START, [10.0, 11.5, 12.0]), T0 + MINUTE)
    store(ledger, candles(START + STEP, [11.7]), T0 + 2 * MINUTE)
    assert closes_known(ledger, T0 - MINUTE) == [-1.0, -1.0, -1.0]
    assert closes_known(ledger, T0) == [10.0, 11.0, -1.0]
    assert closes_known(ledger, T0 + MINUTE - MINUTE / 60) == [10.0, 11.0, -1.0]
    assert closes_known(ledger, T0 + MINUTE) == [10.0, 11.5, 12.0]
    assert closes_known(ledger, T0 + 3 * MINUTE) == [10.0, 11.7, 12.0]
    assert closes_known(ledger, None) == [10.0, 11.7, 12.0]


def test_a_clock_that_is_behind_turns_no_history_around(ledger: Ledger) -> None:
    """A worker whose clock lags restates what a later one stored: at each time exactly one version is known."""
    store(ledger, candles(START, [10.0]), T0 + MINUTE)
    store(ledger, candles(START, [20.0]), T0)
    assert closes_known(ledger, T0)[0] == -1.0
    assert closes_known(ledger, T0 + MINUTE)[0] == 20.0


def test_a_series_is_read_back_in_order_and_within_its_window(ledger: Ledger) -> None:
    late = candles(START + 3 * STEP, [13.0, 14.0])
    early = candles(START, [10.0, 11.0])
    store(ledger, late)
    store(ledger, early)
    with ledger.transaction() as books:
        found = books.candles.series(BTC.symbol, "1m", since_ms=START + STEP, until_ms=START + 4 * STEP)
        assert books.candles.oldest_open_ms(BTC.symbol, "1m") == START
        assert books.candles.oldest_open_ms(ETH.symbol, "1m") is None
        assert books.candles.close_before(BTC.symbol, "1m", START + 3 * STEP) == 11.0
        assert books.candles.close_before(BTC.symbol, "1m", START) is None
        assert len(books.candles.series(ETH.symbol, "1m", since_ms=0, until_ms=START)) == 0
    assert (found.open_ms.tolist(), found.close.tolist()) == ([START + STEP, START + 3 * STEP], [11.0, 13.0])


def test_a_series_out_of_order_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvariantViolation, match="ascending"):
        store(ledger, candles(START, [10.0, 11.0]).take(np.array([1, 0])))


OUTAGE = CandleGap(from_ms=START, to_ms=START + 2 * STEP, kind=GapKind.OUTAGE)
QUIET = CandleGap(from_ms=START + 5 * STEP, to_ms=START + 6 * STEP, kind=GapKind.NO_TRADES)


def change(ledger: Ledger, *, gone: list[CandleGap], noted: list[CandleGap], at: datetime) -> None:
    with ledger.transaction() as books:
        books.candles.change_gaps(BTC.symbol, "1m", gone=gone, noted=noted, at=at, run=LATER)


def gaps(ledger: Ledger, since: int = -10, until: int = 10, at: datetime | None = None) -> list[CandleGap]:
    with ledger.transaction() as books:
        window = {"since_ms": START + since * STEP, "until_ms": START + until * STEP}
        return books.candles.gaps(BTC.symbol, "1m", **window, known_at=at)


def test_gaps_are_facts_with_a_time_from_which_they_were_known(ledger: Ledger) -> None:
    change(ledger, gone=[], noted=[QUIET, OUTAGE], at=T0)
    shorter = replace(OUTAGE, to_ms=START + STEP)
    change(ledger, gone=[OUTAGE], noted=[shorter], at=T0 + MINUTE)
    assert gaps(ledger) == [shorter, QUIET]
    assert gaps(ledger, at=T0 - MINUTE) == []
    assert gaps(ledger, at=T0) == [OUTAGE, QUIET]
    assert gaps(ledger, at=T0 + MINUTE) == [shorter, QUIET]
    change(ledger, gone=[shorter, QUIET], noted=[], at=T0 + 2 * MINUTE)
    assert gaps(ledger) == []


@pytest.mark.parametrize(("since", "until", "found"), [(-9, -1, 0), (-9, 0, 1), (2, 4, 1), (3, 4, 0), (1, 5, 2)])
def test_gaps_are_found_where_they_overlap_or_touch(ledger: Ledger, since: int, until: int, found: int) -> None:
    change(ledger, gone=[], noted=[OUTAGE, QUIET], at=T0)
    assert len(gaps(ledger, since, until)) == found


def test_a_second_gap_from_the_same_open_is_refused_by_the_database(ledger: Ledger) -> None:
    if "Postgres" not in repr(ledger):
        pytest.skip("what PostgreSQL's own index keeps out")
    change(ledger, gone=[], noted=[OUTAGE], at=T0)
    with pytest.raises(InvariantViolation):
        change(ledger, gone=[], noted=[OUTAGE], at=T0)


def test_what_stands_is_counted_by_instrument_and_timeframe(ledger: Ledger) -> None:
    refused = RejectedCandle(open_ms=START + 9 * STEP, values=(1.0, 1.0, 1.0, 1.0, -1.0), reason="insane")
    store(ledger, candles(START, [10.0, 11.0]))
    store(ledger, candles(START, [10.0, 11.5]), T0 + MINUTE)
    store(ledger, candles(START, [20.0]), symbol=ETH.symbol)
    change(ledger, gone=[], noted=[OUTAGE, QUIET], at=T0)
    with ledger.transaction() as books:
        books.candles.quarantine(BTC.symbol, "1m", [refused], at=T0, run=RUN)
        btc, eth = books.candles.standings()
    assert (btc.instrument, btc.timeframe, btc.candles) == (BTC.symbol, "1m", 2)
    assert (btc.first_open, btc.last_open) == (T0, T0 + MINUTE)
    assert (btc.gaps, btc.missing_outage, btc.missing_no_trades) == (2, 2, 1)
    assert (btc.quarantined, btc.revisions, btc.last_revision_at) == (1, 1, T0 + MINUTE)
    assert (eth.instrument, eth.candles, eth.gaps, eth.quarantined, eth.last_revision_at) == (ETH.symbol, 1, 0, 0, None)


def test_a_long_sparse_series_is_stored_whole(ledger: Ledger) -> None:
    """Ten years between two candles cost no more than the candles."""
    years = 10 * 365 * 86_400_000
    series = CandleSeries.from_rows([(START - years, 1.0, 1.0, 1.0, 1.0, 1.0), (START, 2.0, 2.0, 2.0, 2.0, 1.0)])
    assert store(ledger, series) == CandleChange(inserted=2, revised=0)
    assert store(ledger, series) == CandleChange(inserted=0, revised=0)
