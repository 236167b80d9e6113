"""What takes parts of a running instance away while an order is on its way, and what must hold again afterwards."""

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.e2e.running_pipeline import START_S, RunningPipeline

PLACE = ("place_orders", "place")
#: An answer that takes longer than whatever is done meanwhile, and is there before the client gives up (10 s).
HELD_S = 8
#: A dead component is noticed, a silent task given up, a missed reconciliation repeated: a start's patience for each.
HEAL_S = START_S
ORDER = "POST /api/v3/order"
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")

SUBMITTED = "SELECT client_order_id FROM trading.order_current WHERE state = 'submitting'"
SENT_OPEN = """
SELECT client_order_id, state
FROM trading.order_current JOIN trading.order_state USING (state)
WHERE is_open AND state <> 'planned'
"""
CLEAN_SINCE = "SELECT 1 FROM trading.reconciliation WHERE clean AND at > %s"
RUNNING_TASK = "SELECT id::text FROM task_instance WHERE (dag_id, task_id) = (%s, %s) AND state = 'running'"

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def rehearsed(*, restarts: int) -> list[str]:
    """The command line of an instance that can be harmed, with how often it restarts a component in ten minutes."""
    return [sys.executable, str(Path(__file__).with_name("rehearsed_instance.py")), str(restarts)]


class Outage:
    """One running instance, started by `rehearsed`."""

    def __init__(self, pipeline: RunningPipeline) -> None:
        self.pipeline = pipeline

    def order_in_flight(self, kind: str = "delay") -> str:
        """Return, with its client order id, while one POST is unanswered.

        By the fault `delay` the venue has executed it; by `late` it has not, until whoever sent it is gone.
        """
        self._tell("DELETE")
        seconds = {"delay": HELD_S, "late": 0}[kind]
        self._tell("POST", {"kind": kind, "endpoint": ORDER, "seconds": seconds, "first": 1})
        self.until(self._is_held, HEAL_S, f"the exchange holds {ORDER}", poll_s=0.02)
        ((client_order_id,),) = self.pipeline.sql(SUBMITTED)
        return client_order_id

    def placing(self) -> list[psutil.Process]:
        """The worker that runs the placing, and the placing's own process: both are titled with the try's id."""
        tries = [row[0] for row in self.pipeline.sql(RUNNING_TASK, *PLACE)]
        return [process for process in self._below_the_scheduler() if any(one in _title(process) for one in tries)]

    def kill_placing(self) -> None:
        """The worker that runs it, and its own process."""
        for process in self.placing():
            process.kill()

    def kill_workers(self) -> None:
        """All workers and whatever they run: Airflow by itself never recovers from the death of an idle one."""
        for process in self._below_the_scheduler():
            process.kill()

    def kill_component(self, name: str) -> None:
        """One process of Airflow; the supervisor ends what hangs on it, and starts it again."""
        os.kill(self.pipeline.components()[name], signal.SIGKILL)

    def kill_postgres(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """The embedded server: SIGQUIT is what `pg_ctl stop -m immediate` sends."""
        os.kill(int((self.pipeline.home / "postgres" / "postmaster.pid").read_text().splitlines()[0]), number)

    def until_healed(self) -> None:
        """Each component lives, no order's fate is open, a reconciliation since now was clean, and both books agree."""
        since = datetime.now(UTC)
        self._tell("DELETE")
        # By hand, since the schedule's own comes once a minute.
        self.until(lambda: self.pipeline.rest.trigger("reconcile_orders"), HEAL_S, "Airflow takes a run")
        self.until(lambda: self.pipeline.sql(CLEAN_SINCE, since), HEAL_S, "a reconciliation is clean")
        self.until(lambda: not self.pipeline.sql(SENT_OPEN), HEAL_S, "the fate of every order is known")
        self.until(self._all_healthy, HEAL_S, "every component of Airflow is well again")
        self.pipeline.until_books_agree()

    def until(self, holds: Callable[[], object], seconds: float, what: str, *, poll_s: float = 0.25) -> None:
        """As the pipeline's own, but a database or a server that is away just now is only a reason to look again."""

        def look() -> object:
            try:
                return holds()
            except (psycopg.Error, OSError, KeyError):
                return False

        self.pipeline.until(look, seconds, what, poll_s=poll_s)

    def _below_the_scheduler(self) -> list[psutil.Process]:
        return psutil.Process(self.pipeline.components()["scheduler"]).children(recursive=True)

    def _is_held(self) -> bool:
        return bool(self._tell("GET")["fault"][0]["hits"]) and len(self.pipeline.sql(SUBMITTED)) == 1

    def _all_healthy(self) -> bool:
        health = self.pipeline.rest.call("GET", "/monitor/health")
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        alive = all(psutil.pid_exists(self.pipeline.components()[name]) for name in AIRFLOW)
        return alive and all(health[part]["status"] == "healthy" for part in parts)

    def _tell(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request to the exchange's own control of its faults."""
        address = f"http://127.0.0.1:{self.pipeline.environ['TRADING_EXCHANGE_PORT']}/paper/v1/faults"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, data, headers, method=method)
        with _OPENER.open(request, timeout=30) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
