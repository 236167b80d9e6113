"""Run ids that name their DAG: Airflow's are unique per DAG only, and cron gives all DAGs of a minute the same one."""

from datetime import timedelta
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable
from airflow.utils.types import DagRunType
from pendulum import DateTime


class _NamesItsDag(Timetable):
    """`<dag_id>__scheduled__<logical date>`, `<dag_id>__manual__<instant of the trigger>`.

    Airflow asks the timetable for runs that its clock, its UI, its API or `airflow dags trigger` start. It does not for
    runs that assets or TriggerDagRunOperator start, whose ids end in eight random characters, nor for backfills, whose
    ids (`backfill__<instant>`) are unique per DAG only.
    """

    dag_id: str

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """The id of a run that this timetable is asked for."""
        scheduled = run_type == DagRunType.SCHEDULED and data_interval is not None
        instant = data_interval.start if scheduled else run_after
        ordinary = super().generate_run_id(run_type=run_type, run_after=instant, data_interval=data_interval, **extra)
        return f"{self.dag_id}__{ordinary}"

    def serialize(self) -> dict[str, Any]:
        """What Airflow stores, with the DAG's id."""
        return {**super().serialize(), "dag_id": self.dag_id}


class DagCronTrigger(_NamesItsDag, CronTriggerTimetable):
    """A run at each tick of `cron` (UTC); its data interval is the `interval` before the tick."""

    def __init__(self, dag_id: str, cron: str, *, interval: timedelta = timedelta()) -> None:
        super().__init__(cron, timezone="UTC", interval=interval)
        self.dag_id = dag_id

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The timetable back from what `serialize` gave."""
        return cls(data["dag_id"], data["expression"], interval=timedelta(seconds=data["interval"]))


class DagCronInterval(_NamesItsDag, CronDataIntervalTimetable):
    """A run for each interval between two ticks of `cron` (UTC), and only for a backfill that asks for it."""

    def __init__(self, dag_id: str, cron: str) -> None:
        super().__init__(cron, timezone="UTC")
        self.dag_id = dag_id

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next interval for a backfill, which asks with catch-up; none for the scheduler, which does not.

        A DAG with a schedule may not refuse scheduled runs.
        """
        if not restriction.catchup:
            return None
        last = last_automated_data_interval
        return super().next_dagrun_info(last_automated_data_interval=last, restriction=restriction)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The timetable back from what `serialize` gave."""
        return cls(data["dag_id"], data["expression"])


class RunIdsPlugin(AirflowPlugin):
    """Makes the timetables known to the scheduler and the API server."""

    name = "run_ids"
    timetables = (DagCronTrigger, DagCronInterval)
