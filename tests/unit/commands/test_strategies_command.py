"""`trading strategies`: a new one works as it is written, and what is wrong with one is said in words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.commands.conftest import Trading
from trading.strategies import registry


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, which does not exist yet."""
    folder = tmp_path / "mine"
    monkeypatch.setenv("TRADING_STRATEGIES_PATH", str(folder))
    yield folder
    registry.look_in([])


def test_a_new_strategy_can_be_checked_tested_and_backtested(trading: Trading, own: Path, tmp_path: Path) -> None:
    """As a new user would: new, check, its own test, backtest with a report."""
    said = trading("strategies", "new", "my_idea")
    assert (said.code, said.out.split()) == (0, [str(own / "my_idea.py"), str(own / "test_my_idea.py")])
    assert trading("strategies", "check", "my_idea", "--rounds", "100").out.startswith("my_idea: nothing found")
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(own)]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    report = tmp_path / "r.html"
    said = trading("backtest", "my_idea", "--since", "2024-03-01", "--report", str(report))
    assert (said.code, report.exists()) == (0, True), said.err


def test_the_list_names_users_strategies_and_what_is_broken(trading: Trading, own: Path) -> None:
    """One that cannot be loaded says why, and hides no other."""
    trading("strategies", "new", "my_idea")
    (own / "broken.py").write_text("import nothing_like_it")
    rows = {row["name"]: row for row in json.loads(trading("strategies", "list", "--json").out)}
    assert rows["my_idea"]["from"] == str(own / "my_idea.py")
    assert rows["my_idea"]["parameters"] == {"window": "48 (2..5000)"}
    assert "No module named 'nothing_like_it'" in rows["broken"]["problem"]
    assert rows["sma_crossover"]["from"] == "shipped"
    assert "broken.py, line 1, raised" in trading("strategies", "list").out


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rising = np.roll(panel.close, -1, axis=0) > panel.close", "it looks ahead"),
        ("rising = panel.close > panel.close.mean(axis=0)", "it looks ahead"),
        ("rising = panel.close > rolling_mean(panel.close, 2 * parameters.window)", "its warm-up is longer"),
    ],
)
def test_what_is_wrong_is_said_in_words(trading: Trading, own: Path, line: str, told: str) -> None:
    """A shift by -1, a mean over the whole panel, a warm-up that is too short."""
    trading("strategies", "new", "my_idea")
    path = own / "my_idea.py"
    path.write_text(
        path.read_text().replace("rising = panel.close > rolling_mean(panel.close, parameters.window)", line)
    )
    said = trading("strategies", "check", "my_idea", "--rounds", "50")
    assert said.code == 1
    assert said.out.startswith("wrong: ")
    assert told in said.out
    assert json.loads(trading("strategies", "check", "my_idea", "--rounds", "50", "--json").out)["wrong"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("new", "My-Idea"), 2, "expected up to 32 of a-z"),
        (("new", "sma_crossover"), 78, "strategy sma_crossover exists already"),
        (("check", "nothing"), 78, "unknown strategy 'nothing'"),
        (("check", "sma_crossover", "--param", "fast=0"), 78, "fast is 0"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    trading: Trading, arguments: tuple[str, ...], code: int, told: str
) -> None:
    said = trading("strategies", *arguments)
    assert (said.code, told in " ".join(said.err.replace("│", " ").split())) == (code, True), said.err


def test_a_file_that_is_there_is_never_overwritten(trading: Trading, own: Path) -> None:
    """Even where it is no strategy."""
    own.mkdir()
    (own / "test_my_idea.py").write_text("mine")
    assert trading("strategies", "new", "my_idea").code == 78
    assert (own / "test_my_idea.py").read_text() == "mine"
    assert not (own / "my_idea.py").exists()
