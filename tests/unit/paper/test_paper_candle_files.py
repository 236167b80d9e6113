"""Candle files are read whole, exactly and quickly, or refused by name and line."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from trading.errors import ConfigurationError, DataError
from trading.paper.candle_files import read_candle_file, read_folder
from trading.paper.opening import SAMPLE

HEADER = "timestamp_ms,open,high,low,close,volume"


def write(folder: Path, *rows: str, name: str = "BTC-USDT_1m.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_the_sample_has_every_minute_of_thirty_days_and_fits_its_own_filters() -> None:
    files = {file.base: file for file in read_folder(SAMPLE)}
    assert sorted(files) == ["BTC", "ETH", "SOL"]
    for file in files.values():
        assert file.timeframe == "1m"  # the hourly file of BTC is history, not the market
        assert len(file.lines) == 43_199
        assert file.end_ms - file.open_ms[0] == 43_199 * 60_000
    steps = {"BTC": (Decimal("0.01"), Decimal("0.00001")), "ETH": (Decimal("0.01"), Decimal("0.0001"))}
    steps["SOL"] = (Decimal("0.01"), Decimal("0.001"))
    for base, (tick, lot) in steps.items():
        for row in range(0, 43_199, 97):
            candle = files[base].candle(row)
            assert all(price % tick == 0 for price in (candle.open, candle.high, candle.low, candle.close))
            assert candle.volume % lot == 0


def test_plain_and_compressed_files_read_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path, "60000,1,3,0.5,2,7.25", "180000,2,2,2,2,0")
    packed = tmp_path / "ETH-USDT_1m.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    first, second = read_folder(tmp_path)
    assert [*first.open_ms] == [*second.open_ms] == [60_000, 180_000]
    assert first.candle(0) == second.candle(0)
    assert first.candle(0).volume == Decimal("7.25")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["60000,1,1,1,1,1", "60000,1,1,1,1,1"], "line 3"),
        (["120000,1,1,1,1,1", "60000,1,1,1,1,1"], "line 3"),
        (["61000,1,1,1,1,1"], "line 2.*60000 ms grid"),
        (["soon,1,1,1,1,1"], "whole milliseconds"),
        ([], "at least one candle"),
    ],
)
def test_wrong_times_are_refused_with_file_and_line(tmp_path: Path, rows: list[str], complaint: str) -> None:
    with pytest.raises(DataError, match=rf"BTC-USDT_1m.csv.*{complaint}"):
        read_candle_file(write(tmp_path, *rows))


@pytest.mark.parametrize(
    "values", ["1,2,3,1,1", "1,0,1,1,1", "1,1,1,1,-1", "0,0,0,0,0", "NaN,1,1,1,1", "1,1,1,1", "1,1,1,1,1,1"]
)
def test_a_candle_that_cannot_be_is_refused_with_file_and_line(tmp_path: Path, values: str) -> None:
    file = read_candle_file(write(tmp_path, f"60000,{values}"))
    with pytest.raises(DataError, match=r"BTC-USDT_1m.csv, line 2"):
        file.candle(0)


def test_a_wrong_header_a_wrong_name_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected files like BTC-USDT_1m"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="expected the columns timestamp_ms"):
        read_candle_file(write(tmp_path, "1,2", header="time,price"))
    with pytest.raises(ConfigurationError, match="expected a name like"):
        read_candle_file(write(tmp_path, "60000,1,1,1,1,1", name="BTCUSDT.csv"))
    with pytest.raises(ConfigurationError, match="timeframe"):
        read_candle_file(write(tmp_path, "60000,1,1,1,1,1", name="BTC-USDT_7m.csv"))
    (tmp_path / "BTC-USDT_5m.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="readable candle file"):
        read_candle_file(tmp_path / "BTC-USDT_5m.csv.gz")
