"""The operator behind the DAG resume_trading: takes a signed token, and lets it into no XCom, field or log."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from airflow_masking import mask
from trading.logging.redaction import encodings, register_secret
from trading_bridge import run_flow

USE, CLOSE, LEAVE = "Use the token", "Use the token, then close positions", "Leave everything as it is"
#: As long as the longest token lives.
WAIT = timedelta(minutes=15)
FORM = {"signed_token": Param(None, type=["null", "string"], title="Token", description="`trading killswitch sign`")}


class SignedOverride(HITLOperator):
    """Uses the run's token; without one shows what stands, and asks. Returns counts, and whether to close positions."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(subject="Halts", options=[USE, CLOSE, LEAVE], response_timeout=WAIT, **arguments)

    def execute(self, context: Any) -> Any:
        """Use the run's token, or park until somebody answers."""
        if token := self._masked(context["params"]["token"]):
            return self._use(token, close=bool(context["params"]["close_positions"]))
        seen: list[Any] = []
        run_flow(lambda manager, _: seen.append(manager.standing.run()) or seen[0])
        if not seen[0].halts:
            raise AirflowSkipException("no halt stands")
        self.body = seen[0].markdown
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Use the token of the answer."""
        token = self._masked((event.get("params_input") or {}).get("signed_token"))  # first: errors quote the answer
        (chosen,) = super().execute_complete(context, event)["chosen_options"]
        if chosen == LEAVE:
            raise AirflowSkipException("left as it is")
        return self._use(token, close=chosen == CLOSE)

    def _use(self, token: str, *, close: bool) -> dict[str, int]:
        """Without a token, closing goes on under an override that still lives; flatten sells nothing without one."""
        if close and not token:
            return {"close_positions": 1}
        return run_flow(lambda manager, run: manager.resume.run(run, token)) | {"close_positions": int(close)}

    def _masked(self, given: str | None) -> str:
        """What was typed, without white space; no log shows it from here on."""
        register_secret(token := (given or "").strip())
        mask(encodings(token))
        return token
