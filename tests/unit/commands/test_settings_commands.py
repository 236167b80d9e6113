"""`config`, `secrets`, `airflow`: what is set, from where, and nothing that must stay secret."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands.conftest import Trading

NEEDED = (
    "kill_switch_secret",
    "audit_secret",
    "airflow_conf_fernet_key",
    "airflow_conf_secret_key",
    "airflow_conf_jwt_secret",
    "ui_admin_password",
    "paper_api_key",
    "paper_api_secret",
)

#: Good for every secret, Fernet's key included.
DANGER = "d4ngerd4ngerd4ngerd4ngerd4ngerd4ngerd4nger0="

Write = Callable[[str, str], Path]


def rows(trading: Trading, *arguments: str) -> dict[str, dict[str, Any]]:
    """A listing's rows by their first column."""
    found = json.loads(trading(*arguments, "--json").out)
    return {next(iter(row.values())): row for row in found}


def test_each_setting_with_its_source(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_UI_PORT", "9090")
    shown = rows(trading, "config", "show")
    assert (shown["ui_port"]["value"], shown["ui_port"]["source"]) == ("9090", "environment TRADING_UI_PORT")
    assert (shown["mode"]["value"], shown["mode"]["source"]) == ("replay", "default")
    assert shown["database_url"]["value"] == "(embedded)"


def test_passwords_are_masked(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_DATABASE_URL", "postgresql://ada:hunter22@db.example:5433/books")
    for arguments in (("config", "show"), ("config", "show", "--json")):
        said = trading(*arguments)
        assert "postgresql://ada:***@db.example:5433/books" in said.out
        assert "hunter22" not in said.out + said.err


def test_secrets_are_created_once(trading: Trading, tmp_path: Path) -> None:
    """init makes what check then finds usable; a second init changes nothing."""
    assert trading("secrets", "init").code == 0
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(before) >= set(NEEDED)
    assert trading("secrets", "check").code == 0
    assert trading("secrets", "init").code == 0
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before


def test_a_listing_never_shows_content(trading: Trading, secret: Write) -> None:
    """Age, mode and owner, and not a letter of the value."""
    for name in NEEDED:
        secret(name, DANGER)
    for command in ("status", "check"):
        for more in ((), ("--json",)):
            said = trading("secrets", command, *more)
            assert said.code == 0
            assert DANGER not in said.out + said.err
    row = rows(trading, "secrets", "check")["kill_switch_secret"]
    assert (row["mode"], row["problem"]) == ("0600", None)
    assert 0 <= row["age_s"] < 60


@pytest.mark.parametrize(
    ("name", "content", "mode", "problem"),
    [
        ("kill_switch_secret", "short", 0o600, "too short"),
        ("paper_api_key", DANGER, 0o644, "may be read by others (mode 0644)"),
        ("ui_admin_password", f"{DANGER}\nsecond line", 0o600, "control character or a newline"),
        ("database_url", "", 0o600, "empty or blank"),
    ],
)
def test_a_bad_secret_fails_the_check(
    *, trading: Trading, secret: Write, name: str, content: str, mode: int, problem: str
) -> None:
    """Named, with what is wrong, with a code of its own, and without its content."""
    for each in NEEDED:
        secret(each, DANGER)
    secret(name, content).chmod(mode)
    said = trading("secrets", "check")
    assert said.code == 78
    assert name in said.err
    assert problem in said.err
    assert DANGER not in said.out + said.err


def test_every_missing_secret_is_named(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed depends on the mode; in sandbox the exchange's own keys."""
    monkeypatch.setenv("TRADING_MODE", "sandbox")
    said = trading("secrets", "check")
    assert said.code == 78
    for name in (*NEEDED[:6], "exchange_api_key", "exchange_api_secret"):
        assert name in said.err.splitlines()[-1]
    assert "paper_api_key" not in said.out + said.err


def test_a_secret_from_the_environment_names_its_variable(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_API_KEY", DANGER)
    row = rows(trading, "secrets", "status")["paper_api_key"]
    assert row["source"] == "environment PAPER_API_KEY"
    assert row["mode"] == ""


def test_airflow_becomes_airflow(trading: Trading, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process becomes Airflow's own command line, with this instance's environment and no other Airflow's."""
    called: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: called.append(arguments))
    monkeypatch.setenv("TRADING_DATABASE_URL", "postgresql://ada@127.0.0.1:1/books")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "another's")
    monkeypatch.setenv("TRADING_UI_PORT", "9090")
    assert trading("airflow", "--", "dags", "list", "--output", "json").code == 0
    assert trading("airflow", "dags", "trigger", "place_orders", "--conf", "{}").code == 0
    (program, first, environment), (_, second, _) = called
    assert program == sys.executable
    assert first[1:] == ["-m", "airflow", "dags", "list", "--output", "json"]
    assert second[1:] == ["-m", "airflow", "dags", "trigger", "place_orders", "--conf", "{}"]
    assert environment["AIRFLOW_HOME"] == str(home / "airflow")
    assert environment["TRADING_DATABASE_URL"] == "postgresql://ada@127.0.0.1:1/books"
    assert environment["AIRFLOW__API__PORT"] == "9090"
    assert "AIRFLOW__CORE__FERNET_KEY" not in environment
    assert stat.S_IMODE((home / "airflow").stat().st_mode) == 0o700


def test_airflow_before_the_set_up(trading: Trading, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("nothing may be started"))
    said = trading("airflow", "--", "dags", "list")
    assert said.code == 78
    assert "run `make run` first" in said.err
    assert not home.exists()
