"""`trading replay`, over a real database: decided by the flow, decided again by the command, in the role of replays."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from tests.desk import constant, plan
from tests.examples import BTC, ETH, MINUTE, RUN, T0, candles
from tests.unit.commands.conftest import PORTFOLIO
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import ManualClock
from trading.commands.replay import app
from trading.domain.market import to_ms
from trading.flows.evaluate import Evaluate, Strategy

pytestmark = pytest.mark.postgres
STRETCH = ["--since", (T0 - MINUTE).isoformat(), "--until", (T0 + MINUTE).isoformat(), "--json"]


@pytest.fixture
def decided(
    database_url: str, postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> PostgresLedger:
    """A database in which buy_and_hold (`sma` of the portfolio) decided at T0 and a minute later."""
    parts = conninfo_to_dict(database_url)
    query = "&".join(f"{name}={value}" for name, value in parts.items() if name != "dbname")
    monkeypatch.setenv("TRADING_DATABASE_URL", f"postgresql:///{parts['dbname']}?{query}")
    monkeypatch.setenv("TRADING_HOME", str(tmp_path))
    (tmp_path / "portfolio.toml").write_text(PORTFOLIO)
    monkeypatch.setenv("TRADING_PORTFOLIO", str(tmp_path / "portfolio.toml"))
    strategy = Strategy(plan=plan(), warmup=1, weights=constant(0.5, 0.5))
    for minute in range(2):
        at = T0 + minute * MINUTE
        with postgres_ledger.transaction() as books:
            for symbol in (BTC.symbol, ETH.symbol):
                books.candles.upsert(symbol, "1m", candles(to_ms(at - MINUTE), [10.0]), at=at, run=RUN)
        Evaluate(postgres_ledger, ManualClock(at + timedelta(seconds=2)), [strategy]).run(RUN)
    return postgres_ledger


def test_live_and_replay_agree(decided: PostgresLedger) -> None:
    """Two closes, both the same; the lines are kept, and no decision is added."""
    done = CliRunner().invoke(app, STRETCH)
    assert done.exit_code == 0, done.output
    found = orjson.loads(done.stdout)
    assert (found["same"], found["differs"], found["differing"]) == (2, 0, [])
    with decided.transaction() as books:
        assert len(books.decisions.between("sma", since=T0 - MINUTE, until=T0 + MINUTE)) == 2


def test_a_difference_is_told_and_ends_with_1(decided: PostgresLedger, tmp_path: Path) -> None:
    """The portfolio names another strategy by now."""
    path = tmp_path / "portfolio.toml"
    path.write_text(
        path.read_text()
        .replace('"buy_and_hold"', '"cross_sectional_momentum"')
        .replace("allocation", "parameters = { lookback = 1, skip = 0 }\nallocation", 1)
    )
    done = CliRunner().invoke(app, STRETCH)
    assert done.exit_code == 1, done.output
    _, line = orjson.loads(done.stdout)["differing"]  # the first close lacks a candle of the longer warm-up
    assert (
        "decided BTC/USDT 0.500000, ETH/USDT 0.500000, replayed BTC/USDT 1.000000, ETH/USDT 0.000000"
        in line["explanation"]
    )
