"""Halting from the command line needs nothing; resuming needs a signed token for exactly that halt."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.unit.commands.conftest import Trading

KEY = "s" * 43


@pytest.fixture
def key(secret: Callable[[str, str], Path]) -> None:
    secret("kill_switch_secret", KEY)


def halted(trading: Trading) -> int:
    """Halt, and return the halt's id."""
    return int(json.loads(trading("killswitch", "engage", "--reason", "looks odd", "--json").out)["halt_id"])


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
    assert f"halt {halt_id} stands, by " in said.out
    assert ": looks odd" in said.out
