"""Replay strategies: what would have been decided in a month of the past, beside what was decided.

By backfill, a run a month: `airflow backfill create --dag-id replay_strategies --from-date 2026-01-01 --to-date
2026-03-01`; by hand, for the last whole month. It decides again from the stored candles and stores that apart, under a
database role that can insert neither decisions nor orders. A run fails where a difference is not explained by candles
that were restated since.
"""

from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from dag_defaults import DEFAULTS, START
from run_ids import DagCronInterval
from trading_bridge import run_flow

ALLOWED = ("backfill", "manual", "scheduled")  # Airflow insists on the last one; the timetable makes none

with DAG(
    "replay_strategies",
    schedule=DagCronInterval("replay_strategies", "@monthly"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=list(ALLOWED),
    doc_md=__doc__,
    tags=["trading", "research"],
    default_args=DEFAULTS | {"priority_weight": 1},
    params={
        "strategies": Param(
            [],
            type="array",
            items={"type": "string"},
            description="Only these strategies; empty: all that are enabled.",
        ),
    },
):

    @task(retries=0)
    def replay(params: dict | None = None) -> dict[str, int]:
        """Recompute the month; unexplained differences fail the task, and are in the log."""
        from trading.replaying import replay_of

        context = get_current_context()

        def flow(manager, run):
            with replay_of(manager, (params or {}).get("strategies") or None) as replayed:
                return replayed.run(run, since=context["data_interval_start"], until=context["data_interval_end"])

        counts = run_flow(flow, run_types=ALLOWED)
        if counts["differs"] or counts["failed_strategies"]:
            raise AirflowFailException(f"live and replay do not agree: {counts}; the log says where")
        return counts

    replay()
