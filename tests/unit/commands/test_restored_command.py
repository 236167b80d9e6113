"""`trading db restored`: shown first, asked for on a terminal, never without one unless told to."""

import copy
import io
import sys
from pathlib import Path

import pytest

from tests.desk import HORIZON, Desk
from tests.examples import ACCOUNT
from tests.unit.commands.conftest import Trading
from trading.domain.kill_switch import ControlKind

WHY = ("--why", "disk failed, backup of 02:00")


class Terminal(io.StringIO):
    """A person who types what was prepared."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def put_back(trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk that traded on after a backup, which then was put back; the file in its home remembers more."""
    monkeypatch.setattr("trading.flows.send.Sender._latched", lambda _: True)  # there is no Airflow to ask
    assert trading("ingest").code == trading("evaluate").code == trading("reconcile").code == 0
    backup = copy.deepcopy(desk.memory_ledger, {id(desk.clock): desk.clock})
    assert trading("place").code == 0
    assert desk.posts()
    desk.ledger = desk.store = desk.memory_ledger = backup
    desk.clock.advance(1)
    return desk


def told(desk: Desk) -> list[str]:
    history = desk.read(lambda books: books.control.history(ACCOUNT, 100))
    return [event.author for event in history if event.kind is ControlKind.RESTORED]


def test_every_manager_remembers_in_its_home(desk: Desk, home: Path, trading: Trading) -> None:
    """Placing and reconciling both write the file, one an account."""
    for command in ("reconcile", "place"):
        trading("ingest")
        trading(command)
        path = home / "witness" / "replay.json"
        assert f'"flow":"{command}"' in path.read_text()
        path.unlink()


def test_placing_on_a_ledger_that_was_put_back_says_what_to_do(trading: Trading, put_back: Desk) -> None:
    """Halted, with both sides' runs and the command; nothing more is posted."""
    posts = len(put_back.posts())
    said = trading("place")
    assert said.code == 75
    assert "the ledger was restored or replaced" in said.err
    assert "trading db restored --why TEXT" in said.err
    assert len(put_back.posts()) == posts


def test_without_a_terminal_it_shows_and_does_nothing(trading: Trading, put_back: Desk) -> None:
    """Both sides' newest runs, what will be done, and the option that does it: a wrong use, not a question."""
    said = trading("db", "restored", *WHY)
    assert said.code == 2
    assert "expected --yes" in " ".join(said.err.split())
    assert "remembered outside of it  place of run cli__" in said.out
    assert "the ledger's newest run" in said.out
    assert told(put_back) == []


def test_yes_does_it_and_reads_the_full_history(trading: Trading, put_back: Desk) -> None:
    """A new incarnation, a halt by the person named, progress beside the results, and what comes next."""
    said = trading("db", "restored", *WHY, "--yes", "--person", "anna")
    assert said.code == 0
    assert told(put_back) == ["anna"]
    assert "BTC/USDT: fills until" in said.err
    assert "trading reconcile --full --adopt" in said.err
    account = put_back.read(lambda books: books.accounts.get(ACCOUNT))
    assert f"incarnation {account.incarnation} begins" in said.out
    (halt,) = [one for one in put_back.halts() if one.author == "anna"]
    assert WHY[1] in halt.reason
    put_back.clock.advance(HORIZON.visibility_lag_s + 1)
    assert "is not confirmed yet" not in trading("reconcile", "--full", "--adopt").err
    assert trading("place").code == 75  # halted, and no longer for what is remembered outside
    assert len([one for one in put_back.halts() if one.author == "restore watch"]) == 0


@pytest.mark.parametrize(("answer", "times"), [("y\n", 1), ("n\n", 0)])
def test_on_a_terminal_it_asks(
    trading: Trading, put_back: Desk, monkeypatch: pytest.MonkeyPatch, answer: str, times: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    assert trading("db", "restored", *WHY).code == 0
    assert len(told(put_back)) == times


def test_a_restore_has_a_reason(trading: Trading, put_back: Desk) -> None:
    assert trading("db", "restored", "--yes").code == 2
    assert trading("db", "restored", "--why", " ", "--yes").code == 2
    assert told(put_back) == []


def test_a_damaged_memory_sends_nothing(trading: Trading, desk: Desk, home: Path) -> None:
    """It is not taken for a fresh machine."""
    trading("ingest")
    trading("evaluate")
    trading("reconcile")
    (home / "witness" / "replay.json").write_text("{")
    said = trading("place")
    assert said.code == 78
    assert "cannot be read" in said.err
    assert desk.posts() == []
