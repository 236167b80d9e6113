"""`trading exchange serve` as a process of its own: it says where it is, stops cleanly, and refuses in one sentence."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from paper_exchange import accounts_file

from trading.commands import exchange
from trading.commands.exchange import serve
from trading.errors import ConfigurationError

COMMAND = [sys.executable, "-c", "from trading.commands.exchange import app; app()", "serve"]


def command(folder: Path, *more: str) -> list[str]:
    state, accounts = str(folder / "book.sqlite"), str(accounts_file(folder))
    return [*COMMAND, "--port", "0", "--state", state, "--accounts", accounts, *more]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_now_in_the_middle_of_the_sample_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "exchange.jsonl"
    process = subprocess.Popen(command(tmp_path, "--log", str(log)), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        with urllib.request.urlopen(f"{address}/paper/v1/status", timeout=10) as answer:  # noqa: S310
            status = json.loads(answer.read())
        days_before = (status["server_time_ms"] - status["first_candle_ms"]) / 86_400_000
        assert 16.5 <= days_before <= 23.5
        assert abs(status["server_time_ms"] / 1000 - time.time()) < 60
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
    events = [json.loads(line).get("event") for line in log.read_text(encoding="utf-8").splitlines()]
    assert {"replay_started", "exchange_started", "exchange_stopped"} <= set(events)
    assert not (tmp_path / "book.sqlite-wal").exists()  # closed, not abandoned


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port} .*choose another"):
            serve(state=tmp_path / "book.sqlite", accounts=accounts_file(tmp_path), port=port)
    assert not (tmp_path / "book.sqlite").exists()


def test_two_ways_to_choose_the_shift_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="leave one out"):
        serve(state=tmp_path / "b", accounts=accounts_file(tmp_path), shift_weeks=1, no_shift=True)


def test_without_a_file_of_accounts_the_pipelines_own_keys_open_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("paper_api_key", "paper_api_secret"):
        (tmp_path / name).write_text(f"value of {name}\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("TRADING_SECRETS_DIR", str(tmp_path))
    (account,) = exchange._account_of_secrets()
    assert (account.name, account.api_key, account.api_secret) == (
        "default",
        "value of paper_api_key",
        "value of paper_api_secret",
    )
    assert account.balances == {"USDT": 100_000}
