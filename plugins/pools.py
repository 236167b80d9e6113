"""Makes the pools of trading.domain.pools wherever Airflow starts, and says which DAG is in which.

One place for every way to run it: each component that has a row in Airflow's table of jobs (the scheduler among them)
comes by here when it starts. What somebody changed by hand is set again; `[core] parallelism` is what to change.
"""

import logging
from typing import Final

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from trading.domain.pools import CONTROL as CONTROL_POOL
from trading.domain.pools import LEAST_PARALLELISM, OTHERS, pool_slots
from trading.domain.pools import MAPPED as MAPPED_POOL

logger = logging.getLogger(__name__)

#: Default arguments of the DAGs that nothing may keep waiting …
CONTROL: Final = {"pool": CONTROL_POOL, "priority_weight": 100}
#: … and of mapped tasks, whose number says nothing about their weight.
MAPPED: Final = {"pool": MAPPED_POOL, "priority_weight": 1, "weight_rule": "absolute"}
_MEANING: Final = {
    CONTROL_POOL: "kill_switch, halt_trading, resume_trading: nothing else runs here, so nothing keeps them waiting",
    MAPPED_POOL: "sweeps and backfills: bounded, so that they keep no order waiting",
    OTHERS: "ingest, evaluate, place, reconcile, and whatever names no pool",
}


class PoolsAtStart:
    """Airflow calls this before the first task of a scheduler."""

    @hookimpl
    def on_starting(self, component: object) -> None:
        """A task's process, which starts as well, has no database."""
        if type(component).__name__ == "Job":
            make_pools()


def make_pools() -> None:
    """Make what is missing, and set the slots by `[core] parallelism`. Components that start at once may all do it."""
    from airflow.configuration import conf  # noqa: PLC0415 - plugins load in every process
    from airflow.models.pool import Pool  # noqa: PLC0415
    from sqlalchemy.exc import IntegrityError  # noqa: PLC0415

    parallelism = conf.getint("core", "parallelism")
    if parallelism < LEAST_PARALLELISM:
        logger.error(
            "[core] parallelism is %s: expected at least %s, or other work keeps the kill switch waiting",
            parallelism,
            LEAST_PARALLELISM,
        )
    for name, slots in pool_slots(parallelism).items():
        try:
            Pool.create_or_update_pool(name, slots, _MEANING[name], include_deferred=False)
        except IntegrityError:  # another component made it in this moment, with the same slots
            continue


class PoolsPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "pools"
    listeners = (PoolsAtStart(),)
