"""The DAG files as Airflow itself reads them, in a fresh process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
#: By the queue that their tasks wait in: only the workers of `orders` have the venue's keys and a way out.
QUEUES = {
    "orders": {
        "ingest_candles",
        "place_orders",
        "reconcile_orders",
        "kill_switch",
        "halt_trading",
        "resume_trading",
        "backfill_candles",
    },
    "default": {"evaluate_strategies", "maintenance", "replay_strategies", "backtest"},
}
LIVE_DAG_IDS = set.union(*QUEUES.values()) - {"backfill_candles", "replay_strategies", "backtest"}
LIVE_RUN_TYPES = {"scheduled", "manual", "asset_triggered"}
#: Which DAG takes which runs. Only what is live can trade.
RUN_TYPES = dict.fromkeys(LIVE_DAG_IDS, LIVE_RUN_TYPES) | {
    "backfill_candles": {"backfill", "manual", "scheduled"},
    "replay_strategies": {"backfill", "manual", "scheduled"},
    "backtest": {"manual"},
}

READ = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(FOLDER)
print(json.dumps({
    "errors": bag.import_errors,
    "dags": {
        dag.dag_id: {
            "doc": dag.doc_md,
            "tags": sorted(dag.tags),
            "owner": dag.owner,
            "queues": sorted({task.queue for task in dag.tasks}),
            "params": {name: dag.params.get_param(name).description for name in dag.params},
            "stuck": [
                name for params in [dag.params, *[task.params for task in dag.tasks]] for name in params
                if params.get_param(name).value in ("", None)
                and "null" not in params.get_param(name).schema.get("type", "null")
            ],
            "pools": sorted({task.pool for task in dag.tasks}),
            "unbounded": [task.task_id for task in dag.tasks if task.is_mapped and task.pool != "mapped"],
            "run_types": sorted(str(getattr(t, "value", t)) for t in dag.allowed_run_types or ()),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "wakes_on": str(dag.timetable.asset_condition),
            "tasks": {
                task.task_id: {
                    "retries": task.retries, "after": sorted(task.upstream_task_ids), "teardown": task.is_teardown,
                    "outlets": [outlet.name for outlet in task.outlets],
                } for task in dag.tasks
            },
        } for dag in bag.dags.values()
    },
}))
"""


@pytest.fixture
def dags(airflow: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What Airflow makes of the folder dags/, by DAG id."""
    bag = airflow(READ.replace("FOLDER", repr(str(ROOT / "dags"))))
    assert bag["errors"] == {}
    read: dict[str, Any] = bag["dags"]
    return read


def test_the_dags_are_documented_shaped_for_live_runs_alone_and_place_once(dags: dict[str, Any]) -> None:
    """One reading for all of it, since each costs seconds."""
    found = {queue: {dag_id for dag_id, dag in dags.items() if dag["queues"] == [queue]} for queue in QUEUES}
    assert found == QUEUES
    assert set(dags) == set.union(*QUEUES.values()) == set(RUN_TYPES)
    for dag_id, dag in dags.items():
        assert len(dag["doc"]) > 40, dag_id
        assert "trading" in dag["tags"], dag_id
        assert dag["owner"] == "trading", dag_id
        assert dag["params"], dag_id
        assert all(dag["params"].values()), dag_id
        # Airflow's form cannot be sent while a field is empty, unless null is among the field's types
        assert not dag["stuck"], dag_id
        # nothing else in the controls' pool, and no mapped task outside of the one that bounds them
        control = dag_id in ("kill_switch", "halt_trading", "resume_trading")
        assert ("control" in dag["pools"], len(dag["pools"])) == (control, 1), dag_id
        assert not dag["unbounded"], dag_id
        assert set(dag["run_types"]) == RUN_TYPES[dag_id], dag_id
        assert not dag["catchup"], dag_id
    for dag_id in LIVE_DAG_IDS:
        # a form that nobody answers, or a halt under way, must not keep the next one waiting
        at_once = 4 if dag_id in ("halt_trading", "resume_trading") else 1
        assert dags[dag_id]["max_active_runs"] == at_once, dag_id
    tasks = dags["place_orders"]["tasks"]
    assert tasks["place"] == {"retries": 0, "after": ["reconcile_before"], "teardown": False, "outlets": []}
    assert tasks["reconcile_after"]["after"] == ["place"]
    assert tasks["reconcile_after"]["teardown"]
    tasks = dags["halt_trading"]["tasks"]
    assert tasks["sweep"]["after"] == ["cancel"]
    backfill = dags["backfill_candles"]
    assert backfill["tasks"]["backfill"]["after"] == ["configured_instruments"]
    assert backfill["tasks"]["backfill"]["outlets"] == ["trading://backfilled_candles"]
    assert not any("backfilled" in dag["wakes_on"] for dag in dags.values())
    assert "trading://candles" in dags["evaluate_strategies"]["wakes_on"]


WATCHED = """
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
dag = DagBag(FOLDER).dags["halt_trading"]
stored = DagSerialization.to_dict(dag)
(watcher,) = dag.timetable.asset_condition.objects[0].watchers
print(json.dumps({"trigger": watcher.trigger.serialize(), "stored": "halt_trigger.HaltTrigger" in json.dumps(stored)}))
"""


def test_halt_trading_is_woken_by_our_trigger(airflow: Callable[..., dict[str, Any]]) -> None:
    """The scheduler's own form of the DAG names the trigger, whose settings come from the environment."""
    answer = airflow(WATCHED.replace("FOLDER", repr(str(ROOT / "dags"))))
    assert answer == {"trigger": ["halt_trigger.HaltTrigger", {}], "stored": True}
