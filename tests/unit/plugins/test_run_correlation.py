"""A task's lines carry its run's id in both logs; Airflow's own start-up code and listener manager run here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = """
import io, json, logging, sys
from types import SimpleNamespace
from airflow.sdk.log import configure_logging
output = io.BytesIO()
configure_logging(json_output=True, output=output, sending_to_supervisor=True)
from airflow.sdk.execution_time import task_runner
import structlog

class Parsed(Exception):
    pass
def parse(what, log):
    raise Parsed
task_runner.parse = parse  # what comes after the listener needs a DAG

ti = SimpleNamespace(
    id="0" * 8, dag_id="place_orders", task_id="place", run_id="place_orders__scheduled__2026", try_number=2,
    map_index=-1)
try:
    task_runner.startup(SimpleNamespace(ti=ti))
except Parsed:
    pass
logging.getLogger("trading.flows").info("sent it", extra={"event": "order_submitted", "client_order_id": "abc"})
structlog.get_logger("task").info("structured")
from airflow.sdk.plugins_manager import _get_plugins
plugins, errors = _get_plugins()
print(json.dumps({
    "airflow": [json.loads(line) for line in output.getvalue().splitlines()],
    "heavy": [name for name in ("fastapi", "ccxt", "numpy", "trading.web.server") if name in sys.modules],
    "plugins": [plugin.name for plugin in plugins], "errors": errors,
}, default=str))
"""

MIDDLEWARE = """
import json
import run_correlation
from fastapi import FastAPI
from fastapi.testclient import TestClient
from airflow.api_fastapi.app import init_plugins
app = FastAPI()
init_plugins(app)
@app.get("/")
def root():
    from trading.logging.log_context import correlation_id_var
    return correlation_id_var.get()
answer = TestClient(app).get("/", headers={"X-Request-ID": "mine"})
print(json.dumps({"id": answer.headers["x-request-id"], "bound": answer.json()}))
"""


def test_a_task_s_lines_carry_the_run_in_airflow_s_log_and_in_ours(
    airflow: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    made = airflow(SCRIPT)
    assert {"run_correlation", "run_ids"} <= set(made["plugins"])
    assert made["errors"] == {}
    assert made["heavy"] == []
    lines = {line["event"]: line for line in made["airflow"]}
    for message in ("sent it", "structured"):
        assert lines[message]["correlation_id"] == "place_orders__scheduled__2026"
    assert lines["sent it"]["client_order_id"] == "abc"
    assert lines["sent it"]["event_name"] == "order_submitted"
    ours = [json.loads(line) for line in (tmp_path / "home/logs/trading.jsonl").read_text().splitlines()]
    sent = next(line for line in ours if line["message"] == "sent it")
    expected = {
        "correlation_id": "place_orders__scheduled__2026",
        "run_id": "place_orders__scheduled__2026",
        "dag_id": "place_orders",
        "task_id": "place",
        "try_number": 2,
        "event": "order_submitted",
        "client_order_id": "abc",
        "service": "task",
    }
    assert {name: sent.get(name) for name in expected} == expected
    assert "map_index" not in sent


def test_the_api_server_gives_each_answer_a_request_id(airflow: Callable[..., dict[str, Any]]) -> None:
    made = airflow(MIDDLEWARE)
    assert made["id"] == "mine"
    assert made["bound"].startswith("ui__")
