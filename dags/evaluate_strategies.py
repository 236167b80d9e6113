"""Evaluate strategies: target weights at the newest complete close, stored once.

Woken by new candles; wakes the placing.
"""

from airflow.sdk import DAG, Param, task

from dag_defaults import CANDLES, DECISIONS, DEFAULTS, LIVE
from trading_bridge import run_flow

with DAG(
    "evaluate_strategies",
    schedule=[CANDLES],
    doc_md=__doc__,
    tags=["trading", "decisions"],
    default_args=DEFAULTS | {"priority_weight": 60},
    params={
        "strategies": Param(
            [],
            type="array",
            items={"type": "string"},
            description="Only these strategies; empty: all that are enabled.",
        ),
    },
    **LIVE,
):

    @task(outlets=[DECISIONS])
    def evaluate(params: dict | None = None) -> dict[str, int]:
        """Decide; a strategy that fails never stops the others."""
        chosen = (params or {}).get("strategies") or None
        return run_flow(lambda manager, run: manager.evaluate(chosen).run(run), outlet=DECISIONS)

    evaluate()
