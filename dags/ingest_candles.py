"""Ingest candles: the venue's closed candles of every instrument, at each close.

Checked, then stored; wakes the strategies.
"""

from airflow.sdk import DAG, Param, task

from dag_defaults import AT_VENUE, CANDLES, LIVE
from run_ids import DagCronTrigger
from trading_bridge import run_flow

with DAG(
    "ingest_candles",
    schedule=DagCronTrigger("ingest_candles", "* * * * *"),
    doc_md=__doc__,
    tags=["trading", "data"],
    default_args=AT_VENUE | {"priority_weight": 50},
    params={
        "timeframes": Param(
            [], type="array", items={"type": "string"}, description="Only these timeframes; empty: the portfolio's own."
        ),
    },
    **LIVE,
):

    @task(outlets=[CANDLES])
    def ingest(params: dict | None = None) -> dict[str, int]:
        """Read what closed since the newest stored candle."""
        chosen = (params or {}).get("timeframes") or None
        return run_flow(lambda manager, run: manager.ingest.run(run, manager.ingest_requests(chosen)), outlet=CANDLES)

    ingest()
