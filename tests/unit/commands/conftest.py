"""The command line over a desk in memory: the real settings, portfolio file and commands, no database and no venue."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.desk import Desk
from trading import cli
from trading.config import settings
from trading.config.settings import TradingConfig
from trading.logging.json_logger import setup_json_logging
from trading.logging.redaction import forget_secrets
from trading.manager import TradingManager

PORTFOLIO = """
cash_buffer_bps = 100
instruments = ["BTC/USDT", "ETH/USDT"]

[[strategies]]
name = "sma"
function = "buy_and_hold"
timeframe = "1m"
allocation = 0.5

[limits]
max_order_notional = 100_000
max_position_notional = 100_000
max_gross_exposure_bps = 10_000
price_collar_bps = 150
max_orders_per_minute = 100
max_messages_per_minute = 200
repeated_order_count = 100
repeated_order_window_s = 600
max_daily_loss_bps = 1_000
max_drawdown_bps = 3_000
max_candle_age_s = 180
max_decision_age_s = 300
max_reconciliation_age_s = 300
max_clock_skew_ms = 1_000
"""


@dataclass(frozen=True)
class Said:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str


Trading = Callable[..., Said]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, with a portfolio, and none of the caller's settings."""
    for name in os.environ:
        if name.startswith("TRADING_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "MOUNTED_SECRETS", tmp_path / "no-mount")
    (tmp_path / "portfolio.toml").write_text(PORTFOLIO)
    monkeypatch.setenv("TRADING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRADING_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("TRADING_PORTFOLIO", str(tmp_path / "portfolio.toml"))
    level = logging.getLogger().level
    yield tmp_path / "home"
    setup_json_logging(None)
    logging.getLogger().setLevel(level)
    forget_secrets()


@pytest.fixture
def trading(capsys: pytest.CaptureFixture[str]) -> Trading:
    """`trading("orders", "--json")`: the command as a person would give it."""

    def give(*arguments: str) -> Said:
        capsys.readouterr()
        code = cli.main(arguments)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return give


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a secret as scripts/init-secrets.sh does."""

    def write(name: str, content: str) -> Path:
        path = tmp_path / "secrets" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
        return path

    return write


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk that trades, whose ledger, market and venue are those of every command of this test."""
    desk = Desk(volume=1_000_000.0)  # enough for every order to fill at once

    def from_env(environ: Mapping[str, str]) -> TradingManager:
        manager = TradingManager(TradingConfig.from_env(environ), clock=desk.clock, environ=environ)
        manager.__dict__.update(ledger=desk.ledger, market=desk.market, venue=desk.venue)
        return manager

    monkeypatch.setenv("TRADING_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/nobody-asks")
    monkeypatch.setattr(TradingManager, "from_env", from_env)
    return desk.open()
