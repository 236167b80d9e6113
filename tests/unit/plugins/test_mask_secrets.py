"""A secret that a flow read is hidden in Airflow's own log of the task as well, in each of its encodings."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

EARLY, LATE = 'early+Secret/"quoted"=0123456789', "late+Secret/9876543210=abcdef"

SCRIPT = """
import io, json, logging
from types import SimpleNamespace
from airflow.sdk.log import configure_logging
output = io.BytesIO()
configure_logging(json_output=True, output=output, sending_to_supervisor=False)
from airflow.sdk.execution_time import task_runner
import structlog
from trading.logging.redaction import register_secret

class Parsed(Exception):
    pass
def parse(what, log):
    raise Parsed
task_runner.parse = parse  # what comes after the listener needs a DAG

early, late, texts = json.loads({given!r})
register_secret(early)
ti = SimpleNamespace(id="0" * 8, dag_id="d", task_id="t", run_id="d__scheduled__2026", try_number=1, map_index=-1)
try:
    task_runner.startup(SimpleNamespace(ti=ti))
except Parsed:
    pass
before = output.tell()
register_secret(late)
for text in texts:
    logging.getLogger("somebody").warning("it is %s.", text)
    structlog.get_logger("task").warning("structured", value="in " + text)
try:
    raise ValueError(late)
except ValueError:
    structlog.get_logger("task").exception("failed")
print(json.dumps([json.loads(line) for line in output.getvalue()[before:].splitlines()]))
"""


def encoded(secret: str) -> list[str]:
    raw = secret.encode()
    return [
        secret,
        quote(secret, safe=""),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        raw.hex(),
        raw.hex().upper(),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    ]


def test_no_encoding_of_a_secret_reaches_airflows_log(airflow: Callable[..., Any]) -> None:
    """Of one that was read before the task began, and of one that it reads itself; a traceback's text included."""
    texts = encoded(EARLY) + encoded(LATE)
    lines = airflow(SCRIPT.replace("{given!r}", repr(json.dumps([EARLY, LATE, texts]))))
    assert len(lines) == 2 * len(texts) + 1
    said = json.dumps(lines, ensure_ascii=False)
    for text in texts:
        assert json.dumps(text, ensure_ascii=False)[1:-1] not in said
    assert all("***" in line["event"] for line in lines if line["event"].startswith("it is"))
    assert all("***" in line["value"] for line in lines if "value" in line)
