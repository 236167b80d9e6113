"""How Airflow's slots are shared, so that no other work keeps the controls waiting.

A priority only says who is next where a slot is free: what runs already, runs on. So each kind of work has a pool, and
all pools together have exactly as many slots as run at once.
"""

from collections.abc import Mapping
from typing import Final

#: Of the DAGs that stop, look and release: one that renews the lease, one that cancels, one that takes a signature.
CONTROL: Final = "control"
#: Of mapped work, which comes in any number of tasks: sweeps, backfills.
MAPPED: Final = "mapped"
#: Of all that names none; Airflow's own name.
OTHERS: Final = "default_pool"

CONTROL_SLOTS: Final = 3
#: Fewer cannot be shared: one slot is left for trading and one for mapped work.
LEAST_PARALLELISM: Final = CONTROL_SLOTS + 2


def pool_slots(parallelism: int) -> dict[str, int]:
    """Slots by pool where `parallelism` tasks run at once; mapped work gets half of what the controls leave.

    Below `LEAST_PARALLELISM` every pool has what it needs at least, and nothing is guaranteed to anybody.
    """
    left = max(parallelism, LEAST_PARALLELISM) - CONTROL_SLOTS
    return {CONTROL: CONTROL_SLOTS, MAPPED: left // 2, OTHERS: left - left // 2}


def pools_problem(slots: Mapping[str, int]) -> str:
    """What is wrong with the pools that Airflow has, in words; empty where nothing is."""
    wrong = [name for name in (CONTROL, MAPPED, OTHERS) if not slots.get(name)]
    if slots.get(CONTROL, CONTROL_SLOTS) != CONTROL_SLOTS:
        wrong.append(f"{CONTROL} ({slots[CONTROL]} slots)")
    if not wrong:
        return ""
    return (
        f"pools are missing or have other slots: {', '.join(wrong)}; expected {CONTROL} with {CONTROL_SLOTS}, {MAPPED}"
        f" and {OTHERS}. What has no pool never runs, the kill switch among it: each start of Airflow's scheduler makes"
        " them (plugins/pools.py), so start it again, and see its log"
    )
