"""Resume trading: a signed override ends the halt that it names, or grants leave to close positions.

Trigger it without a token: the run shows the halts that stand and what is in the way, and waits fifteen minutes for
the token under *Required Actions*. Or trigger it with the token, which `trading killswitch sign` prints. Refusals look
alike: `trading killswitch history` has the cause. Airflow keeps the token; used, or after 15 minutes, it is worthless.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import mask_secret

from trading.logging.redaction import register_secret, shapes
from trading_bridge import DEFAULTS, LIVE, run_flow

RELEASE, LEAVE = "Use the token", "Leave everything as it is"
WAIT = timedelta(minutes=15)
FORM = {"signed_token": Param("", type="string", title="Token", description="What `trading killswitch sign` printed")}


class SignedOverride(HITLOperator):
    """Takes the token where it is given, and lets it into no XCom, no rendered field and no log."""

    def execute(self, context: Any) -> Any:
        """Use the run's token; without one show what stands, and park until somebody answers."""
        if token := context["params"]["token"].strip():
            return self._use(token)
        seen: list[Any] = []
        run_flow(lambda manager, _: seen.append(manager.standing.run()) or seen[0])
        if not seen[0].halts:
            raise AirflowSkipException("no halt stands")
        self.body = seen[0].markdown
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Use the token of the answer."""
        answer = super().execute_complete(context, event)
        if answer["chosen_options"] != [RELEASE]:
            raise AirflowSkipException("left as it is")
        return self._use(answer["params_input"]["signed_token"].strip())

    def _use(self, token: str) -> dict[str, int]:
        register_secret(token)
        for shape in {token, *shapes(token)}:
            mask_secret(shape)
        return run_flow(lambda manager, run: manager.resume.run(run, token))


with DAG(
    "resume_trading",
    doc_md=__doc__,
    tags=["trading", "control"],
    default_args=DEFAULTS | {"priority_weight": 100, "retries": 0},
    params={"token": Param("", type="string", description="Signed; empty: the run shows the halts and asks.")},
    **LIVE | {"max_active_runs": 4},  # a form that nobody answers must not keep others waiting
):
    SignedOverride(task_id="resume", subject="Halts", options=[RELEASE, LEAVE], params=FORM, response_timeout=WAIT)
