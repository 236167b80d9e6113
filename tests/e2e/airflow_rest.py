"""Airflow's REST API as a user who logged in sees it."""

import json
import urllib.parse
import urllib.request
from typing import Any

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PAGE = 100


class AirflowRest:
    """A client of the api-server at `address`; it logs in anew where the server has been started again."""

    def __init__(self, address: str, password: str, user: str = "admin") -> None:
        self._address = address
        self._password = password
        self._user = user
        self.token = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request below /api/v2."""
        if not self.token:
            login = {"username": self._user, "password": self._password}
            self.token = self._send("POST", "/auth/token", login)["access_token"]
        return self._send(method, f"/api/v2{path}", body)

    def run_ids(self) -> set[tuple[str, str]]:
        """(DAG id, run id) of every run that Airflow knows."""
        found: set[tuple[str, str]] = set()
        while True:
            page = self.call("GET", f"/dags/~/dagRuns?limit={_PAGE}&offset={len(found)}&order_by=run_after")
            found |= {(run["dag_id"], run["dag_run_id"]) for run in page["dag_runs"]}
            if len(found) >= page["total_entries"] or not page["dag_runs"]:
                return found

    def trigger(self, dag_id: str) -> str:
        """Start a run by hand; its id."""
        run_id: str = self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]
        return run_id

    def clear(self, dag_id: str, run_id: str) -> None:
        """Let all tasks of a run start again."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def state(self, dag_id: str, run_id: str) -> str:
        """Of a run."""
        state: str = self.call("GET", f"/dags/{dag_id}/dagRuns/{_quote(run_id)}")["state"]
        return state

    def tasks(self, dag_id: str, run_id: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of a run."""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns/{_quote(run_id)}/taskInstances")
        return {task["task_id"]: (task["state"], task["try_number"]) for task in answer["task_instances"]}

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[dict[str, Any]]:
        """The lines of a task's log, as the UI shows them."""
        path = f"/dags/{dag_id}/dagRuns/{_quote(run_id)}/taskInstances/{task_id}/logs/{try_number}?full_content=true"
        lines: list[dict[str, Any]] = self.call("GET", path)["content"]
        return lines

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG, or let it go on."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(self._address + path, method=method)  # noqa: S310 - http, on this machine
        request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = None if body is None else json.dumps(body).encode()
        with _OPENER.open(request, data, timeout=60) as response:
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
            return answer


def _quote(part: str) -> str:
    return urllib.parse.quote(part, safe="")
