"""`trading reconcile --adopt`: shown first, asked for on a terminal, signed by hash elsewhere."""

import io
import json
import sys
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import HORIZON, Desk
from tests.examples import ACCOUNT
from tests.unit.commands.conftest import Trading
from trading.domain.kill_switch import ControlKind

SIGNED = ("--person", "anna", "--reason", "bank statement")


class Terminal(io.StringIO):
    """A person who types what was prepared."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def with_deposit(desk: Desk) -> Desk:
    """A desk that a deposit of 250 has halted."""
    return deposited(desk, "250")


def deposited(desk: Desk, amount: str) -> Desk:
    desk.memory_venue._purse.change("USDT", free=Decimal(amount))
    desk.reconcile()
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile()
    return desk


def adoptions(desk: Desk) -> list[Any]:
    history = desk.read(lambda books: books.control.history(ACCOUNT, 100))
    return [event for event in history if event.kind is ControlKind.ADOPTED]


def shown(trading: Trading) -> dict[str, Any]:
    said = trading("reconcile", "--adopt", "--json")
    assert said.code == 0
    return dict(json.loads(said.out))


def test_without_a_signature_it_shows_and_changes_nothing(trading: Trading, with_deposit: Desk) -> None:
    """Both sides' figures, what becomes of them, and the command that signs for exactly that."""
    said = trading("reconcile", "--adopt")
    assert said.code == 0
    (row,) = [line for line in said.out.splitlines() if line.startswith("balance")]
    assert row.split() == ["balance", "USDT", "100000", "100250", "house", "100000", "→", "100250"]
    found = shown(trading)
    assert f"hash  {found['hash']}" in said.out
    assert f"--yes {found['hash']} --person NAME --reason TEXT" in said.err
    assert (found["adopted"], found["obstacles"], found["account"]) == (False, [], ACCOUNT)
    assert found["findings"][0]["theirs"] == "100250"
    assert with_deposit.totals() == {"USDT": Decimal(100_000)}
    assert adoptions(with_deposit) == []


def test_the_hash_that_was_shown_adopts(trading: Trading, with_deposit: Desk) -> None:
    """Adopted in the command's own run, by the person named; the halt stands."""
    said = trading("reconcile", "--adopt", "--yes", shown(trading)["hash"], *SIGNED, "--json")
    assert said.code == 0
    adopted = json.loads(said.out)
    assert adopted["adopted"] is True
    (event,) = adoptions(with_deposit)
    assert (event.author, event.reason, event.run_id) == ("anna", "bank statement", adopted["run_id"])
    assert with_deposit.totals() == {"USDT": Decimal(100_250)}
    assert len(with_deposit.halts()) == 1
    assert "halt that stands stays" in said.err
    assert trading("reconcile", "--adopt").out == "there is nothing to adopt: both sides agree\n"


def test_another_hash_is_refused(trading: Trading, with_deposit: Desk) -> None:
    """What was shown yesterday adopts nothing today."""
    before = shown(trading)["hash"]
    deposited(with_deposit, "1")
    said = trading("reconcile", "--adopt", "--yes", before, *SIGNED)
    assert said.code == 77
    assert "differs from what was shown" in said.err
    assert adoptions(with_deposit) == []


def test_what_is_not_confirmed_is_shown_and_refused(trading: Trading, desk: Desk) -> None:
    """A deposit of this second may be a lag: the table is there, and an error says why not yet."""
    desk.memory_venue._purse.change("USDT", free=Decimal(250))
    said = trading("reconcile", "--adopt")
    assert said.code == 77
    assert "100250" in said.out
    assert "not confirmed yet" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--yes", "abc"),
        ("--person", "anna"),
        ("--adopt", "--yes", "abc", "--person", "anna"),
        ("--adopt", "--yes", "abc", "--reason", "why"),
        ("--adopt", "--yes", "abc", "--person", " ", "--reason", "why"),
    ],
)
def test_a_signature_is_whole_and_goes_with_adopt(trading: Trading, desk: Desk, arguments: tuple[str, ...]) -> None:
    """Half a signature is a wrong use, before anything is asked of the venue."""
    runs = len(desk.read(lambda books: books.runs.recent("reconcile", 100)))
    assert trading("reconcile", *arguments).code == 2
    assert len(desk.read(lambda books: books.runs.recent("reconcile", 100))) == runs


@pytest.mark.parametrize(("answers", "adopted"), [("anna\nbank statement\ny\n", 1), ("anna\nbank statement\nn\n", 0)])
def test_on_a_terminal_it_asks(
    trading: Trading, with_deposit: Desk, monkeypatch: pytest.MonkeyPatch, answers: str, adopted: int
) -> None:
    """Who, why, and whether: only a yes adopts."""
    monkeypatch.setattr(sys, "stdin", Terminal(answers))
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    assert trading("reconcile", "--adopt").code == 0
    events = adoptions(with_deposit)
    assert [(event.author, event.reason) for event in events] == [("anna", "bank statement")] * adopted


def test_a_house_below_zero_is_said(trading: Trading, desk: Desk) -> None:
    """What a strategy counts on was withdrawn: the preview says so before anybody signs."""
    desk.next_minute()
    desk.cycle()  # half of the money is the strategy's now
    deposited(desk, "-51000")
    said = trading("reconcile", "--adopt")
    assert "USDT: the house goes to -1000, strategies count on what is missing" in said.err
