"""Resume trading: a signed override ends the halt that it names, or grants leave to close positions.

Trigger it with an empty token: the run shows the halts that stand and what is in the way, and waits fifteen minutes,
under *Required Actions*, for what `trading killswitch sign` prints. Or trigger it with that. Refusals look alike:
`trading killswitch history` has the cause. Airflow keeps the token; used, or after 15 minutes, it is worthless.

To get out from here, sign with `--action reduce_only --largest-notional AMOUNT` and choose to close positions: what the
override covers is sold at the market, within the limits, as `trading flatten` does. The halt stands on.
"""

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from dag_defaults import AT_VENUE, LIVE
from pools import CONTROL
from signed_override import FORM, SignedOverride
from trading.domain.scope import Scope
from trading_bridge import kill_switch_is_paused, run_flow

TOKEN = Param(None, type=["null", "string"], title="Token", description="Empty: the run asks for it.")
CLOSE = Param(default=False, type="boolean", title="Close positions", description="With a reduce_only token: sell.")

with DAG(
    "resume_trading",
    doc_md=__doc__,
    tags=["trading", "control"],
    default_args=AT_VENUE | CONTROL | {"retries": 0},
    params={"token": TOKEN, "close_positions": CLOSE},
    **LIVE | {"max_active_runs": 4},  # a form that nobody answers must not keep others waiting
):

    @task
    def flatten(became: dict[str, int]) -> dict[str, int]:
        """Sell what live overrides cover, once what rests is gone."""
        if not became["close_positions"]:
            raise AirflowSkipException("nobody asked for positions to be closed")
        run_flow(lambda manager, run: manager.enforce_halt.run(run))
        everything = Scope.parse("all")
        return run_flow(
            lambda manager, run: manager.flatten.run(run, scope=everything, is_paused=kill_switch_is_paused)
        )

    flatten(SignedOverride(task_id="resume", params=FORM).output)
