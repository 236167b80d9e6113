"""Who runs, as Airflow tells it."""

from collections.abc import Mapping
from typing import Any

from trading.domain.ids import Run


def run_of(context: Mapping[str, Any]) -> Run:
    """Who runs: the DAG run's id is the correlation id, and its causes are the runs whose assets woke it."""
    dag_run = context["dag_run"]
    reason = (context.get("params") or {}).get("reason")
    events = [event for events in (context.get("triggering_asset_events") or {}).values() for event in events]
    causes = {str(event.source_run_id) for event in events if getattr(event, "source_run_id", None)}
    return Run(
        run_id=dag_run.run_id,
        dag_id=dag_run.dag_id,
        actor=f"airflow: {reason}" if reason else "airflow",
        run_type=dag_run.run_type.value,
        causes=tuple(sorted(causes)),
    )
