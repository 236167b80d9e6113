"""The few calls to Airflow's REST API that the first-run steps and the status need."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trading.errors import TradingError

_TIMEOUT_S: Final = 30.0
_PAGE: Final = 100

#: The parts of `GET /monitor/health` that must be healthy.
HEALTH_PARTS: Final = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class AirflowUnreachable(TradingError):
    """Airflow's web server does not answer, or not as expected."""


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a DAG. Its id is unique within its DAG only."""

    dag_id: str
    run_id: str
    run_type: str
    state: str
    started_at: str  # RFC 3339, UTC; "" for one that has not begun

    @property
    def ended(self) -> bool:
        """Whether it succeeded or failed."""
        return self.state in ("success", "failed")


class AirflowApi:
    """A client of one api-server: `address` like http://127.0.0.1:8080."""

    def __init__(self, address: str, *, user: str, password: str) -> None:
        self._address = address
        self._login = {"username": user, "password": password}
        self._token = ""

    def health(self) -> dict[str, str]:
        """`healthy` or something else for each part; empty while the server does not answer."""
        try:
            answer = self._call("GET", "/api/v2/monitor/health")
        except AirflowUnreachable:
            return {}
        return {part: str((answer.get(part) or {}).get("status")) for part in HEALTH_PARTS}

    def dag_ids(self) -> set[str]:
        """The DAGs that the scheduler knows."""
        answer = self._authorised("GET", f"/api/v2/dags?limit={_PAGE}")
        return {dag["dag_id"] for dag in answer["dags"]}

    def import_errors(self) -> list[str]:
        """One line for each DAG file that could not be read."""
        answer = self._authorised("GET", f"/api/v2/importErrors?limit={_PAGE}")
        return [f"{each['filename']}: {str(each['stack_trace']).strip()}" for each in answer["import_errors"]]

    def trigger(self, dag_id: str) -> DagRun:
        """Start a run by hand, now."""
        return _dag_run(self._authorised("POST", f"/api/v2/dags/{_quote(dag_id)}/dagRuns", {"logical_date": None}))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run, as it stands."""
        return _dag_run(self._authorised("GET", f"/api/v2/dags/{_quote(dag_id)}/dagRuns/{_quote(run_id)}"))

    def runs(self, dag_id: str, *, since: str) -> list[DagRun]:
        """The runs of a DAG (`~` for all DAGs) due at `since` (RFC 3339) or later, newest first."""
        query = urllib.parse.urlencode({"limit": _PAGE, "order_by": "-run_after", "run_after_gte": since})
        answer = self._authorised("GET", f"/api/v2/dags/{_quote(dag_id)}/dagRuns?{query}")
        return [_dag_run(each) for each in answer["dag_runs"]]

    def busy(self) -> bool:
        """Whether any run of any DAG is queued or running."""
        query = urllib.parse.urlencode([("limit", 1), ("state", "running"), ("state", "queued")])
        return bool(self._authorised("GET", f"/api/v2/dags/~/dagRuns?{query}")["dag_runs"])

    def running(self) -> list[DagRun]:
        """The runs of all DAGs that have begun and not ended."""
        query = urllib.parse.urlencode({"limit": _PAGE, "state": "running"})
        return [_dag_run(each) for each in self._authorised("GET", f"/api/v2/dags/~/dagRuns?{query}")["dag_runs"]]

    def fail(self, run: DagRun, note: str) -> None:
        """Mark a run and its unfinished tasks as failed."""
        path = f"/api/v2/dags/{_quote(run.dag_id)}/dagRuns/{_quote(run.run_id)}"
        self._authorised("PATCH", path, {"state": "failed", "note": note})

    def causes(self, run: DagRun) -> list[tuple[str, str]]:
        """The (dag id, run id) pairs whose asset events started a run."""
        path = f"/api/v2/dags/{_quote(run.dag_id)}/dagRuns/{_quote(run.run_id)}/upstreamAssetEvents"
        events = self._authorised("GET", path)["asset_events"]
        return [(each["source_dag_id"], each["source_run_id"]) for each in events if each.get("source_run_id")]

    def _authorised(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        if not self._token:
            self._token = str(self._call("POST", "/auth/token", self._login)["access_token"])
        return self._call(method, path, body)

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self._address + path, method=method)  # noqa: S310 - http, on this machine
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with _OPENER.open(request, data, timeout=_TIMEOUT_S) as response:
                answer = json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read(500).decode(errors="replace")
            raise AirflowUnreachable(f"Airflow answered {error.code} to {method} {path}: {text}") from error
        except (OSError, ValueError) as error:
            raise AirflowUnreachable(f"Airflow at {self._address} did not answer {method} {path}: {error}") from error
        if not isinstance(answer, dict):
            raise AirflowUnreachable(
                f"Airflow answered {method} {path} with {type(answer).__name__}, expected an object"
            )
        return answer


#: Never through a proxy: the server is on this machine.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _quote(part: str) -> str:
    return urllib.parse.quote(part, safe="~")


def _dag_run(answer: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=str(answer["dag_id"]),
        run_id=str(answer["dag_run_id"]),
        run_type=str(answer["run_type"]),
        state=str(answer["state"]),
        started_at=str(answer.get("start_date") or ""),
    )
