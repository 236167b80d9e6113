"""Backfill candles: a month of every configured instrument a run, a task each; it never runs by itself.

`airflow backfill create --dag-id backfill_candles --from-date 2024-01-01 --to-date 2024-12-01` fetches a year in twelve
runs. What is there is not read again, so a backfill may be broken off and repeated. It wakes nothing that trades.
"""

from airflow.sdk import DAG, Param, task

from backfill_bridge import BACKFILL, BACKFILLED, backfill_interval, instruments
from dag_defaults import AT_VENUE
from pools import MAPPED
from run_ids import DagCronInterval

with DAG(
    "backfill_candles",
    schedule=DagCronInterval("backfill_candles", "@monthly"),
    doc_md=__doc__,
    tags=["trading", "data"],
    default_args=AT_VENUE | MAPPED,
    params={
        "timeframes": Param(
            [], type="array", items={"type": "string"}, description="Only these timeframes; empty: the portfolio's own."
        ),
    },
    **BACKFILL,
):

    @task
    def configured_instruments() -> list[str]:
        """One task for each of them follows."""
        return instruments()

    @task(outlets=[BACKFILLED], max_active_tis_per_dag=1)
    def backfill(instrument: str) -> dict[str, int]:
        """Read what is missing of this run's month; one at a time, since the venue's limits are shared with trading."""
        return backfill_interval(instrument)

    backfill.expand(instrument=configured_instruments())
