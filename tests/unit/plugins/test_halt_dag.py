"""What the DAG halt_trading does when a person starts it: it halts, with the words of the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

DAGS = Path(__file__).parents[3] / "dags"

ASK = f"""
import json, sys
from types import SimpleNamespace as Any

sys.path.insert(0, {str(DAGS)!r})
import halt_form, halt_trading
from trading.domain.kill_switch import HaltLevel
from trading.errors import ConfigurationError

CALLS = []


def known(scope, portfolio):
    if scope.name not in ("", portfolio()):
        raise ConfigurationError("unknown")


def halt(run, **what):
    CALLS.append({{name: str(value) for name, value in what.items()}})


manager = Any(halt=Any(require_known=known, run=halt), portfolio="sma")
halt_form.run_flow = halt_trading.run_flow = lambda flow: flow(manager, Any(actor="airflow: odd"))
manager.enforce_halt = Any(run=lambda run: CALLS.append("enforced"))


def started(run_type, **form):
    CALLS.clear()
    context = {{"dag_run": Any(run_type=Any(value=run_type)),
               "params": {{name: param.value for name, param in halt_form.FORM.items()}} | form}}
    halt_form.get_current_context = lambda: context
    try:
        halt_trading.cancel.function()
    except ConfigurationError as error:
        return [str(error)]
    return list(CALLS)


print(json.dumps({{
    "woken": started("asset_triggered"),
    "as it is": started("manual"),
    "chosen": started("manual", level="pause-entries", scope="strategy:sma", reason="odd"),
    "levels": sorted(halt_form.FORM["level"].schema["enum"]) == sorted(HaltLevel),
    "mistyped": started("manual", scope="strategy:smaa"),
}}))
"""


def test_started_by_hand_it_halts_and_woken_by_a_halt_it_does_not(airflow: Callable[..., dict[str, Any]]) -> None:
    """Somebody who starts `halt_trading` means it; and a name that nothing has stops nothing, so it is refused."""
    told = airflow(ASK)
    everything = {"author": "airflow: odd", "scope": "all", "level": "halt"}
    assert told == {
        "woken": ["enforced"],
        "as it is": [{**everything, "reason": "the DAG halt_trading was started by hand"}, "enforced"],
        "chosen": [{**everything, "reason": "odd", "scope": "strategy:sma", "level": "pause-entries"}, "enforced"],
        "levels": True,
        "mistyped": ["unknown"],
    }
