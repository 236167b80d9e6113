"""What a command in another terminal learns from the running instance."""

import os
from pathlib import Path

import pytest

from trading.config import settings
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError
from trading.local.home import Home, RunState
from trading.local.instance_environment import environ_of_instance, instance_settings
from trading.local.processes import created_at_s


@pytest.fixture(autouse=True)
def _no_mounted_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "MOUNTED_SECRETS", tmp_path / "no-mount")


def running(home: Path, *, created_at_later_s: float = 0.0) -> None:
    """An instance that says it runs as this process, on paper, with ports of its own."""
    folder = Home(home)
    folder.prepare()
    folder.acquire()
    folder.release()
    state = RunState(
        pid=os.getpid(),
        created_at_s=(created_at_s(os.getpid()) or 0.0) + created_at_later_s,
        started_at="2026-11-23T08:00:00Z",
        mode="paper",
        ui_port=9081,
        exchange_port=9901,
        phase="running",
    )
    folder.write_state(state)


def handed_on(environ: dict[str, str]) -> dict[str, str]:
    return instance_settings(TradingConfig.from_env(environ), environ)


def test_mode_and_ports_are_the_running_instance_s(tmp_path: Path) -> None:
    running(tmp_path / "home")
    found = handed_on({"TRADING_HOME": str(tmp_path / "home")})
    assert found == {"TRADING_MODE": "paper", "TRADING_UI_PORT": "9081", "TRADING_EXCHANGE_PORT": "9901"}


def test_what_the_caller_set_is_left_alone(tmp_path: Path) -> None:
    running(tmp_path / "home")
    found = handed_on({"TRADING_HOME": str(tmp_path / "home"), "TRADING_MODE": "replay", "TRADING_UI_PORT": ""})
    assert found == {"TRADING_UI_PORT": "9081", "TRADING_EXCHANGE_PORT": "9901"}


def test_an_instance_that_died_says_nothing(tmp_path: Path) -> None:
    """Its process number may be another's by now."""
    running(tmp_path / "home", created_at_later_s=1.0)
    assert handed_on({"TRADING_HOME": str(tmp_path / "home")}) == {}


def test_a_named_database_needs_no_instance(tmp_path: Path) -> None:
    environ = {"TRADING_HOME": str(tmp_path / "home"), "TRADING_DATABASE_URL": "postgresql://ada@db/books"}
    assert environ_of_instance(environ) == environ


def test_before_the_set_up_the_error_says_which_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing is set up in .*home: run `make run` first"):
        environ_of_instance({"TRADING_HOME": str(tmp_path / "home")})


def test_a_stopped_instance_says_how_to_start_it(tmp_path: Path) -> None:
    running(tmp_path / "home")
    with pytest.raises(ConfigurationError, match=r"the database in .*home does not run: start .* `make run`"):
        environ_of_instance({"TRADING_HOME": str(tmp_path / "home")})


@pytest.mark.parametrize(
    "content", ["", "1\n", f"{os.getpid()}\n/nowhere\n0\n5432\n/nowhere\n"], ids=["empty", "cut", "whole"]
)
def test_a_stale_pid_file_is_no_database(tmp_path: Path, content: str) -> None:
    """Half written, or naming a process that is no PostgreSQL."""
    running(tmp_path / "home")
    (tmp_path / "home" / "postgres").mkdir()
    (tmp_path / "home" / "postgres" / "postmaster.pid").write_text(content)
    assert "TRADING_DATABASE_URL" not in handed_on({"TRADING_HOME": str(tmp_path / "home")})
