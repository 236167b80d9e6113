"""What Airflow makes of a flow's error: a skip, a failure for good, or another try."""

from collections.abc import Callable
from typing import Any

ASK = """
import json
from types import SimpleNamespace as Any

import trading.manager
import trading_bridge
from trading import errors

HALTS = []
dag_run = Any(run_type=Any(value="manual"), run_id="manual__1", dag_id="place_orders")
manager = Any(close=lambda: None, halt=Any(run=lambda run, **facts: HALTS.append(facts["reason"])))
trading_bridge.get_current_context = lambda: {"dag_run": dag_run}
trading.manager.TradingManager = Any(from_env=lambda: manager)


def became_of(error):
    def flow(*_):
        raise error

    try:
        trading_bridge.run_flow(flow)
    except Exception as raised:
        return type(raised).__name__


kinds = ("DatabaseUnavailable", "CommitUnknown", "DatabaseUnwritable", "ExchangeUnavailable", "ConfigurationError",
         "TradingHalted", "InvariantViolation")
became = {kind: became_of(getattr(errors, kind)(kind)) for kind in kinds}
dag_run.run_type.value = "backfill"
refused = became_of(errors.TradingError("never reached"))
counts = trading_bridge.run_flow(lambda *_: Any(counts={"candles": 1}), run_types=("backfill",))
print(json.dumps({"became": became, "halts": HALTS, "backfill": [refused, counts]}))
"""


def test_what_may_be_done_again_is_left_to_the_tasks_retries(airflow: Callable[..., dict[str, Any]]) -> None:
    """Placing has none, so that only what may be done twice is; what a person must mend fails for good."""
    answer = airflow(ASK)
    assert answer["became"] == {
        "DatabaseUnavailable": "DatabaseUnavailable",
        "CommitUnknown": "CommitUnknown",
        "DatabaseUnwritable": "AirflowFailException",
        "ExchangeUnavailable": "ExchangeUnavailable",
        "ConfigurationError": "AirflowFailException",
        "TradingHalted": "AirflowSkipException",
        "InvariantViolation": "AirflowFailException",
    }
    assert answer["halts"] == ["InvariantViolation"]
    assert answer["backfill"] == ["AirflowFailException", {"candles": 1}]  # unless the task says that it is one
