"""`trading db migrate` and `trading db status`, over a real database."""

from pathlib import Path

import orjson
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from trading.adapters.postgres.migrations import head
from trading.commands import prepare
from trading.commands.db import app

pytestmark = pytest.mark.postgres


@pytest.fixture
def named(empty_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The settings name an empty database; its name."""
    parts = conninfo_to_dict(empty_database_url)
    query = "&".join(f"{name}={value}" for name, value in parts.items() if name != "dbname")
    monkeypatch.setenv("TRADING_DATABASE_URL", f"postgresql:///{parts['dbname']}?{query}")
    monkeypatch.setenv("TRADING_HOME", str(tmp_path))
    return str(parts["dbname"])


def test_status_before_and_after_migrating(named: str) -> None:
    """Status says what to run; migrating twice says what it did; `--json` is one object."""
    runner = CliRunner()
    before = runner.invoke(app, ["status"])
    assert before.exit_code == 0, before.exception
    assert f"{named}: schema none" in before.output
    assert "trading db migrate" in before.output
    assert f"went from nothing to {head()}" in runner.invoke(app, ["migrate"]).output
    assert f"is up to date at {head()}" in runner.invoke(app, ["migrate"]).output
    after = orjson.loads(runner.invoke(app, ["status", "--json"]).stdout)
    assert (after["current"], after["head"], after["up_to_date"]) == (head(), head(), True)
    assert after["database"].endswith(named)


def test_prepare_makes_an_empty_database_ready_and_says_what_stands_the_second_time(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In replay the first halt is released by itself; a second start opens nothing and releases nothing."""
    monkeypatch.setenv("TRADING_SECRETS_DIR", str(tmp_path / "secrets"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "kill_switch_secret").write_text("k" * 40)
    (tmp_path / "secrets" / "kill_switch_secret").chmod(0o600)
    runner = CliRunner()
    first = runner.invoke(prepare.app, [])
    assert first.exit_code == 0, first.exception
    assert "account replay opened; its first halt was released" in first.output
    assert f"is up to date at {head()}" in runner.invoke(app, ["migrate"]).output
    assert "was open before, and no halt stands" in runner.invoke(prepare.app, []).output
