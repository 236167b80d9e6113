"""Real files through import, verify and export on PostgreSQL: the sample that is shipped, and larger ones elsewhere.

The larger ones are in no repository: TRADING_TEST_MARKET_DATA names their folder, or these tests are skipped.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.examples import RUN
from trading.adapters.candle_files import ArrowCandleFiles
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import SystemClock
from trading.domain.gaps import GapKind
from trading.domain.market import CandleSeries, from_ms
from trading.flows.export_candles import ExportCandles, ExportRequest
from trading.flows.import_candles import PERHAPS_OPEN, ImportCandles, ImportReport, ImportRequest
from trading.flows.verify_candles import VerifyCandles
from trading.ports.candles import CandleStanding

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

SAMPLE = Path(__file__).parents[3] / "trading" / "paper" / "sample"
FOLDER = os.environ.get("TRADING_TEST_MARKET_DATA")
elsewhere = pytest.mark.skipif(
    FOLDER is None, reason="needs real market data: set TRADING_TEST_MARKET_DATA to the folder of its files"
)
HOUR = 3_600_000


def load(ledger: PostgresLedger, path: Path, **changes: Any) -> ImportReport:
    request = ImportRequest(files=(path,), **changes)
    return ImportCandles(ledger, ArrowCandleFiles(), SystemClock()).run(RUN, request)


def stands(ledger: PostgresLedger) -> dict[tuple[str, str], CandleStanding]:
    with ledger.transaction() as books:
        return {(one.instrument, one.timeframe): one for one in books.candles.standings()}


def gaps(ledger: PostgresLedger, symbol: str, timeframe: str = "1h") -> list[tuple[int, int]]:
    """First missing open, and how many candles."""
    with ledger.transaction() as books:
        found = books.candles.gaps(symbol, timeframe, since_ms=0, until_ms=4 * 10**12)
    return [(gap.from_ms, (gap.to_ms - gap.from_ms) // HOUR) for gap in found]


def rows_of(path: Path) -> dict[str, CandleSeries]:
    """A file's rows by symbol, ascending, read by what the import reads with."""
    from trading.flows.import_candles import joined

    parts: dict[str, list[CandleSeries]] = {}
    for symbol, series in ArrowCandleFiles().read(path):
        parts.setdefault(symbol, []).append(series)
    whole = {symbol: joined(series) for symbol, series in parts.items()}
    return {symbol: series.take(np.argsort(series.open_ms, kind="stable")) for symbol, series in whole.items()}


def assert_same_rows(ours: dict[str, CandleSeries], theirs: dict[str, CandleSeries]) -> None:
    assert ours.keys() == theirs.keys()
    for symbol, series in ours.items():
        for name in CandleSeries.__slots__:
            assert np.array_equal(getattr(series, name), getattr(theirs[symbol], name)), (symbol, name)


def exported(ledger: PostgresLedger, path: Path, timeframe: str) -> dict[str, CandleSeries]:
    ExportCandles(ledger, ArrowCandleFiles()).run(ExportRequest(path=path, timeframe=timeframe))
    return rows_of(path)


def test_the_shipped_sample_has_its_outages_and_comes_back_as_it_went_in(
    postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    """Seven years of hours: 28 outages of 128 hours are noted, nothing else is missing, and every row survives."""
    path = SAMPLE / "BTC-USDT_1h.csv.gz"
    report = load(postgres_ledger, path, taken_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert (report.rows, report.inserted, report.quarantined, report.gaps) == (58_419, 58_419, 0, 28)
    one = stands(postgres_ledger)["BTC/USDT", "1h"]
    assert (one.gaps, one.missing_outage, one.missing_no_trades) == (28, 128, 0)
    assert max(count for _, count in gaps(postgres_ledger, "BTC/USDT")) == 33
    assert [one.differing for one in VerifyCandles(postgres_ledger).run()] == [0]
    assert_same_rows(exported(postgres_ledger, tmp_path / "out_1h.parquet", "1h"), rows_of(path))
    again = load(postgres_ledger, path, taken_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert (again.inserted, again.revised, again.gaps) == (0, 0, 0)


@elsewhere
def test_real_gaps_are_noted_to_the_candle(postgres_ledger: PostgresLedger) -> None:
    """LUNA's six gaps of 449 hours, its rebirth accepted by a person; USDC's six of 4,007, the largest 3,995."""
    luna = Path(FOLDER or "") / "binance_LUNA-USDT_2021-2023_1h.csv.gz"
    assert "leaps" in load(postgres_ledger, luna).failed["LUNA/USDT"]
    assert load(postgres_ledger, luna, jump_accepted=True).failed == {}
    load(postgres_ledger, Path(FOLDER or "") / "binance_USDC-USDT_2021-2023_1h.csv.gz")
    shared = [(1618884000000, 2), (1619326800000, 3), (1628820000000, 4), (1632898800000, 2)]
    last = (1679662800000, 1)
    assert gaps(postgres_ledger, "LUNA/USDT") == [*shared, (1652403600000, 437), last]
    assert gaps(postgres_ledger, "USDC/USDT") == [*shared, (1664161200000, 3995), last]
    assert [one.differing for one in VerifyCandles(postgres_ledger).run()] == [0, 0]


@elsewhere
@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_the_last_row_that_was_open_when_the_file_was_made_is_refused(
    postgres_ledger: PostgresLedger, symbol: str
) -> None:
    report = load(postgres_ledger, Path(FOLDER or "") / f"binance_{symbol}-USDT_2022-2025_1h.csv.gz")
    assert (report.rows, report.inserted, report.quarantined) == (34_349, 34_348, 1)
    assert gaps(postgres_ledger, f"{symbol}/USDT") == [(1679662800000, 1)]
    with postgres_ledger.transaction() as books:
        found = books.candles._session.connection.execute("SELECT open_time, reason FROM trading.candle_quarantine")
        assert [(row["open_time"], row["reason"]) for row in found] == [(from_ms(1764651600000), PERHAPS_OPEN)]


@elsewhere
def test_twenty_four_instruments_come_back_as_they_went_in(postgres_ledger: PostgresLedger, tmp_path: Path) -> None:
    path = Path(FOLDER or "") / "binance_24symbols_5m_2024.parquet"
    report = load(postgres_ledger, path, timeframe="5m", taken_at=datetime(2025, 1, 1, tzinfo=UTC))
    assert (report.rows, report.inserted, report.quarantined, report.failed) == (1_666_195, 1_666_195, 0, {})
    assert not any(one.differing for one in VerifyCandles(postgres_ledger).run())
    assert_same_rows(exported(postgres_ledger, tmp_path / "out_5m.parquet", "5m"), rows_of(path))


@elsewhere
def test_a_venue_without_quiet_candles_has_quiet_minutes_and_outages(
    postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    """Two years of Bitfinex minutes: 13,947 stretches without a candle, of which 7 are longer than an hour."""
    path = Path(FOLDER or "") / "bitfinex_BTC-USD_1m_2018-2019.parquet"
    made = datetime(2020, 1, 1, tzinfo=UTC)
    report = load(postgres_ledger, path, timeframe="1m", instrument="BTC/USD", taken_at=made, every_candle=False)
    assert (report.rows, report.inserted, report.quarantined) == (1_033_226, 1_033_226, 0)
    one = stands(postgres_ledger)["BTC/USD", "1m"]
    assert (one.gaps, one.missing_outage + one.missing_no_trades) == (13_947, 17_974)
    with postgres_ledger.transaction() as books:
        found = books.candles.gaps("BTC/USD", "1m", since_ms=0, until_ms=4 * 10**12)
    assert sum(gap.kind is GapKind.OUTAGE for gap in found) == 7
    assert_same_rows(
        exported(postgres_ledger, tmp_path / "out_1m.parquet", "1m"),
        {"BTC/USD": next(iter(rows_of_unnamed(path).values()))},
    )


def rows_of_unnamed(path: Path) -> dict[str, CandleSeries]:
    from trading.flows.import_candles import joined

    return {"": joined([series for _, series in ArrowCandleFiles().read(path, "BTC/USD")])}
