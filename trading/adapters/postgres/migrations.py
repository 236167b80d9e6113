"""Schema versions: Alembic runs the plain SQL files of sql/migrations in the order of their numbers.

Our tables and Alembic's own version table live in the schema `trading`; Airflow's, in `public`, are never touched.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psycopg
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from trading.adapters.postgres.connection import address, connect_plain, translated
from trading.errors import ConfigurationError

FOLDER: Final = Path(__file__).parent / "sql" / "migrations"
#: Who may do what, once the schema is the newest.
_ROLES: Final = Path(__file__).parent / "sql" / "roles.sql"
_FILE_NAME: Final = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
#: Whoever migrates holds this, so that two starts at once do it one after the other.
_LOCK: Final = 7_236_871


class _SqlFiles(ScriptDirectory):
    """Alembic's script directory over SQL files: each file is a revision, its number is the revision's id."""

    def _load_revisions(self) -> Iterator[Script]:
        previous: str | None = None
        for path in sorted(Path(self.dir).glob("*.sql")):
            matched = _FILE_NAME.match(path.name)
            if matched is None:
                raise ConfigurationError(f"migration {path.name}: expected a name like 0001_accounts.sql")
            module: Any = ModuleType(path.stem)
            module.down_revision = previous
            module.upgrade = _runner(path)
            yield Script(module, matched[1], str(path))
            previous = matched[1]


def _runner(path: Path) -> Callable[..., None]:
    """What upgrades to this file: its text, as it stands, in one round trip."""

    def upgrade(*, driver: psycopg.Connection[Any]) -> None:
        driver.execute(path.read_bytes())

    return upgrade


def _unheard(_sentence: str) -> None:
    """Nobody reads what the database warns of."""


def migrate(url: str, folder: Path = FOLDER, tell: Callable[[str], object] = _unheard) -> str:
    """Bring the schema up to date, all or nothing; the version after it. Safe to repeat, and to run twice at once.

    `tell` hears what could not be done and holds nothing up: roles that this user may not create.
    Raises ConfigurationError where the database cannot be reached, or knows versions that this code does not.
    """
    files = _SqlFiles(str(folder))
    with _connected(url) as (connection, driver):
        driver.add_notice_handler(partial(_hand_on, tell))
        driver.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        driver.execute("CREATE SCHEMA IF NOT EXISTS trading")
        _context(connection, files).run_migrations(driver=driver)
        if folder == FOLDER:
            driver.execute(_ROLES.read_bytes())
        connection.commit()
    return head(folder)


def _hand_on(tell: Callable[[str], object], said: Diagnostic) -> None:
    """Warnings alone: a notice says that something is as it should be already."""
    if said.severity_nonlocalized == "WARNING":
        tell(said.message_primary or "")


def current(url: str) -> str:
    """The version that the database is at; empty where it was never migrated."""
    with _connected(url) as (connection, _):
        return _context(connection, None).get_current_revision() or ""


def head(folder: Path = FOLDER) -> str:
    """The newest version that this code knows."""
    return _SqlFiles(str(folder)).get_current_head() or ""


def _context(connection: Connection, files: _SqlFiles | None) -> MigrationContext:
    def steps(heads: tuple[str, ...], _: MigrationContext) -> Any:
        # Alembic's documented environments reach for this method too; the version of Alembic is locked.
        return files._upgrade_revs("head", heads[0] if heads else "base") if files else []

    return MigrationContext.configure(connection, opts={"fn": steps, "version_table_schema": "trading"})


@contextmanager
def _connected(url: str) -> Iterator[tuple[Connection, psycopg.Connection[Any]]]:
    """SQLAlchemy's connection for Alembic, and the driver's own beneath it, in one transaction; errors in our words."""
    driver = connect_plain(url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: driver, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection, driver
    except psycopg.Error as error:
        raise translated(error, address(url)) from error
    except DBAPIError as error:
        raise ConfigurationError(f"the schema in {address(url)} cannot be migrated: {error.orig}") from error
    except CommandError as error:
        raise ConfigurationError(
            f"the schema in {address(url)} is not one that this code knows ({error}): expected at most {head()},"
            " update the code"
        ) from error
    finally:
        driver.close()
