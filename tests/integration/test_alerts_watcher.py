"""The watcher as `make run` starts it: a process of its own, on a real clock, a real database and a real channel."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alert_receiver import TOKEN, AlertReceiver
from tests.conftest import as_url
from tests.examples import ACCOUNT, RUN
from tests.unit.commands.conftest import PORTFOLIO
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import SystemClock
from trading.flows.halt import Halt
from trading.flows.open_account import OpenAccount

pytestmark = [pytest.mark.postgres, pytest.mark.alone]
WITHIN_S = 15.0


@pytest.fixture
def environ(tmp_path: Path, database_url: str) -> dict[str, str]:
    (tmp_path / "portfolio.toml").write_text(PORTFOLIO)
    (tmp_path / "secrets").mkdir(mode=0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADING_", "AIRFLOW"))}
    return kept | {
        "TRADING_HOME": str(tmp_path / "home"),
        "TRADING_SECRETS_DIR": str(tmp_path / "secrets"),
        "TRADING_PORTFOLIO": str(tmp_path / "portfolio.toml"),
        "TRADING_ACCOUNT": ACCOUNT,
        "TRADING_DATABASE_URL": as_url(database_url),
    }


@pytest.fixture
def receiver(tmp_path: Path, environ: dict[str, str]) -> Iterator[AlertReceiver]:
    with AlertReceiver() as one:
        secret = tmp_path / "secrets" / "alert_url"
        secret.touch(mode=0o600)
        secret.write_text(one.url)
        yield one


def start(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "trading", "alerts", "watch"], env=environ)


def test_a_halt_arrives_within_15_seconds_of_its_commit_though_the_watcher_was_killed(
    environ: dict[str, str], receiver: AlertReceiver, postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    """First with a watcher that lives; then one is killed, a halt comes, and its successor tells of it."""
    OpenAccount(postgres_ledger, SystemClock(), account=ACCOUNT, venue="binance", mode="replay").run(RUN)
    halt = Halt(postgres_ledger, SystemClock(), account=ACCOUNT)
    watcher = start(environ)
    try:
        receiver.await_title("trading is halted", within_s=60)  # the halt of the fresh account, and the slow start
        began = time.monotonic()
        halt.run(RUN, author="ada", reason="first")
        receiver.await_title("trading is halted", within_s=WITHIN_S)
        while not any("first" in message["message"] for message in receiver.messages):
            receiver.pause()
            assert time.monotonic() - began < WITHIN_S, receiver.titles()
        sys.stdout.write(f"a halt arrived {time.monotonic() - began:.1f} s after its commit, in a burst\n")
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
        halt.run(RUN, author="ada", reason="second")
        began = time.monotonic()
        watcher = start(environ)
        while not any("second" in message["message"] for message in receiver.messages):
            receiver.pause()
            assert time.monotonic() - began < WITHIN_S, receiver.titles()
        sys.stdout.write(f"after a SIGKILL, {time.monotonic() - began:.1f} s after the start\n")
    finally:
        watcher.kill()
        watcher.wait()
    log = (tmp_path / "home" / "logs" / "trading.jsonl").read_text()
    assert "alert_delivered" in log
    assert TOKEN not in log
