"""A wrong value is named, with what is allowed and where it was set."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.unit.commands.conftest import PORTFOLIO, Trading


def test_an_unknown_instrument(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    said = trading("ingest", "--instrument", "DOGE/USDT")
    assert said.code == 78
    for part in ("DOGE/USDT", "BTC/USDT, ETH/USDT", str(tmp_path / "portfolio.toml")):
        assert part in said.err


def test_an_unknown_strategy(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    said = trading("evaluate", "--strategy", "moonshot")
    assert said.code == 78
    for part in ("moonshot", "expected one of sma", str(tmp_path / "portfolio.toml")):
        assert part in said.err


def test_an_unknown_timeframe(trading: Trading) -> None:
    said = trading("ingest", "--timeframe", "7m")
    assert said.code == 78
    for part in ("--timeframe", "'7m'", "1m, 3m, 5m"):
        assert part in said.err


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('timeframe = "1m"', 'timeframe = "7m"', ("[[strategies]] sma", "'7m'", "1m, 3m")),
        ('function = "buy_and_hold"', 'function = "magic"', ("[[strategies]] sma", "'magic'", "buy_and_hold")),
        ("cash_buffer_bps = 100", "cash_bufer_bps = 100", ("cash_bufer_bps", "cash_buffer_bps")),
        ('["BTC/USDT", "ETH/USDT"]', '["BTC/EUR"]', ("BTC/EUR", "BTC/USDT")),
    ],
)
def test_a_wrong_value_in_the_portfolio(
    *, trading: Trading, desk: Desk, tmp_path: Path, old: str, new: str, parts: tuple[str, ...]
) -> None:
    """The file, the table, the value and what is allowed."""
    file = tmp_path / "portfolio.toml"
    file.write_text(PORTFOLIO.replace(old, new))
    said = trading("evaluate")
    assert said.code == 78
    for part in (str(file), *parts):
        assert part in said.err


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("TRADING_MODE", "yolo", ("'yolo'", "replay, paper, sandbox, live", "environment")),
        ("TRADING_UI_PORT", "http", ("'http'", "1 to 65535", "environment")),
        ("TRADING_MOOD", "good", ("no such setting", "TRADING_MODE", "environment")),
    ],
)
def test_a_wrong_setting(
    trading: Trading, monkeypatch: pytest.MonkeyPatch, name: str, value: str, parts: tuple[str, ...]
) -> None:
    """Commands that need nothing else say it too."""
    monkeypatch.setenv(name, value)
    for arguments in (("config", "show"), ("orders",)):
        said = trading(*arguments)
        assert said.code == 78
        for part in (name, *parts):
            assert part in said.err


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01"])
def test_a_time_that_is_none(trading: Trading, value: str) -> None:
    said = trading("ingest", "--since", value)
    assert said.code == 2
    assert value in said.err
    assert "2026-03-02T12:00:00Z" in " ".join(said.err.split())


def test_a_window_that_ends_before_it_begins(trading: Trading) -> None:
    said = trading("ingest", "--since", "2026-03-02", "--until", "2026-03-01")
    assert said.code == 2
    assert "2026-03-02T00:00:00+00:00" in said.err


def test_a_missing_secret_names_both_places(trading: Trading, tmp_path: Path) -> None:
    said = trading("killswitch", "sign", "--halt", "1", "--reason", "books checked")
    assert said.code == 78
    for part in ("kill_switch_secret", str(tmp_path / "secrets" / "kill_switch_secret"), "KILL_SWITCH_SECRET"):
        assert part in said.err


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_an_unreachable_database_is_named_without_its_password(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("TRADING_DATABASE_URL", f"postgresql://ada:hunter22@127.0.0.1:{port}/books")
    said = trading("orders")
    assert said.code == 78
    assert f"127.0.0.1:{port}/books" in said.err
    assert "hunter22" not in said.err


def test_an_unreachable_exchange_is_named(
    trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch, secret: Callable[[str, str], Path]
) -> None:
    """A flow that finds nobody at the venue's address names it, with the exchange's exit code."""
    from trading.adapters.ccxt_exchange import CcxtExchange

    url = f"http://127.0.0.1:{free_port()}"
    desk.market = CcxtExchange("binance", clock=desk.clock, base_url=url, api_timeout_s=2)
    said = trading("ingest")
    assert said.code == 69
    assert url in said.err


def test_a_log_file_that_cannot_be_written_stops_a_flow(trading: Trading, desk: Desk, home: Path) -> None:
    (home / "logs" / "trading.jsonl").mkdir(parents=True)
    said = trading("ingest")
    assert said.code == 78
    assert str(home / "logs" / "trading.jsonl") in said.err
