"""`trading doctor --venue`: the command, a real PostgreSQL, and a paper exchange in a process of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.paper_exchange import API_KEY, API_SECRET, accounts_file, book_rows
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.conformance import Target

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.postgres

#: Loses the answer to the order that should rest.
PLAN = """
[[fault]]
kind = "lost_answer"
endpoint = "POST /api/v3/order"
calls = [2]
"""

Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a paper exchange with these options; its address. It is ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> str:
        accounts = accounts_file(tmp_path, USDT="1000")
        command = [sys.executable, "-m", "trading", "exchange", "serve", "--port", "0", "--accounts", str(accounts)]
        process = subprocess.Popen(
            [*command, "--state", str(tmp_path / "book.sqlite"), *options], stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        running.append(process)
        assert process.stderr is not None
        address = next(line for line in process.stderr if line.startswith("paper exchange: ")).split(": ")[1].strip()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        return address

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def doctor(tmp_path: Path, url: str, database_url: str, *options: str, venue: str = "binance") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, in a process of its own."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    for name, content in {"paper_api_key": API_KEY, "paper_api_secret": API_SECRET}.items():
        (secrets / name).write_text(content)
        (secrets / name).chmod(0o600)
    ours = {
        "TRADING_HOME": str(tmp_path / "home"),
        "TRADING_SECRETS_DIR": str(secrets),
        "TRADING_EXCHANGE_URL": url,
        "TRADING_DATABASE_URL": as_url(database_url),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_")}
    command = [sys.executable, "-m", "trading", "doctor", "--venue", venue, *options]
    done = subprocess.run(
        command, env=others | ours, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


def as_url(conninfo: str) -> str:
    """The settings take URLs alone; the embedded server tells its address as name=value."""
    if "://" in conninfo:
        return conninfo
    parts = conninfo_to_dict(conninfo)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"


def test_a_paper_exchange_passes_and_the_ledger_knows(serve: Serve, tmp_path: Path, database_url: str) -> None:
    """Each step has a tick, the exit code is 0, nothing rests, and the result is stored with versions and run."""
    url = serve()
    code, out, err = doctor(tmp_path, url, database_url)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line[0] for line in lines[:-1]] == ["✓"] * 13
    assert lines[-1].startswith(f"binance passed at {url} (paper) with ccxt ")
    assert [row["status"] for row in book_rows(tmp_path / "book.sqlite", "SELECT status FROM orders")] == ["CANCELED"]
    ledger = PostgresLedger(database_url)
    with ledger.transaction() as books:
        kept = books.conformances.newest("binance", Target.PAPER)
        assert books.conformances.newest("binance", Target.SANDBOX) is None
    ledger.close()
    assert kept is not None
    assert kept.passed
    assert (kept.address, len(kept.steps)) == (url, 13)
    assert kept.ccxt_version in lines[-1]


def test_one_that_misbehaves_fails_and_leaves_nothing(serve: Serve, tmp_path: Path, database_url: str) -> None:
    """An answer that was lost: the step says so, the exit code is 1, and the order that it made is taken back."""
    (tmp_path / "plan.toml").write_text(PLAN)
    code, out, err = doctor(tmp_path, serve("--faults", str(tmp_path / "plan.toml")), database_url, "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert [step["name"] for step in found["steps"] if step["verdict"] == "failed"] == ["place"]
    assert "place" in err
    assert [row["status"] for row in book_rows(tmp_path / "book.sqlite", "SELECT status FROM orders")] == ["CANCELED"]


def test_what_cannot_be_tested_is_said(tmp_path: Path, database_url: str) -> None:
    """The production address, a venue that is no order desk of ours, and one that nobody knows: one sentence each."""
    code, _, err = doctor(tmp_path, "https://api.binance.com", database_url)
    assert code == 78
    assert "binance is not tested at https://api.binance.com, nothing was sent" in err
    code, _, err = doctor(tmp_path, "http://127.0.0.1:9", database_url, venue="okx")
    assert code == 78
    assert "market data at most, since no request there carries a deadline: expected one of binance" in err
    code, _, err = doctor(tmp_path, "http://127.0.0.1:9", database_url, venue="nonsense")
    assert (code, err.count("\n")) == (78, 1)
