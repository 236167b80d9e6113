"""What is remembered outside of the ledger: whole or not at all, and never guessed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.examples import T0
from trading.adapters.file_witness import FileWitness
from trading.domain.restore import Mark
from trading.errors import ConfigurationError

MARK = Mark(run_id="r1", dag_id="place_orders", flow="place", started_at=T0.replace(microsecond=123_456), incarnation=3)


def test_nothing_was_ever_remembered_on_a_fresh_machine(tmp_path: Path) -> None:
    assert FileWitness(tmp_path / "witness" / "main.json").read() is None


def test_what_was_written_last_is_read_to_the_microsecond(tmp_path: Path) -> None:
    """By another process as well, and nothing but that one file is left."""
    path = tmp_path / "witness" / "main.json"
    FileWitness(path).write(MARK)
    FileWitness(path).write(replace(MARK, run_id="r2"))
    assert FileWitness(path).read() == replace(MARK, run_id="r2")
    assert os.listdir(path.parent) == ["main.json"]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"run_id": 1}', '{"started_at": "noon"}', "\0"])
def test_a_file_that_tells_nothing_is_an_error_and_no_fresh_machine(tmp_path: Path, content: str) -> None:
    """Fail closed: damage must not look like a first start."""
    path = tmp_path / "main.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="trading db restored"):
        FileWitness(path).read()


def test_where_nothing_can_be_remembered_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "witness").write_text("a file, no folder")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        FileWitness(tmp_path / "witness" / "main.json").write(MARK)
