"""The order path under every fault, in memory: fresh schedules, each judged after each step."""

import random

import pytest

from tests.crash import in_memory
from tests.crash.pool import Tally, run_schedules
from tests.crash.replay import replay_command
from tests.crash.simulation import simulate


@pytest.mark.timeout(900)
def test_an_order_is_placed_exactly_once_whatever_dies(request: pytest.FixtureRequest) -> None:
    """The invariants and liveness hold in every schedule, and every fault happened."""
    replayed: int | None = request.config.getoption("seed", None)
    first = random.SystemRandom().randrange(10**9) if replayed is None else replayed
    schedules = request.config.getoption("schedules", 20_000) if replayed is None else 1
    print(f"\ncrash schedules in memory: {schedules} from seed {first}")  # noqa: T201 — shown with -s, and by a failure
    tally = Tally()
    for tally in run_schedules(in_memory.schedule, first, schedules):  # noqa: B007 — the last one counts
        pass
    for seed, broken in tally.failures.items():
        pytest.fail("\n".join((f"replay: {replay_command('in_memory', seed)}", *broken)))
    for name, count in sorted(tally.counts.items()):
        print(f"{count:7d}  {name}")  # noqa: T201
    if replayed is None and schedules >= 1_000:
        assert not tally.never(in_memory.EXPECTED), "never happened, so nothing is known of them"


def test_the_same_seed_gives_the_same_world() -> None:
    """A failure can be replayed: two runs of a seed leave the same audit chain and the same requests."""
    chains = []
    for _ in range(2):
        world = simulate(20_260_302)
        chain = world.desk.memory_ledger._books.orders.chain("replay")
        chains.append(([link.hash for link in chain], world.desk.posts(), world.faults.counts))
    assert chains[0] == chains[1]
    assert chains[0][0]
