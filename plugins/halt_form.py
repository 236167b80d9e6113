"""The form of the DAG halt_trading: whoever starts it by hand halts, with the words of `trading killswitch engage`."""

from typing import Any, Final

from airflow.sdk import Param, get_current_context

from dag_defaults import REASON
from trading.domain.scope import Scope
from trading_bridge import run_flow

_LEVEL: Final = (
    "halt: no order is sent but protection, and entries are cancelled. pause-entries: no order that could raise"
    " exposure is sent; sales of what is held go on. Positions stay open either way: resume_trading closes them, under"
    " a signature."
)
FORM: Final = {
    "level": Param("halt", type="string", enum=["halt", "pause-entries"], title="Level", description=_LEVEL),
    "scope": Param("all", type="string", title="Scope", description="all, strategy:NAME or instrument:SYMBOL."),
    "reason": REASON,
}


def halt_by_hand() -> None:
    """Engage what the form says, where a person started this run: once, however often the task is tried."""
    context = get_current_context()
    if context["dag_run"].run_type.value == "manual":
        run_flow(lambda manager, run: _engage(manager, run, context["params"]))


def _engage(manager: Any, run: Any, form: Any) -> Any:
    from trading.domain.kill_switch import HaltLevel  # noqa: PLC0415 - heavy, and DAG files are parsed all the time

    scope = Scope.parse(form["scope"])
    manager.halt.require_known(scope, lambda: manager.portfolio)
    reason = form["reason"] or "the DAG halt_trading was started by hand"
    return manager.halt.run(run, author=run.actor, reason=reason, scope=scope, level=HaltLevel(form["level"]))
