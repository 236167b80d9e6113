"""`trading backtest` over the shipped sample: without a database, a venue or an instance."""

import json
from pathlib import Path

import pytest

from tests.unit.commands.conftest import Trading

QUICK = ("--since", "2024-01-01", "--until", "2024-02-01")


def test_a_backtest_tells_its_figures_beside_holding(trading: Trading) -> None:
    """For people, a line a figure."""
    said = trading("backtest", "sma_crossover", *QUICK)
    assert said.code == 0, said.err
    assert "of BTC/USDT 1h, from the shipped sample" in said.out
    assert "decided                2024-01-01 01:00 to 2024-02-01 00:00 UTC" in said.out
    assert "(held: " in said.out


def test_json_holds_everything_but_the_curves(trading: Trading) -> None:
    """One document; the same rules give the same figures."""
    said = trading("backtest", "sma_crossover", "--param", "fast=5", "--json", *QUICK)
    found = json.loads(said.out)
    assert found["parameters"] == {"fast": 5, "slow": 30}
    assert found["data"]["candles"] == 744 + 29
    assert found["orders"]["filled"] > 10
    assert set(found["months"]) == {"2024-01"}
    assert found["figures"]["fees"] > 0
    free = json.loads(trading("backtest", "sma_crossover", "--param", "fast=5", "--fee-bps", "0", "--json", *QUICK).out)
    assert free["figures"]["fees"] == 0
    assert float(free["equity"]) > float(found["equity"])


def test_a_sweep_ranks_its_combinations_and_tells_their_luck(trading: Trading, tmp_path: Path) -> None:
    """Refused combinations are counted; a page holds it all."""
    arguments = ("--sweep", "fast=10:40:10", "--sweep", "slow=20,35", "--walk-forward", "300:100")
    report = tmp_path / "r.html"
    said = trading("backtest", "sma_crossover", *arguments, "--report", str(report), "--json", *QUICK)
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert (found["sweep"]["combinations"], found["sweep"]["refused"]) == (4, 4)
    assert 0 <= found["sweep"]["deflated_sharpe"] <= 1
    assert found["walk_forward"]["rounds"][0]["judged_from"].startswith("2024-01-13")
    page = report.read_text()
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page
    assert "deflated Sharpe ratio" in page
    for place in ("equity", "heat", "candles0", "exposure", "distribution"):
        assert f'id="{place}"' in page
    table = trading("backtest", "sma_crossover", *arguments, *QUICK).out
    assert "4 combinations (4 more are no valid parameters)" in table


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("sma",), 78, "unknown strategy 'sma': expected one of bollinger_reversion"),
        (("sma_crossover", "--param", "speed=3"), 78, "parameter speed is unknown: expected one of fast, slow"),
        (("sma_crossover", "--param", "fast=0"), 78, "fast is 0: expected a whole number from 1 to 4999"),
        (("sma_crossover", "--param", "fast"), 2, "expected NAME=VALUE"),
        (("sma_crossover", "--sweep", "fast=1:2"), 2, "expected FROM:TO:STEP or A,B,C"),
        (("sma_crossover", "--sweep", "fast=9:2:1"), 2, "expected FROM ≤ TO"),
        (("sma_crossover", "--sweep", "fast=50:60:5", "--param", "slow=40"), 78, "fast is 60: expected less than slow"),
        (("sma_crossover", "--walk-forward", "9:1"), 2, "beside a --sweep"),
        (("sma_crossover", "--instrument", "XRP/USDT"), 78, "unknown instrument XRP/USDT: expected one of BTC/USDT"),
        (("sma_crossover", "--since", "2031-01-01"), 65, "no 1h candle of BTC/USDT from 2030-12-30"),
        (("sma_crossover", "--timeframe", "7m"), 78, "unknown timeframe '7m'"),
        (("sma_crossover", "--until", "2017-08-17T12:00"), 65, "nothing to decide on in 8 candles of BTC/USDT 1h"),
        (("sma_crossover", "--fee-bps", "-1"), 2, "expected a number of 0 or more"),
        (("sma_crossover", "--data", "/nowhere"), 78, "/nowhere: expected candle files like BTC-USDT_1h.csv.gz"),
        (("sma_crossover", "--report", "/nowhere/r.html", *QUICK), 78, "cannot be written (No such file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    trading: Trading, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """That names it."""
    said = trading("backtest", *arguments)
    assert said.code == code, said.err
    assert told in " ".join(said.err.replace("│", " ").split())


def test_stored_candles_are_backtested_too(trading: Trading, desk: object) -> None:
    """Those of the ledger; where there are none of a timeframe, what to do is said."""
    assert trading("ingest").code == 0
    said = trading("backtest", "buy_and_hold", "--data", "stored", "--timeframe", "1m", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["data"]["source"] == "the ledger"
    assert found["data"]["instruments"] == ["BTC/USDT", "ETH/USDT"]
    said = trading("backtest", "buy_and_hold", "--data", "stored", "--timeframe", "4h")
    assert said.code == 65
    assert "run `trading ingest --timeframe 4h`" in said.err
