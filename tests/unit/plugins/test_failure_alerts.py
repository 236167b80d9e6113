"""Airflow's own listener manager calls the plugin, and the failure becomes an alert in a thread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import as_url
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.alerts import AlertKind

pytestmark = pytest.mark.alone

SCRIPT = """
import json, sys, threading, time
from types import SimpleNamespace
import failure_alerts
heavy = [name for name in ("trading.manager", "apprise", "numpy", "psycopg") if name in sys.modules]
from airflow.listeners.listener import get_listener_manager
manager = get_listener_manager()
if not manager.pm.is_registered(failure_alerts.FailureAlertsPlugin.listeners[0]):
    manager.add_listener(failure_alerts.FailureAlertsPlugin.listeners[0])
run = SimpleNamespace(dag_id="place_orders", run_id="place_orders__manual__7", run_type="manual")
began = time.monotonic()
manager.hook.on_dag_run_failed(dag_run=run, msg="task_failure")
waited = time.monotonic() - began
for thread in threading.enumerate():
    if thread.name == "failure_alert":
        thread.join(60)
print(json.dumps({"heavy": heavy, "waited": waited}))
"""


@pytest.mark.postgres
def test_a_failed_run_becomes_an_alert_and_nobody_waits(
    airflow: Callable[..., dict[str, Any]], database_url: str, postgres_ledger: PostgresLedger
) -> None:
    """The scheduler goes on at once; importing the plugin costs a task nothing."""
    said = airflow(SCRIPT, TRADING_DATABASE_URL=as_url(database_url))
    assert said["heavy"] == []
    assert said["waited"] < 0.5
    with postgres_ledger.transaction() as books:
        (alert,) = books.alerts.recent("replay", 10)
    assert (alert.kind, alert.run_id) == (AlertKind.DAG_FAILED, "place_orders__manual__7")
    assert "the DAG place_orders failed: task_failure" in alert.sentence


def test_a_database_that_is_away_fails_nobody(airflow: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """What cannot be written down is logged."""
    said = airflow(SCRIPT, TRADING_DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert said["waited"] < 0.5
