"""Halt trading: woken by each halt, whoever engaged it, this makes it effective and sees it so.

It cancels what the halt forbids, waits until no order that was being sent can be accepted any more, looks at the venue
until it shows none, and looks once more past the venue's horizon. Protective orders stay or go as portfolio.toml says.
Started by hand, it halts what its form says, first: everything, if you change nothing there.
Pausing this DAG stops no halt: senders obey the halt itself, and reconcile_orders cancels each minute too.
"""

from airflow.sdk import DAG, Asset, AssetWatcher, task

from dag_defaults import AT_VENUE, LIVE
from halt_form import FORM, halt_by_hand
from halt_trigger import HaltTrigger
from pools import CONTROL
from trading_bridge import run_flow

HALTS = Asset("trading://halts", watchers=[AssetWatcher(name="trading_control", trigger=HaltTrigger())])

with DAG(
    "halt_trading",
    schedule=[HALTS],
    doc_md=__doc__,
    tags=["trading", "control"],
    default_args=AT_VENUE | CONTROL | {"retries": 10},
    params=FORM,
    # A second halt must not wait for the first one's last look.
    **LIVE | {"max_active_runs": 4},
):

    @task
    def cancel() -> dict[str, int]:
        """Cancel, make effective, verify; where a person started this, halt first."""
        halt_by_hand()
        return run_flow(lambda manager, run: manager.enforce_halt.run(run))

    @task
    def sweep() -> dict[str, int]:
        """Once more, past the horizon."""
        return run_flow(lambda manager, run: manager.enforce_halt.sweep(run))

    cancel() >> sweep()
