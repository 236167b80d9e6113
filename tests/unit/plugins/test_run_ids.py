"""Run ids contain their DAG's id, through the scheduler's own path of serialising and restoring a DAG."""

from collections.abc import Callable
from typing import Any

SCRIPT = """
import json
from datetime import timedelta
import pendulum
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from run_ids import DagCronInterval, DagCronTrigger

START = pendulum.datetime(2026, 1, 1, tz="UTC")
result = {}
for key, timetable in {
    "trigger": DagCronTrigger("place_orders", "*/5 * * * *", interval=timedelta(minutes=5)),
    "interval": DagCronInterval("backfill_candles", "@monthly"),
}.items():
    dag = DAG(timetable.dag_id, schedule=timetable, start_date=START, catchup=True)
    restored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag)))).timetable
    info = restored.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest=START, latest=None, catchup=True))
    ids = {str(run_type): restored.generate_run_id(
        run_type=run_type, run_after=info.run_after, data_interval=info.data_interval)
        for run_type in (DagRunType.SCHEDULED, DagRunType.MANUAL)}
    ids["without interval"] = restored.generate_run_id(
        run_type=DagRunType.MANUAL, run_after=info.run_after, data_interval=None)
    result[key] = {**ids, "type": type(restored).__name__, "serialized": restored.serialize(),
        "same": restored.serialize() == timetable.serialize(),
        "inferred": [str(DagRunType.from_run_id(i)) for i in ids.values()],
        "start": info.data_interval.start.isoformat(), "end": info.data_interval.end.isoformat()}
result["by itself"] = restored.next_dagrun_info(
    last_automated_data_interval=None, restriction=TimeRestriction(earliest=START, latest=None, catchup=False))
again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
months = list(again.iter_dagrun_infos_between(
    pendulum.datetime(2024, 1, 1, tz="UTC"), pendulum.datetime(2024, 12, 1, tz="UTC")))
result["months"] = [[i.data_interval.start.isoformat()[:10], i.data_interval.end.isoformat()[:10]] for i in months]
from airflow.configuration import conf
import re
pattern = conf.get("scheduler", "allowed_run_id_pattern")
result["legal"] = [bool(re.match(pattern, result[k]["scheduled"])) for k in ("trigger", "interval")]
print(json.dumps(result))
"""


def test_run_ids_name_the_dag_after_a_round_trip_through_serialisation(
    airflow: Callable[..., dict[str, Any]],
) -> None:
    made = airflow(SCRIPT)
    trigger, interval = made["trigger"], made["interval"]
    assert trigger["type"] == "DagCronTrigger"
    assert trigger["serialized"] == {
        "dag_id": "place_orders",
        "expression": "*/5 * * * *",
        "timezone": "UTC",
        "interval": 300.0,
        "run_immediately": False,
    }
    assert trigger["scheduled"] == f"place_orders__scheduled__{trigger['start']}"
    assert trigger["manual"] == f"place_orders__manual__{trigger['end']}"
    assert trigger["without interval"] == f"place_orders__manual__{trigger['end']}"
    assert interval["type"] == "DagCronInterval"
    assert (interval["start"], interval["end"]) == ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    assert interval["scheduled"] == "backfill_candles__scheduled__2026-01-01T00:00:00+00:00"
    assert made["legal"] == [True, True]
    assert trigger["same"]
    assert interval["same"]
    # Airflow refuses a manual run whose id looks like another type's: ours look like nobody's.
    assert set(trigger["inferred"]) == {"manual"}


def test_months_come_for_a_backfill_and_never_by_themselves(airflow: Callable[..., dict[str, Any]]) -> None:
    """A year from January to December is twelve runs, each with its own month; the scheduler is given none."""
    made = airflow(SCRIPT)
    assert made["by itself"] is None
    assert len(made["months"]) == 12
    assert made["months"][0] == ["2024-01-01", "2024-02-01"]
    assert made["months"][-1] == ["2024-12-01", "2025-01-01"]
    assert all(before[1] == after[0] for before, after in zip(made["months"], made["months"][1:], strict=False))
