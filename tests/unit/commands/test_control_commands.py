"""Halting from the command line needs nothing; resuming needs a signed token for exactly that halt."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.examples import ACCOUNT
from tests.unit.commands.conftest import Said, Trading
from trading.domain.kill_switch import LatchState

KEY = "s" * 43


@pytest.fixture
def key(secret: Callable[[str, str], Path]) -> None:
    secret("kill_switch_secret", KEY)


def halted(trading: Trading) -> int:
    """Halt, and return the halt's id."""
    return int(json.loads(trading("killswitch", "engage", "--reason", "looks odd", "--yes", "--json").out)["halt_id"])


def signed(trading: Trading, halt_id: int, *more: str) -> str:
    said = trading("killswitch", "sign", "--halt", str(halt_id), "--reason", "books checked", *more)
    assert said.code == 0
    return said.out.strip()


def test_a_halt_stands_until_a_token_ends_it(trading: Trading, desk: Desk, key: None, tmp_path: Path) -> None:
    halt_id = halted(trading)
    status = json.loads(trading("killswitch", "status", "--json").out)
    assert status["state"] == "halt"
    assert [(halt["halt_id"], halt["reason"]) for halt in status["halts"]] == [(halt_id, "looks odd")]
    file = tmp_path / "token"
    file.write_text(f"{signed(trading, halt_id, '--person', 'ada')}\n")
    said = trading("killswitch", "resume", "--token-file", str(file), "--json")
    assert said.code == 0
    told = {"outcome": "released", "halt_id": halt_id, "expires_at": None, "halts_left": 0}
    assert json.loads(said.out) | {"run_id": ""} == {"run_id": "", **told}
    status = json.loads(trading("killswitch", "status", "--json").out)
    assert (status["state"], status["halts"]) == ("running", [])
    newest = status["history"][0]
    assert (newest["kind"], newest["author"], newest["reason"]) == ("halt_released", "ada", "books checked")


def test_a_token_from_standard_input(trading: Trading, desk: Desk, key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(signed(trading, halted(trading))))
    assert trading("killswitch", "resume").code == 0
    assert desk.halts() == ()


def test_a_used_token_is_refused(trading: Trading, desk: Desk, key: None, tmp_path: Path, home: Path) -> None:
    """Refused with a code of its own, recorded, and the token in no line of the log."""
    token = signed(trading, halted(trading))
    file = tmp_path / "token"
    file.write_text(token)
    assert trading("killswitch", "resume", "--token-file", str(file)).code == 0
    halted(trading)
    said = trading("killswitch", "resume", "--token-file", str(file))
    assert said.code == 77
    assert "refused" in said.err
    assert len(desk.halts()) == 1
    assert token not in (home / "logs" / "trading.jsonl").read_text() + said.err + said.out


@pytest.mark.parametrize("content", ["", "\n", None])
def test_no_token_no_prompt(
    trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    """Without a terminal nobody is asked: an empty input or an absent file is an error."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(content or ""))
    said = trading("killswitch", "resume", *(() if content is not None else ("--token-file", str(tmp_path / "none"))))
    assert said.code == 78
    assert said.err.startswith("error: ")


def test_signing_needs_no_database(trading: Trading, key: None) -> None:
    """Nothing is set up and nothing runs here, and the token is printed all the same."""
    assert signed(trading, 1).count(".") == 2


def test_signing_needs_no_airflow_and_connects_to_nothing(tmp_path: Path, key: None) -> None:
    """In a fresh process in which importing Airflow and opening a connection are errors."""
    script = """
import socket, sys
sys.modules["airflow"] = None
def refuse(*_, **__): raise AssertionError("a connection was opened")
socket.socket.connect = refuse
import psycopg
psycopg.connect = refuse
from trading import cli
raise SystemExit(cli.main(["killswitch", "sign", "--halt", "7", "--reason", "books checked"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=dict(os.environ),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.count(".")) == (0, 2), done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--action", "reduce_only"), "--largest-notional is expected with"),
        (("--largest-notional", "5"), "--largest-notional is expected with"),
        (("--action", "reduce_only", "--largest-notional", "0"), "largest notional is positive"),
        (("--action", "reduce_only", "--largest-notional", "many"), "many"),
        (("--scope", "everything"), "expected all, account:NAME"),
        (("--key", "kill_switch_secret_b"), "'kill_switch_secret_b' is missing"),
        (("--key", "db_password"), "kill_switch_secret_b"),
        (("--action", "halt"), "reduce_only"),
    ],
)
def test_what_no_override_may_say_is_not_signed(trading: Trading, key: None, more: tuple[str, ...], said: str) -> None:
    answer = trading("killswitch", "sign", "--halt", "1", "--reason", "x", *more)
    assert answer.code in (2, 78)
    assert said in answer.err
    assert answer.out == ""


def test_two_people_release_where_two_are_asked_for(
    trading: Trading, desk: Desk, key: None, secret: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is told that nothing is released yet, the second that it is; the history has both."""
    monkeypatch.setenv("TRADING_DUAL_CONTROL", "1")
    secret("kill_switch_secret_b", "b" * 43)
    halt_id = halted(trading)

    def bring(*more: str) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO(signed(trading, halt_id, *more)))
        return trading("killswitch", "resume", "--json")

    first = bring("--person", "ada")
    assert (first.code, json.loads(first.out)["outcome"], json.loads(first.out)["halts_left"]) == (0, "signed", 1)
    assert "nothing is released yet" in first.err
    assert bring("--person", "ada", "--key", "kill_switch_secret_b").code == 77
    second = bring("--person", "bob", "--key", "kill_switch_secret_b")
    assert json.loads(second.out)["outcome"] == "released"
    told = json.loads(trading("killswitch", "history", "--json", "-n", "3").out)
    assert [event["kind"] for event in told] == ["halt_released", "override_refused", "override_signed"]
    assert told[0]["detail"]["first_person"] == "ada"
    assert "a second person must" in told[1]["reason"]
    assert trading("killswitch", "history").out.count("\n") >= 4


def test_dual_control_without_the_second_key_releases_nothing(
    trading: Trading, desk: Desk, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking a key away does not lower what is asked for: it is a mistake that is named, and the halt stands."""
    monkeypatch.setenv("TRADING_DUAL_CONTROL", "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO(signed(trading, halted(trading))))
    said = trading("killswitch", "resume")
    assert said.code == 78
    assert "expected two keys" in said.err
    assert len(desk.halts()) == 1


def test_leave_to_reduce_leaves_the_halt(
    trading: Trading, desk: Desk, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed(trading, halted(trading), "--action", "reduce_only", "--largest-notional", "5000.50")
    monkeypatch.setattr(sys, "stdin", io.StringIO(token))
    told = json.loads(trading("killswitch", "resume", "--json").out)
    assert (told["outcome"], told["halts_left"]) == ("granted", 1)
    (grant,) = desk.read(lambda books: books.control.grants(ACCOUNT, books.now()))
    assert grant.largest_notional == Decimal("5000.50")


@pytest.mark.parametrize("span", ["20m", "0s", "10", "1h", "-5m", "m"])
def test_a_span_that_is_none_or_too_long(trading: Trading, key: None, span: str) -> None:
    said = trading("killswitch", "sign", "--halt", "1", "--reason", "x", f"--ttl={span}")
    assert said.code == 2
    assert "15m" in said.err


def test_a_halt_needs_a_reason(trading: Trading, desk: Desk) -> None:
    assert trading("killswitch", "engage").code == 2
    assert trading("killswitch", "engage", "--reason", " ").code == 2
    assert desk.halts() == ()


def test_status_for_people(trading: Trading, desk: Desk) -> None:
    halt_id = halted(trading)
    said = trading("killswitch", "status")
    assert "state             halt\n" in said.out
    assert f"halt {halt_id} (halt, all, not effective yet) stands, by " in said.out
    assert ": looks odd" in said.out


def test_stopping_says_first_what_it_does_and_asks(trading: Trading, desk: Desk) -> None:
    """Without a terminal and without --yes nothing is engaged, and all of it was said."""
    desk.cycle()
    said = trading("killswitch", "engage", "--reason", "looks odd", "--level", "pause-entries")
    assert said.code == 2
    assert "pause-entries, scope all: no order that could raise exposure is sent" in said.err
    assert "positions: 2 (" in said.err
    assert "sma 249.75 BTC/USDT" in said.err
    assert "--yes" in said.err
    assert desk.halts() == ()


@pytest.mark.parametrize("scope", ["strategy:smaa", "instrument:BTCUSDT", "account:typo", "sma", "venue:x"])
def test_a_scope_that_nothing_is_in_is_refused(trading: Trading, desk: Desk, scope: str) -> None:
    """A typing error would stop nothing, while everybody believes that it did."""
    said = trading("killswitch", "engage", "--yes", "--reason", "x", "--scope", scope)
    assert said.code in (2, 78)
    assert desk.halts() == ()


def test_a_halt_of_a_scope_and_a_level_stands_as_it_was_given(trading: Trading, desk: Desk) -> None:
    given = ("--scope", "strategy:sma", "--level", "pause-entries", "--reason", "odd", "--yes")
    assert trading("killswitch", "engage", *given).code == 0
    (halt,) = json.loads(trading("killswitch", "status", "--json").out)["halts"]
    assert (halt["scope"], halt["level"]) == ("strategy:sma", "pause-entries")


def test_a_broken_portfolio_keeps_nobody_from_stopping(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "portfolio.toml").write_text("broken")
    said = trading("killswitch", "engage", "--yes", "--reason", "odd")
    assert said.code == 0
    assert "protective orders are kept, since the portfolio file cannot be read" in said.err
    assert len(desk.halts()) == 1


def test_flatten_halts_and_then_waits_for_a_signature(
    trading: Trading, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time nothing is sold, the halt stands, and what to sign is said; with leave, all of it is sold.

    But for where a pause would latch nothing: there the command line cannot know of one, and says so.
    """
    desk.cycle()
    said = trading("flatten", "--reason", "get me out", "--yes")
    assert said.code == 75
    (halt,) = desk.halts()
    assert f"killswitch sign --halt {halt.halt_id} --action reduce_only" in said.err
    assert "sold at the market" in said.err
    desk.grant(halt.halt_id)
    said = trading("flatten", "--reason", "get me out", "--yes", "--json")
    assert all("no latch is armed in this database" in why for why in json.loads(said.out)["not_closed"])
    assert len(json.loads(said.out)["not_closed"]) == 2
    monkeypatch.setattr(desk.read(lambda books: books.control), "latch", lambda: LatchState.ARMED)
    said = trading("flatten", "--reason", "get me out", "--yes", "--json")
    assert said.code == 0
    assert json.loads(said.out)["sent"] == 2
    assert json.loads(said.out)["not_closed"] == []
    assert len(desk.halts()) == 1


def test_each_position_that_is_not_closed_has_a_line_of_its_own(trading: Trading, desk: Desk) -> None:
    """With the reason: a person must see at a glance what is still held."""
    desk.cycle()
    halted(trading)
    (halt,) = desk.halts()
    desk.grant(halt.halt_id, largest="1")
    said = trading("flatten", "--reason", "get me out", "--yes")
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if line.startswith("not closed: sma ")]
    assert [line.split(":")[1].split()[1] for line in lines] == ["BTC/USDT", "ETH/USDT"]
    assert "not_closed" not in said.out


def test_flatten_without_a_terminal_and_without_yes_does_nothing(trading: Trading, desk: Desk) -> None:
    assert trading("flatten", "--reason", "get me out").code == 2
    assert desk.halts() == ()


def test_enforcing_from_the_command_line(trading: Trading, desk: Desk) -> None:
    """What halt_trading does, without Airflow."""
    halted(trading)
    said = trading("killswitch", "enforce", "--json")
    assert said.code == 0
    assert json.loads(said.out)["halts"] == 1
    (halt,) = json.loads(trading("killswitch", "status", "--json").out)["halts"]
    assert halt["effective_at"] < halt["verified_at"] or halt["effective_at"] == halt["verified_at"]
