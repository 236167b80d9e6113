"""The database's password changes under a running ledger: never a moment without a valid one, and no log tells it."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.password import working_url
from trading.commands import renewal
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError

pytestmark = pytest.mark.postgres

OLD, ROLE = "what-was-valid-before", "password_renter"


@pytest.fixture
def login(postgres_server: str) -> Iterator[str]:
    """A URL without its password, of a user whom the server asks for one."""
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        (path,) = owner.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(path)
        if not os.access(rules, os.W_OK):
            pytest.skip("somebody else's server: its rules for logins cannot be changed here")
        before = rules.read_text()
        folder, port, database = owner.info.host, owner.info.port, owner.info.dbname
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(OLD)))
        try:
            rules.write_text(f"local all {ROLE} scram-sha-256\n{before}")
            owner.execute("SELECT pg_reload_conf()")
            yield f"postgresql://{ROLE}@{quote(folder, safe='')}:{port}/{database}"
        finally:
            rules.write_text(before)
            owner.execute("SELECT pg_reload_conf()")
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.fixture
def environ(tmp_path: Path, login: str) -> dict[str, str]:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "db_password").touch(mode=0o600)
    (folder / "db_password").write_text(f"{OLD}\n")
    return {"TRADING_SECRETS_DIR": str(folder), "TRADING_DATABASE_URL": login, "TRADING_HOME": str(tmp_path / "home")}


def held(environ: dict[str, str]) -> str:
    return (Path(environ["TRADING_SECRETS_DIR"]) / "db_password").read_text().strip()


def asked(environ: dict[str, str]) -> str:
    """Who is let in with what the files say now."""
    config = TradingConfig.from_env(environ)
    ledger = PostgresLedger(lambda: config.database_urls(config.secrets(environ)), role="")
    try:
        connection = ledger._open()
        return str(connection.execute("SELECT current_user AS name").fetchone()["name"])  # type: ignore[index]
    finally:
        ledger.close()


def test_a_changed_password_is_used_by_who_was_there_before(environ: dict[str, str]) -> None:
    config = TradingConfig.from_env(environ)
    ledger = PostgresLedger(lambda: config.database_urls(config.secrets(environ)), role="")
    assert ledger._open().info.user == ROLE
    renewal.rotate(config, environ, "db_password")
    assert held(environ) != OLD
    assert ledger._open().info.user == ROLE  # its session goes on
    ledger.close()
    assert ledger._open().info.user == ROLE  # and it finds its way back
    ledger.close()
    with pytest.raises(ConfigurationError, match="password authentication failed"):
        PostgresLedger(environ["TRADING_DATABASE_URL"].replace("@", f":{OLD}@", 1), role="")._open()
    assert not (Path(environ["TRADING_SECRETS_DIR"]) / "db_password_next").exists()


@pytest.mark.parametrize("where", ["change_password", "connect_plain"])
def test_a_change_that_breaks_off_locks_nobody_out_and_ends_when_repeated(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Killed before the database knows the new password, and after."""
    config = TradingConfig.from_env(environ)
    module = "password" if where == "change_password" else "connection"
    with monkeypatch.context() as broken:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        broken.setattr(f"trading.adapters.postgres.{module}.{where}", die)
        with pytest.raises(KeyboardInterrupt):
            renewal.rotate(config, environ, "db_password")
    assert held(environ) == OLD
    assert asked(environ) == ROLE
    renewal.rotate(config, environ, "db_password")
    assert held(environ) != OLD
    assert asked(environ) == ROLE


def test_the_server_is_never_told_the_password_itself(environ: dict[str, str], postgres_server: str) -> None:
    """What it could write to its log is a verifier."""
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        (folder,) = owner.execute("SHOW data_directory").fetchone() or ("",)
        owner.execute("ALTER SYSTEM SET log_statement = 'all'")
        owner.execute("SELECT pg_reload_conf()")
        try:
            renewal.rotate(TradingConfig.from_env(environ), environ, "db_password")
        finally:
            owner.execute("ALTER SYSTEM RESET log_statement")
            owner.execute("SELECT pg_reload_conf()")
    logs = [path for path in Path(folder).rglob("*") if path.is_file() and "log" in path.name]
    said = b"".join(path.read_bytes() for path in logs)
    assert b"ALTER ROLE" in said
    assert held(environ).encode() not in said


def test_one_url_is_not_tried_and_of_two_the_first_that_works_is_used(database_url: str) -> None:
    assert working_url(("postgresql://nobody@127.0.0.1:1/x",)) == "postgresql://nobody@127.0.0.1:1/x"
    assert working_url((database_url, "postgresql://nobody@127.0.0.1:1/x")) == database_url
    assert working_url(("postgresql://nobody@127.0.0.1:1/x", database_url)) == database_url
