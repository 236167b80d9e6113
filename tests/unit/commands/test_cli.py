"""The entrance: quick, clear about mistakes, and never a traceback unasked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from tests.unit.commands.conftest import Trading
from trading import cli, errors

ROOT = Path(__file__).parents[3]
HEAVY = ("ccxt", "airflow", "psycopg", "numpy", "pydantic", "fastapi", "sqlalchemy", "requests")

PROBE = """
import json, resource, sys
from trading.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([code, used.ru_utime + used.ru_stime, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def in_fresh_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trading", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "100"},
    )


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_entrance_is_light(option: str) -> None:
    """Help and version import nothing heavy; and the best of three stays within its processor time."""
    seconds = []
    for _ in range(3):
        run = [sys.executable, "-c", PROBE, option]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
        code, used_s, modules = json.loads(done.stdout.splitlines()[-1])
        assert code == 0
        assert not set(modules) & set(HEAVY)
        seconds.append(used_s)
    assert min(seconds) < 0.8, seconds  # 0.35 s on a quiet machine


def test_the_list_says_what_each_command_says_of_itself() -> None:
    """The summaries that spare the imports are those of the commands' own help, and every command loads."""
    for name, command in cli.command().commands.items():
        own = command.loaded().help.strip().split("\n")[0]
        assert own == command.help, name


def test_every_command_explains_itself(trading: Trading) -> None:
    """--help works for each of them and for their groups' parts."""
    for name, command in cli.command().commands.items():
        assert f"Usage: trading {name}" in trading(name, "--help").out
        for part in getattr(command.loaded(), "commands", {}):
            assert f"Usage: trading {name} {part}" in trading(name, part, "--help").out


def test_exit_codes_are_documented() -> None:
    """Every exit code of the error tree stands in the module's table and in the help's end."""

    def classes(root: type[errors.TradingError]) -> set[type[errors.TradingError]]:
        return {root}.union(*(classes(one) for one in root.__subclasses__()))

    group = typer.main.get_command(cli.app)
    for code in {one.exit_code for one in classes(errors.TradingError)} | {0, 1, 2, 130, 141}:
        assert f"\n    {code} " in (cli.__doc__ or "")
        assert f" {code} " in str(group.epilog)


def test_a_wrong_command_is_answered_with_the_nearest_one(trading: Trading) -> None:
    said = trading("ordres")
    assert said.code == 2
    assert "'orders'" in said.err
    assert "Traceback" not in said.err


def test_an_error_is_one_sentence_and_its_code(trading: Trading, home: Path) -> None:
    """A command before the set-up says which command to run."""
    said = trading("orders")
    assert (said.code, said.out) == (78, "")
    assert said.err == f"error: nothing is set up in {home}: run `make run` first\n"


def test_debug_shows_the_traceback(trading: Trading) -> None:
    said = trading("--debug", "orders")
    assert said.code == 78
    assert said.err.startswith("Traceback")
    assert said.err.splitlines()[-1].startswith("error: nothing is set up")


def test_a_defect_is_one_sentence_too(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expected is said in one line that tells how to see more, with a code of its own."""

    def broken(_module: str) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(cli, "_load", broken)
    said = trading("orders")
    assert said.code == 70
    expected = "error: unexpected KeyError: 'surprise'; `trading --debug …` shows where it happened\n"
    assert said.err == expected


def test_ctrl_c_is_quiet(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_module: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_load", interrupted)
    said = trading("orders")
    assert (said.code, said.out, said.err) == (130, "", "")


@pytest.mark.parametrize("arguments", ["--version", "config show --json"])
def test_a_reader_that_goes_away_is_no_error(arguments: str) -> None:
    """Nothing is said when the output's reader has left, whether the output is short or long."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "trading", *arguments.split()],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            cwd=ROOT,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_module_runs_as_the_program_does() -> None:
    done = in_fresh_process("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("trading 0.")
