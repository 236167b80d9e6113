"""Reconcile orders: each minute, the venue's orders, fills and balances against the ledger.

Goes on while trading is halted.
"""

from airflow.sdk import DAG, task

from dag_defaults import AT_VENUE, LIVE, REASON
from run_ids import DagCronTrigger
from trading_bridge import run_flow

with DAG(
    "reconcile_orders",
    schedule=DagCronTrigger("reconcile_orders", "* * * * *"),
    doc_md=__doc__,
    tags=["trading", "orders"],
    default_args=AT_VENUE | {"priority_weight": 10},
    params={"reason": REASON},
    **LIVE,
):

    @task
    def reconcile() -> dict[str, int]:
        """Compare both books."""
        return run_flow(lambda manager, run: manager.reconcile.run(run))

    reconcile()
