"""`trading db migrate` and `trading db status`, over a real database."""

from pathlib import Path

import orjson
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from trading.adapters.postgres.migrations import head
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
