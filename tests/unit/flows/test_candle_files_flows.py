"""Files into the store and out of it: the same checks as the venue's candles, the same rows back; and verifying."""

import gzip
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.desk import Desk
from tests.examples import BTC, ETH, T0, candles
from trading.adapters.candle_files import ArrowCandleFiles
from trading.domain.gaps import CandleGap, GapKind
from trading.domain.market import CandleSeries, to_ms
from trading.errors import ConfigurationError, DataError
from trading.flows.export_candles import ExportCandles, ExportRequest
from trading.flows.import_candles import PERHAPS_OPEN, STILL_OPEN, ImportCandles, ImportReport, ImportRequest
from trading.flows.verify_candles import VerifyCandles

STEP = 60_000
FIRST = to_ms(T0) - 1_000 * STEP
HEADER = "timestamp_ms,open,high,low,close,volume"


def line(row: int, price: float = 10.0, symbol: str = "") -> str:
    return f"{symbol}{FIRST + row * STEP},{price},{price},{price},{price},1.5"


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    content = "\n".join([header, *lines, ""]).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def desk() -> Desk:
    return Desk()


def load(desk: Desk, *paths: Path, **changes: Any) -> ImportReport:
    flow = ImportCandles(desk.ledger, ArrowCandleFiles(), desk.clock)
    return flow.run(desk.run_of("import"), ImportRequest(files=paths, **changes))


def opens(desk: Desk, symbol: str = BTC.symbol, timeframe: str = "1m") -> list[int]:
    found = desk.read(lambda books: books.candles.series(symbol, timeframe, since_ms=0, until_ms=to_ms(T0)))
    return [(open_ms - FIRST) // STEP for open_ms in found.open_ms.tolist()]


def refused(desk: Desk) -> list[tuple[int, str]]:
    return [
        ((candle.open_ms - FIRST) // STEP, candle.reason)
        for _, _, candle in desk.read(lambda books: books.candles.quarantined())
    ]


@pytest.mark.parametrize("name", ["BTC-USDT_1m.csv", "binance_BTC-USDT_2022-2025_1m.csv.gz"])
def test_a_file_names_its_instrument_and_timeframe_and_may_have_been_made_while_its_last_candle_was_open(
    desk: Desk, tmp_path: Path, name: str
) -> None:
    """Nothing says that the last row was closed, so it is refused, with the reason; a gap is noted to the candle."""
    report = load(desk, write(tmp_path / name, *(line(row) for row in (0, 1, 2, 5, 6))))
    assert opens(desk) == [0, 1, 2, 5]
    assert refused(desk) == [(6, PERHAPS_OPEN)]
    assert desk.read(lambda books: books.candles.gaps(BTC.symbol, "1m", since_ms=0, until_ms=to_ms(T0))) == [
        CandleGap(from_ms=FIRST + 3 * STEP, to_ms=FIRST + 5 * STEP, kind=GapKind.OUTAGE)
    ]
    assert report.counts == {
        "files": 1, "rows": 5, "instruments": 1, "candles": 4, "revised": 0, "quarantined": 1, "gaps": 1,
        "failed_instruments": 0,
    }  # fmt: skip


def test_with_the_time_at_which_it_was_made_the_file_is_loaded_up_to_there(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path / "BTC-USDT_1m.csv", *(line(row) for row in range(4)))
    load(desk, path, taken_at=T0 - timedelta(minutes=997))
    assert opens(desk) == [0, 1, 2]
    assert refused(desk) == [(3, STILL_OPEN)]


def test_a_second_import_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path / "BTC-USDT_1m.csv", *(line(row) for row in (0, 1, 3)))
    load(desk, path, taken_at=T0)
    counts = load(desk, path, taken_at=T0).counts
    assert {name: counts[name] for name in ("candles", "revised", "gaps")} == {"candles": 0, "revised": 0, "gaps": 0}


def test_rows_that_no_venue_can_have_made_are_refused_each_with_its_reason(desk: Desk, tmp_path: Path) -> None:
    rows = [
        line(0), f"{FIRST + STEP},10,9,8,10,1", f"{FIRST + 2 * STEP + 1},10,10,10,10,1", line(3), line(3, 11.0),
        line(4), f"{FIRST + 5 * STEP},nan,10,10,10,1", f"{FIRST + 6 * STEP},1e400,1e400,10,10,1", line(7), line(2_000),
    ]  # fmt: skip
    load(desk, write(tmp_path / "BTC-USDT_1m.csv", *rows), taken_at=T0 + timedelta(days=30))
    assert opens(desk)[:3] == [0, 4, 7]
    reasons = sorted(reason for _, reason in refused(desk))
    assert reasons == ["doubled with other values"] * 2 + ["insane"] * 3 + ["off the grid"]


def test_many_instruments_in_one_file_wherever_its_batches_end(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored in small parts, of files sorted by time or by symbol: the same candles, and no gap where parts meet."""
    from trading.adapters import candle_files
    from trading.flows import import_candles

    monkeypatch.setattr(candle_files, "_BATCH_ROWS", 7)
    monkeypatch.setattr(import_candles, "MOST_WAITING", 10)
    by_time = [line(row, symbol=f"{symbol},") for row in range(30) for symbol in (BTC.symbol, ETH.symbol)]
    path = write(tmp_path / "all_1m.csv", *by_time, header=f"symbol,{HEADER}")
    report = load(desk, path, taken_at=T0)
    assert opens(desk) == opens(desk, ETH.symbol) == list(range(30))
    assert (report.inserted, report.gaps, report.quarantined) == (60, 0, 0)
    by_symbol = write(tmp_path / "sorted_1m.csv", *sorted(by_time), header=f"symbol,{HEADER}")
    assert load(desk, by_symbol, taken_at=T0).counts["candles"] == 0


def test_an_instrument_that_left_its_scale_stops_alone(desk: Desk, tmp_path: Path) -> None:
    """LUNA's way: 0.00005, then 1.00 under the same name. Only when a person says so is it stored."""
    rows = [line(0, 0.00005, "LUNA/USDT,"), line(9, 1.0, "LUNA/USDT,"), line(0, 10.0, "BTC/USDT,")]
    path = write(tmp_path / "all_1m.csv", *rows, header=f"symbol,{HEADER}")
    report = load(desk, path, taken_at=T0)
    assert "leaps from a close at 5e-05 to an open at 1" in report.failed["LUNA/USDT"]
    assert (opens(desk, "LUNA/USDT"), opens(desk)) == ([], [0])
    assert load(desk, path, taken_at=T0, jump_accepted=True).failed == {}
    assert opens(desk, "LUNA/USDT") == [0, 9]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("BTC-USDT_1m.csv", b"", DataError),
        ("BTC-USDT_1m.csv", b"<html>busy</html>\n", DataError),
        ("BTC-USDT_1m.csv", b"timestamp_ms,open\n1,2\n", DataError),
        ("BTC-USDT_1m.csv", HEADER.encode() + b"\n1,2,3\n", DataError),
        ("BTC-USDT_1m.csv", HEADER.encode() + b"\n60000,,1,1,1,1\n", DataError),
        ("BTC-USDT_1m.csv", HEADER.encode() + b"\nsoon,1,1,1,1,1\n", DataError),
        ("BTC-USDT_1m.csv", HEADER.encode() + b"\n99999999999999999,1,1,1,1,1\n", DataError),
        ("BTC-USDT_1m.csv", HEADER.encode() + b"\n\xff\xfe\x00,1,1,1,1,1\n", DataError),
        ("BTC-USDT_1m.csv.gz", b"\x1f\x8b\x08\x00 cut short", DataError),
        ("BTC-USDT_1m.parquet", b"PAR1 no footer", DataError),
        ("BTC-USDT_1m.parquet", b"PAR1" + b"\xff" * 64 + b"PAR1", DataError),
        ("BTC-USDT_1m.parquet", b"", DataError),
        ("BTC-USDT.csv", HEADER.encode() + b"\n60000,1,1,1,1,1\n", ConfigurationError),
        ("BTC-USDT_7m.csv", HEADER.encode() + b"\n60000,1,1,1,1,1\n", ConfigurationError),
        ("bitcoin_1m.csv", HEADER.encode() + b"\n60000,1,1,1,1,1\n", ConfigurationError),
    ],
)
def test_what_is_no_file_of_candles_is_refused_in_a_sentence_that_names_it(
    desk: Desk, tmp_path: Path, name: str, content: bytes, error: type[Exception]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=name.replace(".", r"\.")):
        load(desk, path)
    assert desk.read(lambda books: books.candles.count()) == 0


def test_what_is_exported_is_imported_to_the_same_rows(desk: Desk, tmp_path: Path) -> None:
    """Every bit of every float, of all instruments; within a window where one is named."""
    odd = [float(np.nextafter(10, 11)), 10.1, 0.1 + 10.2]
    with desk.memory_ledger.transaction() as books:
        for symbol in (BTC.symbol, ETH.symbol):
            books.candles.upsert(symbol, "1m", candles(FIRST, odd), at=T0, run=desk.run_of("test"))
    export = ExportCandles(desk.ledger, ArrowCandleFiles())
    path = tmp_path / "all_1m.parquet"
    assert export.run(ExportRequest(path=path, timeframe="1m")) == 6
    other = Desk()
    load(other, path, taken_at=T0)
    for symbol in (BTC.symbol, ETH.symbol):
        ours, theirs = (
            one.read(lambda books, s=symbol: books.candles.series(s, "1m", since_ms=0, until_ms=to_ms(T0)))
            for one in (desk, other)
        )
        for name in CandleSeries.__slots__:
            assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
    part = ExportRequest(
        path=tmp_path / "part.parquet",
        timeframe="1m",
        instruments=(BTC.symbol,),
        since=T0 - timedelta(minutes=999),
        until=T0 - timedelta(minutes=998),
    )
    assert export.run(part) == 1


def test_an_export_overwrites_nothing_and_leaves_no_half_file(desk: Desk, tmp_path: Path) -> None:
    with desk.memory_ledger.transaction() as books:
        books.candles.upsert(BTC.symbol, "1m", candles(FIRST, [1.0]), at=T0, run=desk.run_of("test"))
    export = ExportCandles(desk.ledger, ArrowCandleFiles())
    path = tmp_path / "all.parquet"
    path.write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match="exists"):
        export.run(ExportRequest(path=path, timeframe="1m"))
    assert path.read_bytes() == b"mine"
    with pytest.raises(ConfigurationError, match="1h"):
        export.run(ExportRequest(path=tmp_path / "new.parquet", timeframe="1h"))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        export.run(ExportRequest(path=tmp_path / "nowhere" / "new.parquet", timeframe="1m"))
    assert [one.name for one in tmp_path.iterdir()] == ["all.parquet"]


def hours(desk: Desk, change: Callable[[CandleSeries], None] = lambda series: None) -> None:
    """Three hours of minutes, and the hours that they make, with something changed in those."""
    start = FIRST // 3_600_000 * 3_600_000 + 3_600_000
    fine = candles(start, [10.0 + row % 7 for row in range(180)])
    from trading.domain.resampling import resampled

    coarse = resampled(fine, "1m", "1h")
    change(coarse)
    with desk.memory_ledger.transaction() as books:
        books.candles.upsert(BTC.symbol, "1m", fine, at=T0, run=desk.run_of("test"))
        books.candles.upsert(BTC.symbol, "1h", coarse, at=T0, run=desk.run_of("test"))


def test_hours_are_derived_from_minutes_and_compared(desk: Desk) -> None:
    """Equal ones pass; one changed close is found, and named."""
    hours(desk)
    found = {(one.timeframe, one.derived_from): one for one in VerifyCandles(desk.ledger).run()}
    assert found["1h", "1m"].compared == 3
    assert {one.differing for one in found.values()} == {0}

    def wrong(series: CandleSeries) -> None:
        series.volume[1] += 1

    other = Desk()
    hours(other, wrong)
    (one,) = [one for one in VerifyCandles(other.ledger).run() if one.differing]
    assert (one.timeframe, one.derived_from, one.differing) == ("1h", "1m", 1)
    assert to_ms(one.first_difference) % 3_600_000 == 0


def test_what_is_missing_without_a_gap_and_a_gap_with_a_candle_in_it_are_found(desk: Desk) -> None:
    series = candles(FIRST, [1.0, 1.0, 1.0, 1.0]).take(np.array([0, 2, 3]))
    gap = CandleGap(from_ms=FIRST + 2 * STEP, to_ms=FIRST + 3 * STEP, kind=GapKind.OUTAGE)
    with desk.memory_ledger.transaction() as books:
        books.candles.upsert(BTC.symbol, "1m", series, at=T0, run=desk.run_of("test"))
        books.candles.change_gaps(BTC.symbol, "1m", gone=[], noted=[gap], at=T0, run=desk.run_of("test"))
    (one,) = VerifyCandles(desk.ledger).run()
    assert (one.derived_from, one.compared, one.differing) == ("gaps", 4, 2)
    assert to_ms(one.first_difference) == FIRST + STEP
