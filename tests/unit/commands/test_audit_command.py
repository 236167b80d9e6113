"""`trading audit`, over a desk in memory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.unit.commands.conftest import Trading

SECRET = "s" * 43


@pytest.fixture
def traded(trading: Trading, desk: Desk, secret: Callable[[str, str], Path]) -> Desk:
    """A desk that sent orders, reconciled by the command, which anchors."""
    secret("audit_secret", SECRET)
    secret("paper_api_key", "k" * 43)
    secret("paper_api_secret", "p" * 43)
    desk.cycle()
    assert trading("reconcile").code == 0
    return desk


def test_a_reconciliation_anchors_and_the_log_verifies(trading: Trading, traded: Desk, home: Path) -> None:
    """After one command each chain has an anchor outside, in a file and in the log, and all of it holds."""
    said = trading("audit", "verify", "--json")
    found = json.loads(said.out)
    assert (said.code, found["ok"], found["broken"], found["anchors_signed"]) == (0, True, 0, True)
    assert found["anchors"] == len(found["heads"]) == 2
    assert "the audit log holds" in trading("audit", "verify").out
    lines = [json.loads(line) for line in (home / "logs" / "trading.jsonl").read_text().splitlines()]
    logged = [line for line in lines if line.get("event") == "audit_anchored"]
    (file,) = (home / "audit").iterdir()
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["mac"] for line in logged] == [line["mac"] for line in kept]
    assert SECRET not in said.out + file.read_text()


def test_a_break_is_said_and_fails(trading: Trading, traded: Desk, home: Path) -> None:
    """Exit code 1, and where it breaks on standard error."""
    (file,) = (home / "audit").iterdir()
    file.write_text(file.read_text().replace('"sequence":', '"sequence":1'))
    said = trading("audit", "verify")
    assert said.code == 1
    assert "anchor_altered: order chain of replay" in said.err
    assert "breaks in 2 places" in said.out
    assert "cut: " in trading("audit", "verify", "--hashes-only").err


def test_without_its_secret_nothing_is_anchored_and_reconciliation_goes_on(
    trading: Trading, traded: Desk, home: Path, tmp_path: Path
) -> None:
    """The net under trading does not hang on a missing file; the log says so at each run."""
    (tmp_path / "secrets" / "audit_secret").unlink()
    traded.halt()
    assert trading("reconcile").code == 0
    assert '"event":"audit_anchor_failed"' in (home / "logs" / "trading.jsonl").read_text().replace(": ", ":")
    said = trading("audit", "verify")
    assert said.code == 78
    assert "audit_secret" in said.err
    assert trading("audit", "verify", "--hashes-only").code == 0


def test_tail_shows_the_newest_events(trading: Trading, traded: Desk) -> None:
    """People get a line an event, programs an object a line; what is not chained yet is there, and says so."""
    traded.halt("look at this")
    out = trading("audit", "tail", "-n", "3").out.splitlines()
    assert "(not chained yet)" in out[-1]
    assert "look at this" in out[-1]
    events = [json.loads(line) for line in trading("audit", "tail", "-n", "3", "--json").out.splitlines()]
    assert len(events) == len(out)
    assert events[-1]["facts"]["kind"] == "halt_engaged"


def test_tail_follows(trading: Trading, traded: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens meanwhile is shown once, until somebody interrupts."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            traded.halt("while you watched")
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(traded.clock, "sleep", sleep)
    said = trading("audit", "tail", "--follow")
    assert said.code == 130
    assert said.out.count("while you watched") == 1


def test_an_export_is_verified_by_itself(trading: Trading, traded: Desk, tmp_path: Path) -> None:
    """The file verifies; a byte changed in it does not, and it is never overwritten."""
    path = tmp_path / "out.jsonl"
    said = trading("audit", "export", str(path), "--since", "2000-01-01", "--until", "2100-01-01", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["events"] >= 10
    assert trading("audit", "verify", "--file", str(path)).code == 0
    path.write_text(path.read_text().replace('"planned"', '"denied"', 1))
    again = trading("audit", "verify", "--file", str(path))
    assert again.code == 1
    assert "altered: order chain" in again.err
    refused = trading("audit", "export", str(path))
    assert refused.code == 78
    assert "exists" in refused.err
