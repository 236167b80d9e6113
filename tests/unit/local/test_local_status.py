"""`trading status` repeats address and login, the login to a terminal alone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading.clock import ManualClock
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError
from trading.local.home import Home
from trading.local.status import down, status, wipe
from trading.local.up import login_lines

CLOCK = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "ui_admin_password").write_text("open-sesame\n")
    (secrets / "ui_admin_password").chmod(0o600)
    return {"TRADING_HOME": str(tmp_path / "home"), "TRADING_SECRETS_DIR": str(secrets)}


@pytest.fixture
def config(environ: dict[str, str]) -> TradingConfig:
    return TradingConfig.from_env(environ)


def test_the_login_is_shown_to_a_terminal_only(config: TradingConfig, environ: dict[str, str]) -> None:
    shown = login_lines("http://127.0.0.1:8080", config, environ, to_terminal=True)
    logged = login_lines("http://127.0.0.1:8080", config, environ, to_terminal=False)
    assert shown == ["Web UI   http://127.0.0.1:8080", "Login    admin / open-sesame"]
    assert logged[0] == shown[0]
    assert "open-sesame" not in "".join(logged)
    assert "trading status" in logged[1]


@pytest.mark.parametrize("command", [status, down])
def test_before_the_set_up_the_command_to_run_is_named(config: TradingConfig, command) -> None:
    with pytest.raises(ConfigurationError, match="run `make run` first"):
        command(config, CLOCK)


def test_where_nothing_runs_status_and_down_say_so(config: TradingConfig) -> None:
    home = Home(config.home)
    home.prepare()
    home.acquire()
    home.release()
    assert status(config, CLOCK) == {"home": str(config.home), "running": False}
    assert down(config, CLOCK) == f"no instance runs in {config.home}"


def test_wipe_deletes_an_instances_folder_and_no_other(config: TradingConfig) -> None:
    config.home.mkdir()
    (config.home / "thesis.txt").write_text("three years")
    assert "nothing to delete" in wipe(config, CLOCK)
    assert (config.home / "thesis.txt").exists()
    home = Home(config.home)
    home.prepare()
    home.acquire()
    home.release()
    assert wipe(config, CLOCK) == f"deleted {config.home}"
    assert not config.home.exists()
