"""The DAG files as Airflow itself reads them, in a fresh process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DAG_IDS = {"ingest_candles", "evaluate_strategies", "place_orders", "reconcile_orders", "kill_switch"}
LIVE_RUN_TYPES = {"scheduled", "manual", "asset_triggered"}
RUN_TYPES = {"replay_strategies": {"backfill", "manual", "scheduled"}, "backtest": {"manual"}}

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
            "params": {name: dag.params.get_param(name).description for name in dag.params},
            "run_types": sorted(str(getattr(t, "value", t)) for t in dag.allowed_run_types or ()),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "tasks": {
                task.task_id: {
                    "retries": task.retries, "after": sorted(task.upstream_task_ids), "teardown": task.is_teardown
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
    assert set(dags) == DAG_IDS | set(RUN_TYPES)
    for dag_id, dag in dags.items():
        assert len(dag["doc"]) > 40, dag_id
        assert "trading" in dag["tags"], dag_id
        assert dag["owner"] == "trading", dag_id
        assert dag["params"], dag_id
        assert all(dag["params"].values()), dag_id
        assert set(dag["run_types"]) == RUN_TYPES.get(dag_id, LIVE_RUN_TYPES), dag_id
        assert not dag["catchup"], dag_id
        assert dag["max_active_runs"] == 1, dag_id
    tasks = dags["place_orders"]["tasks"]
    assert tasks["place"] == {"retries": 0, "after": ["reconcile_before"], "teardown": False}
    assert tasks["reconcile_after"]["after"] == ["place"]
    assert tasks["reconcile_after"]["teardown"]
