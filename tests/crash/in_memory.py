"""Schedules over the ledger in memory."""

from collections import Counter
from typing import Final

from tests.crash.faults import CRASH_POINTS, FAULTS
from tests.crash.simulation import simulate

#: What must have happened at least once in a suite of schedules.
EXPECTED: Final = (*FAULTS, *(f"crash {point}" for point in CRASH_POINTS))


def schedule(seed: int) -> tuple[Counter[str], list[str]]:
    """One seed: what happened, and what was broken."""
    world = simulate(seed)
    broken = world.verdict()
    return world.faults.counts, broken
