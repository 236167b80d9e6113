"""The pools: together exactly what runs at once, and what Airflow's own scheduler makes of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trading.domain.pools import CONTROL, CONTROL_SLOTS, LEAST_PARALLELISM, MAPPED, OTHERS, pool_slots

ROOT = Path(__file__).parents[3]
PARALLELISM = 8

BUSY = """
from airflow.sdk import DAG, task
from pools import MAPPED

for name, arguments in (("sweep", MAPPED), ("chatter", {"priority_weight": 1_000_000})):
    with DAG(name, schedule=None, max_active_tasks=64, default_args=arguments):

        @task
        def work(n):
            return n

        work.expand(n=list(range(20)))
"""

#: Airflow's own tables, DAG parser, runs and scheduler; only its loop and its workers are not there.
SCHEDULE = """
import json
from airflow import settings
from airflow._shared.timezones import timezone
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.executors.local_executor import LocalExecutor
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagbag import DBDagBag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from airflow.utils.db import synchronize_log_template
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import func, select, update

import_all_models()
Base.metadata.create_all(settings.engine)
session = settings.Session()
synchronize_log_template(session=session)
session.add(DagBundleModel(name="dags"))
session.commit()
bag = DagBag(FOLDER)
assert not bag.import_errors, bag.import_errors
sync_bag_to_db(bag, "dags", None, session=session)
session.commit()
runner = SchedulerJobRunner(job=Job(), executors=[LocalExecutor(parallelism=PARALLELISM)])


def scheduled(dag_id):
    dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
    dag.create_dagrun(
        run_id=dag_id, run_type=DagRunType.MANUAL, run_after=timezone.utcnow(), logical_date=None,
        state=DagRunState.RUNNING, triggered_by=DagRunTriggeredByType.TEST, session=session,
    )
    roots = [task.task_id for task in dag.roots]
    first = update(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.task_id.in_(roots))
    session.execute(first.values(state="scheduled"))
    session.commit()


def started():
    while True:  # as the scheduler's loop does: as many at a time as are free
        busy = session.scalar(select(func.count()).where(TaskInstance.state == "running"))
        queued = runner._executable_task_instances_to_queued(PARALLELISM - busy, session=session)
        names = [one.dag_id for one in queued]
        session.execute(update(TaskInstance).where(TaskInstance.state == "queued").values(state="running"))
        session.commit()
        yield from names
        if not names:
            return


for dag_id in ("sweep", "chatter"):
    scheduled(dag_id)
before = sorted(started())
for dag_id in ("kill_switch", "halt_trading", "resume_trading"):
    scheduled(dag_id)
pools = {pool.pool: pool.slots for pool in session.scalars(select(Pool))}
print(json.dumps({"pools": pools, "before": before, "after": sorted(started())}))
"""


def test_all_pools_together_are_what_runs_at_once() -> None:
    """So whatever runs elsewhere, a control's slot is free; and mapped work never has more than parallelism - 3."""
    for parallelism in range(LEAST_PARALLELISM, 200):
        slots = pool_slots(parallelism)
        assert sum(slots.values()) == parallelism
        assert slots[CONTROL] == CONTROL_SLOTS == 3
        assert 1 <= slots[MAPPED] <= slots[OTHERS] <= parallelism - 3


def test_too_few_slots_take_no_pool_away() -> None:
    """A task whose pool is missing or empty never runs."""
    assert all(pool_slots(parallelism) == {CONTROL: 3, MAPPED: 1, OTHERS: 1} for parallelism in range(6))


def test_no_other_work_keeps_the_controls_waiting(airflow: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Forty tasks, half of them of a huge weight, take all that they get; then each of the controls starts at once.

    The pools are made by the listener when the first component of Airflow starts.
    """
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "busy.py").write_text(BUSY)
    for name in ("kill_switch", "halt_trading", "resume_trading"):
        shutil.copy(ROOT / "dags" / f"{name}.py", folder)
    script = SCHEDULE.replace("FOLDER", repr(str(folder))).replace("PARALLELISM", str(PARALLELISM))
    told = airflow(
        script,
        AIRFLOW__CORE__PARALLELISM=str(PARALLELISM),
        AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
    )
    assert told["pools"] == pool_slots(PARALLELISM)
    assert told["before"] == ["chatter"] * 3 + ["sweep"] * 2
    assert told["after"] == ["halt_trading", "kill_switch", "resume_trading"]
