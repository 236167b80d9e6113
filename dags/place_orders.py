"""Place orders: reconcile, place, reconcile, woken by new decisions.

Recovery is the normal path: what an earlier run left open is looked up before anything is sent. Placing is never
retried; the last reconciliation runs whatever became of it.
"""

from airflow.sdk import DAG, task

from dag_defaults import AT_VENUE, DECISIONS, LIVE, REASON
from trading_bridge import kill_switch_is_paused, run_flow

with DAG(
    "place_orders",
    schedule=[DECISIONS],
    doc_md=__doc__,
    tags=["trading", "orders"],
    default_args=AT_VENUE | {"priority_weight": 70},
    params={"reason": REASON},
    **LIVE,
):

    @task
    def reconcile_before() -> dict[str, int]:
        """Settle what earlier runs left open."""
        return run_flow(lambda manager, run: manager.reconcile.run(run, "reconcile_before"))

    @task(retries=0)
    def place() -> dict[str, int]:
        """Plan and send, each order at most once."""
        return run_flow(lambda manager, run: manager.place.run(run, kill_switch_is_paused))

    @task
    def reconcile_after() -> dict[str, int]:
        """Bring the answers and the fills into the ledger."""
        return run_flow(lambda manager, run: manager.reconcile.run(run, "reconcile_after"))

    # A teardown runs whatever became of placing, and hides no failure of it from the run's state.
    reconcile_before() >> place() >> reconcile_after().as_teardown()
