"""Kill switch: pause this DAG to stop trading.

The pause latches in the database at once; unpausing does not release it: only a signed override does. While unpaused
it runs each minute, looks whether the clock, the database and the venue are well, and renews the lease without which
no entry is sent.
"""

from airflow.sdk import DAG, task

from dag_defaults import AT_VENUE, LIVE, REASON
from pools import CONTROL
from run_ids import DagCronTrigger
from trading_bridge import run_flow

with DAG(
    "kill_switch",
    schedule=DagCronTrigger("kill_switch", "* * * * *"),
    doc_md=__doc__,
    tags=["trading", "control"],
    default_args=AT_VENUE | CONTROL,
    params={"reason": REASON},
    **LIVE,
):

    @task
    def renew_lease() -> dict[str, int]:
        """Look, and renew."""
        return run_flow(lambda manager, run: manager.lease.run(run))

    renew_lease()
