"""Resume trading: a signed override ends the halt that it names, or grants leave to close positions.

Trigger it with an empty token: the run shows the halts that stand and what is in the way, and waits fifteen minutes,
under *Required Actions*, for what `trading killswitch sign` prints. Or trigger it with that. Refusals look alike:
`trading killswitch history` has the cause. Airflow keeps the token; used, or after 15 minutes, it is worthless.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import mask_secret

from dag_defaults import AT_VENUE, LIVE
from trading.logging.redaction import register_secret, shapes
from trading_bridge import run_flow

RELEASE, LEAVE = "Use the token", "Leave everything as it is"
WAIT = timedelta(minutes=15)
FORM = {"signed_token": Param(None, type=["null", "string"], title="Token", description="`trading killswitch sign`")}


class SignedOverride(HITLOperator):
    """Takes the token where it is given, and lets it into no XCom, no rendered field and no log."""

    def execute(self, context: Any) -> Any:
        """Use the run's token; without one show what stands, and park until somebody answers."""
        if token := self._masked(context["params"]["token"]):
            return run_flow(lambda manager, run: manager.resume.run(run, token))
        seen: list[Any] = []
        run_flow(lambda manager, _: seen.append(manager.standing.run()) or seen[0])
        if not seen[0].halts:
            raise AirflowSkipException("no halt stands")
        self.body = seen[0].markdown
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Use the token of the answer."""
        token = self._masked((event.get("params_input") or {}).get("signed_token"))  # first: errors quote the answer
        if super().execute_complete(context, event)["chosen_options"] != [RELEASE]:
            raise AirflowSkipException("left as it is")
        return run_flow(lambda manager, run: manager.resume.run(run, token))

    def _masked(self, given: str | None) -> str:
        """What was typed, without white space; no log shows it from here on."""
        register_secret(token := (given or "").strip())
        mask_secret(sorted(shapes(token)))
        return token


with DAG(
    "resume_trading",
    doc_md=__doc__,
    tags=["trading", "control"],
    default_args=AT_VENUE | {"priority_weight": 100, "retries": 0},
    params={"token": Param(None, type=["null", "string"], title="Token", description="Empty: the run asks for it.")},
    **LIVE | {"max_active_runs": 4},  # a form that nobody answers must not keep others waiting
):
    SignedOverride(task_id="resume", subject="Halts", options=[RELEASE, LEAVE], params=FORM, response_timeout=WAIT)
