"""The same schedules on a real PostgreSQL: pooled without fsync, and a handful where commits are durable."""

import random
from functools import partial

import psycopg
import pytest

from tests.crash import on_postgres
from tests.crash.pool import Tally, run_schedules
from tests.crash.replay import replay_command

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]


def _run(server: str, template: str, schedules: int, first: int) -> Tally:
    print(f"\ncrash schedules on PostgreSQL: {schedules} from seed {first}")  # noqa: T201
    tally = Tally()
    try:
        for tally in run_schedules(partial(on_postgres.schedule, server, template), first, schedules, chunk=5):  # noqa: B007
            pass
    finally:
        on_postgres.drop_databases(server)
    for seed, broken in tally.failures.items():
        pytest.fail("\n".join((f"replay: {replay_command('postgres', seed)}", *broken)))
    return tally


def test_schedules_hold_on_postgres(
    postgres_server: str, migrated_template: str, request: pytest.FixtureRequest
) -> None:
    """300 fresh schedules break nothing that the ones in memory do not."""
    replayed: int | None = request.config.getoption("seed", None)
    first = random.SystemRandom().randrange(10**9) if replayed is None else replayed
    tally = _run(postgres_server, migrated_template, 300 if replayed is None else 1, first)
    if replayed is None:
        assert not tally.never(("crash _authorise.after_commit", "commit_answer_lost", "stalled_in_flight", "halted"))


def test_schedules_hold_where_commits_are_durable(postgres_server: str, migrated_template: str) -> None:
    """A handful with fsync on."""
    _fsync(postgres_server, "on")
    try:
        _run(postgres_server, migrated_template, 10, random.SystemRandom().randrange(10**9))
    finally:
        _fsync(postgres_server, "off")


def _fsync(server: str, value: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET fsync = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
