"""Whether this container does its work: healthcheck.py PART, one of CHECKS.

Runs every few seconds, so Airflow, whose import takes seconds, stays out of it.
"""

import json
import os
import socket
import sys
import time
import urllib.request

TIMEOUT_S = 8
SILENT_S = 60
MONITOR = "/api/v2/monitor/health"


def answer(address: str) -> bytes:
    """The body of a 200; anything else raises."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=TIMEOUT_S) as response:
        return response.read()


def airflow_says(host: str, part: str) -> None:
    """The API server reads the heartbeats of those that listen nowhere themselves."""
    said = json.loads(answer(f"http://{host}:8080{MONITOR}"))[part]["status"]
    if said != "healthy":
        sys.exit(f"{part} is {said}")


def worker_answers() -> None:
    """Celery's own ping, to this container's worker, through the broker."""
    from celery import Celery  # noqa: PLC0415 - only a worker pays for it

    from trading.config.broker import broker_url  # noqa: PLC0415 - likewise
    from trading.config.settings import TradingConfig  # noqa: PLC0415 - likewise

    url = broker_url(TradingConfig.from_env(os.environ).secrets(os.environ))
    if url is None:
        sys.exit("no broker is known: expected the secret redis_password")
    app = Celery(broker=url.reveal())
    if not app.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=TIMEOUT_S, limit=1):
        sys.exit("the worker does not answer")


def watcher_looks() -> None:
    """It leaves a sign whenever it has looked."""
    from trading.config.settings import TradingConfig  # noqa: PLC0415 - only the watcher pays for it

    seen = TradingConfig.from_env(os.environ).alerts_sign
    if time.time() - seen.stat().st_mtime > SILENT_S:
        sys.exit(f"the watcher has not looked for {SILENT_S} s")


CHECKS = {
    "api-server": lambda: airflow_says("localhost", "metadatabase"),
    "scheduler": lambda: answer("http://localhost:8974/health"),
    "dag-processor": lambda: airflow_says("api-server", "dag_processor"),
    "triggerer": lambda: airflow_says("api-server", "triggerer"),
    "worker": worker_answers,
    "alerts": watcher_looks,
    "exchange": lambda: answer("http://localhost:8900/api/v3/ping"),
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]]()
