"""Concurrent and killed ingesters end with the venue's own set: a share of what `make crash` runs."""

import random
from functools import partial

import pytest

from tests.crash import ingestion
from tests.crash.on_postgres import drop_databases
from tests.crash.pool import Tally, run_schedules
from tests.crash.replay import replay_command

pytestmark = pytest.mark.postgres

PLANS = 40


def test_eight_ingesters_some_of_them_killed_end_with_equal_sets(
    postgres_server: str, migrated_template: str, request: pytest.FixtureRequest
) -> None:
    """40 plans of eight processes: nothing lost, nothing doubled, each missing candle in one gap; each step was hit."""
    replayed: int | None = request.config.getoption("seed", None)
    first = random.SystemRandom().randrange(10**9) if replayed is None else replayed
    print(f"\ningestion plans: {PLANS} from seed {first}")  # noqa: T201
    tally, run = Tally(), partial(ingestion.schedule, postgres_server, migrated_template)
    try:
        for tally in run_schedules(run, first, PLANS if replayed is None else 1, chunk=5):  # noqa: B007
            pass
    finally:
        drop_databases(postgres_server)
    for seed, broken in tally.failures.items():
        pytest.fail("\n".join((f"replay: {replay_command('ingestion', seed)}", *broken)))
    assert not (tally.never(ingestion.EXPECTED) if replayed is None else [])
