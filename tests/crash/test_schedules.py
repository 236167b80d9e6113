"""The order path under every fault: 2,000 fresh schedules, and planted bugs that the same judges must catch."""

import random
from collections import Counter

import pytest

from tests.crash.checkers import violations
from tests.crash.faults import CRASH_POINTS, FAULTS
from tests.crash.planted import PLANTED, Plant
from tests.crash.simulation import World, simulate

#: A planted bug must show within this many schedules.
PATIENCE = 300


def judge(world: World) -> list[str]:
    """Everything that is wrong with a schedule that has ended."""
    broken = world.broken + violations(world.desk, quiescent=True)
    waiting = world.open_intents()
    return broken + ([f"liveness: {waiting} did not end within the horizon and 60 s"] if waiting else [])


def test_an_order_is_placed_exactly_once_whatever_dies(request: pytest.FixtureRequest) -> None:
    """I1, I3, I3b, I4, I6 and liveness hold in every schedule, and every fault happened."""
    replayed: int | None = request.config.getoption("seed", None)
    first = random.SystemRandom().randrange(10**9) if replayed is None else replayed
    schedules = request.config.getoption("schedules", 2_000) if replayed is None else 1
    print(f"\ncrash schedules: {schedules} from seed {first}")  # noqa: T201 — shown with -s, and by a failure
    counts: Counter[str] = Counter()
    for seed in range(first, first + schedules):
        world = simulate(seed)
        broken = judge(world)
        counts += world.faults.counts
        assert not broken, f"replay: python -m pytest tests/crash --seed={seed}\n" + "\n".join(broken)
    for name, count in sorted(counts.items()):
        print(f"{count:7d}  {name}")  # noqa: T201
    if replayed is None and schedules >= 1_000:
        never = [name for name in (*FAULTS, *(f"crash {point}" for point in CRASH_POINTS)) if not counts[name]]
        assert not never, f"never happened, so nothing is known of them: {never}"


def test_the_same_seed_gives_the_same_world() -> None:
    """A failure can be replayed: two runs of a seed leave the same audit chain and the same requests."""
    chains = []
    for _ in range(2):
        world = simulate(20_260_302)
        chain = world.desk.memory_ledger._books.orders.chain("replay")
        chains.append(([link.hash for link in chain], world.desk.posts(), world.faults.counts))
    assert chains[0] == chains[1]
    assert chains[0][0]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bug makes some schedule fail, so the judges can see it."""
    plant(monkeypatch)
    caught = next((seed for seed in range(PATIENCE) if judge(simulate(seed))), None)
    assert caught is not None, f"{plant.__name__} survived {PATIENCE} schedules"
    print(f"{plant.__name__}: seed {caught}: {judge(simulate(caught))[0]}")  # noqa: T201
