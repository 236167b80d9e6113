"""Planted bugs: each makes some schedule fail, so the judge can see it."""

import pytest

from tests.crash import in_memory
from tests.crash.planted import PLANTED, PLANTED_BESIDES, Plant, find


@pytest.mark.parametrize("name", [*PLANTED, *PLANTED_BESIDES])
def test_a_planted_bug_is_caught(name: str) -> None:
    """With the bug, a schedule fails; the seed is printed."""
    plant: Plant = {**PLANTED, **PLANTED_BESIDES}[name]
    seed, broken = find(plant, in_memory.schedule)
    assert seed is not None, f"{name} survived"
    print(f"{name}: seed {seed}: {broken}")  # noqa: T201


def test_the_table_is_complete() -> None:
    """Fifteen of fifteen."""
    assert len(PLANTED) == 15
