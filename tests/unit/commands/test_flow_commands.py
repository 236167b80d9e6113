"""The flows from the command line: counts on standard output, a run of its own in the books and in the log."""

import json
import re
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.examples import ACCOUNT
from tests.unit.commands.conftest import Trading
from trading.domain.kill_switch import LatchState


def arm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger in memory claim that a pause latches, as PostgreSQL beside Airflow does."""
    control = desk.read(lambda books: books.control)
    monkeypatch.setattr(control, "latch", lambda: LatchState.ARMED)


def test_candles_to_fills(trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """ingest, evaluate, place, reconcile, one after the other, end with two orders filled and clean books."""
    arm(desk, monkeypatch)
    desk.next_minute()
    desk.lease()
    ingested = json.loads(trading("ingest", "--json").out)
    assert ingested["candles"] == 2
    evaluated = json.loads(trading("evaluate", "--json").out)
    assert evaluated["weights"] == {"sma": {"BTC/USDT": "0.5", "ETH/USDT": "0.5"}}
    placed = trading("place", "--json")
    assert (placed.code, placed.err) == (0, "")
    assert json.loads(placed.out) | {"run_id": ""} == {"run_id": "", "planned": 2, "sent": 2}
    reconciled = json.loads(trading("reconcile", "--json").out)
    assert (reconciled["fills"], reconciled["clean"], reconciled["open_orders"]) == (2, 1, 0)
    assert [order.state for order in desk.orders()] == ["filled", "filled"]


def test_a_run_is_named_in_books_and_log(trading: Trading, desk: Desk, home: Path) -> None:
    """The id that is printed is that of the stored run and of each of its log lines, all of them JSON."""
    run_id = json.loads(trading("ingest", "--json").out)["run_id"]
    assert re.fullmatch(r"cli__20260302T120002Z__[0-9a-f]{8}", run_id)
    (record,) = desk.read(lambda books: books.runs.get(run_id))
    assert (record.flow, record.outcome, record.run.dag_id) == ("ingest", "done", "cli")
    assert record.run.actor
    lines = [json.loads(line) for line in (home / "logs" / "trading.jsonl").read_text().splitlines()]
    assert {line["event"] for line in lines} >= {"run_started", "run_finished"}
    assert {(line["correlation_id"], line["dag_id"], line["service"]) for line in lines} == {(run_id, "cli", "cli")}


def test_two_runs_have_two_ids(trading: Trading, desk: Desk) -> None:
    first, second = (json.loads(trading("reconcile", "--json").out)["run_id"] for _ in range(2))
    assert first != second


def test_log_lines_on_standard_error_on_request(trading: Trading, desk: Desk) -> None:
    assert trading("reconcile").err == ""
    lines = [json.loads(line) for line in trading("reconcile", "--verbose").err.splitlines()]
    assert "run_finished" in {line["event"] for line in lines}


def test_without_a_latch_nothing_is_sent(trading: Trading, desk: Desk) -> None:
    """The command line cannot ask Airflow, so it sends only where a pause latches in the database itself."""
    desk.next_minute()
    desk.lease()
    trading("ingest")
    trading("evaluate")
    said = trading("place")
    assert said.code == 75
    assert "none was sent" in said.err
    assert desk.posts() == []


def test_a_halt_stops_placing_and_says_so(
    trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    arm(desk, monkeypatch)
    desk.next_minute()
    desk.lease()
    trading("ingest")
    trading("evaluate")
    assert trading("killswitch", "engage", "--yes", "--reason", "the venue answers nonsense").code == 0
    said = trading("place")
    assert said.code == 75
    assert "kill_switch" in said.err
    assert desk.posts() == []


def test_placing_nothing_points_to_why(trading: Trading, desk: Desk) -> None:
    said = trading("place")
    assert said.code == 0
    assert "nothing was sent: `trading why cli__" in said.err


def test_a_window_of_one_instrument(trading: Trading, desk: Desk) -> None:
    """--since, --until and --instrument bound what is read; times without an offset are UTC."""
    said = trading(
        "ingest",
        "--instrument",
        "BTC/USDT",
        "--since",
        "2026-03-02T11:40",
        "--until",
        "2026-03-02T13:45+02:00",
        "--json",
    )
    assert json.loads(said.out)["candles"] == 5
    newest = desk.read(lambda books: books.runs.recent("ingest", 1))[0]
    assert newest.counts["candles"] == 5


def test_an_account_that_was_never_opened(trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_ACCOUNT", "elsewhere")
    said = trading("reconcile")
    assert said.code == 78
    assert "elsewhere" in said.err
    assert ACCOUNT not in said.err
