"""Real senders killed with SIGKILL at named points, and PostgreSQL killed under them: both books agree afterwards."""

import random
from functools import partial

import pytest

from tests.crash import on_postgres, sigkill
from tests.crash.kill_points import POINTS
from tests.crash.pool import Tally, run_schedules
from tests.crash.replay import replay_command

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

#: Batches of one kill a point: 60 kills.
BATCHES = 5


def test_a_killed_sender_loses_and_doubles_nothing(
    postgres_server: str, migrated_template: str, request: pytest.FixtureRequest
) -> None:
    """60 kills, each point five times; after each a fresh process recovers and the books are compared."""
    replayed: int | None = request.config.getoption("seed", None)
    first = random.SystemRandom().randrange(10**9) if replayed is None else replayed
    print(f"\nreal kills: {BATCHES} batches from seed {first}")  # noqa: T201
    tally, run = Tally(), partial(sigkill.schedule, postgres_server, migrated_template)
    try:
        for tally in run_schedules(run, first, BATCHES if replayed is None else 1, chunk=1):  # noqa: B007
            pass
    finally:
        on_postgres.drop_databases(postgres_server)
    for seed, broken in tally.failures.items():
        pytest.fail("\n".join((f"replay: {replay_command('sigkill', seed)}", *broken)))
    assert not tally.never(tuple(f"SIGKILL {point}" for point in POINTS))


def test_a_killed_database_loses_and_doubles_nothing() -> None:
    """PostgreSQL dies under a sender before and after the intent's commit, and around the ack's; then all agree."""
    points = tuple(point for point in POINTS if "intent's commit" in point or "ack's commit" in point)
    seed = random.SystemRandom().randrange(10**9)
    counts, broken = sigkill.restarts(seed, points)
    assert not broken, "\n".join((f"replay: {replay_command('restarts', seed)}", *broken))
    assert counts["kills"] == len(points)
