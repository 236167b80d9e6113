"""Reconcile orders: each minute, the venue's orders, fills and balances against the ledger.

Goes on while trading is halted.
"""

from airflow.sdk import DAG, Param, task

from run_ids import DagCronTrigger
from trading_bridge import AT_VENUE, LIVE, run_flow

with DAG(
    "reconcile_orders",
    schedule=DagCronTrigger("reconcile_orders", "* * * * *"),
    doc_md=__doc__,
    tags=["trading", "orders"],
    default_args=AT_VENUE | {"priority_weight": 10},
    params={"reason": Param("", type="string", description="Why this run was started by hand; kept with the run.")},
    **LIVE,
):

    @task
    def reconcile() -> dict[str, int]:
        """Compare both books."""
        return run_flow(lambda manager, run: manager.reconcile.run(run))

    reconcile()
