"""`trading data` and the windows of `trading ingest`: what stands, what differs, files in and out."""

import json
from pathlib import Path

from tests.desk import Behind, Desk
from tests.examples import BTC, T0
from tests.unit.commands.conftest import Trading
from trading.domain.market import CandleSeries, to_ms

HEADER = "timestamp_ms,open,high,low,close,volume"


def rows(first: int, count: int) -> str:
    start = to_ms(T0) // 60_000 * 60_000
    lines = [f"{start + (first + row) * 60_000},100,101,99,100,5" for row in range(count)]
    return "\n".join([HEADER, *lines, ""])


def test_what_stands_is_shown_with_its_staleness(trading: Trading, desk: Desk) -> None:
    said = trading("data", "status", "--json")
    btc, eth = json.loads(said.out)
    assert said.code == 0
    assert (btc["instrument"], btc["timeframe"], btc["gaps"], btc["quarantined"]) == ("BTC/USDT", "1m", 0, 0)
    assert btc["behind_s"] == 2  # two seconds past the close of the newest
    assert btc["last_open"] == "2026-03-02T11:59:00.000Z"
    assert eth["instrument"] == "ETH/USDT"
    assert "behind_s" in trading("data", "status", "--instrument", "BTC/USDT").out


def test_what_holds_together_passes_and_what_does_not_exits_65(trading: Trading, desk: Desk) -> None:
    assert trading("data", "verify").code == 0
    with desk.memory_ledger.transaction() as books:
        hour = CandleSeries.from_rows([(to_ms(T0) - 3_600_000 * 2, 100.0, 100.0, 100.0, 100.0, 1.0)])
        books.candles.upsert(BTC.symbol, "1h", hour, at=T0, run=desk.run_of("test"))
        far = CandleSeries.from_rows([(to_ms(T0) - 3_600_000, 100.0, 100.0, 100.0, 100.0, 1.0)])
        books.candles.upsert(BTC.symbol, "1m", far, at=T0, run=desk.run_of("test"))
    said = trading("data", "verify", "--json")
    assert said.code == 65
    assert [(one["timeframe"], one["derived_from"]) for one in json.loads(said.out) if one["differing"]] == [
        ("1m", "gaps")
    ]


def test_a_file_goes_in_and_comes_out(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "SOL-USDT_1m.csv"
    path.write_text(rows(-100, 10))
    said = trading("data", "import", str(path), "--json")
    counts = json.loads(said.out)
    assert (said.code, counts["candles"], counts["quarantined"]) == (0, 9, 1)
    run = desk.read(lambda books: books.runs.recent("import_candles", 1))[0]
    assert (run.outcome, run.counts["candles"]) == ("done", 9)
    out = tmp_path / "out_1m.parquet"
    exported = trading("data", "export", str(out), "--timeframe", "1m", "--instrument", "SOL/USDT", "--json")
    assert json.loads(exported.out) == {"file": str(out), "rows": 9}
    assert trading("data", "export", str(out), "--timeframe", "1m").code == 78


def test_wrong_files_are_one_sentence(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    bad = tmp_path / "BTC-USDT_1m.csv"
    bad.write_text("<html>busy</html>")
    said = trading("data", "import", str(bad))
    assert said.code == 65
    assert said.err.startswith("error: BTC-USDT_1m.csv: expected")
    assert trading("data", "import", str(tmp_path / "none.csv")).code == 2
    assert trading("data", "import", str(bad), "--timeframe", "7m").code == 78


def test_a_leap_in_the_price_is_stored_only_when_somebody_says_so(trading: Trading, desk: Desk) -> None:
    inner = desk.memory_market

    def scaled(symbol: str, *args: object, **window: int) -> CandleSeries:
        series = inner.candles(symbol, *args, **window)
        if symbol == BTC.symbol:
            for column in (series.open, series.high, series.low, series.close):
                column[series.open_ms >= to_ms(T0)] *= 1000
        return series

    desk.next_minute()
    desk.market = Behind(inner, candles=scaled)
    said = trading("ingest", "--json")
    assert said.code == 1
    assert "--accept-jump" in json.loads(said.out)["failed"]["BTC/USDT"]
    assert trading("ingest", "--accept-jump").code == 0
    assert trading("ingest").code == 0
