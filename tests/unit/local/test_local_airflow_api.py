"""The client of Airflow's REST API, against a server of a few lines."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from trading.local.airflow_api import AirflowApi, AirflowUnreachable


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, str, str]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        path = self.path.split("?")[0]
        status, answer = self.server.answers.get((self.command, path), (404, {"detail": "not found"}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that the library calls

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.seen = []
        listening.answers = {("POST", "/auth/token"): (201, {"access_token": "t0ken"})}
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


@pytest.fixture
def api(server: HTTPServer) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{server.server_port}", user="admin", password="p")


RUN = {"dag_id": "d", "dag_run_id": "r+1", "run_type": "manual", "state": "queued", "start_date": None}


def test_a_token_is_fetched_once_and_sent_with_every_call(api: AirflowApi, server: HTTPServer) -> None:
    server.answers["GET", "/api/v2/dags"] = (200, {"dags": [{"dag_id": "d"}]})
    assert (api.dag_ids(), api.dag_ids()) == ({"d"}, {"d"})
    assert [method for method, *_ in server.seen] == ["POST", "GET", "GET"]
    assert [header for _, _, header, _ in server.seen] == ["", "Bearer t0ken", "Bearer t0ken"]


def test_a_triggered_run_is_read_back(api: AirflowApi, server: HTTPServer) -> None:
    server.answers["POST", "/api/v2/dags/d/dagRuns"] = (200, RUN)
    run = api.trigger("d")
    assert (run.run_id, run.ended, run.started_at) == ("r+1", False, "")
    assert json.loads(server.seen[-1][3]) == {"logical_date": None}


def test_a_run_id_is_quoted_in_the_path(api: AirflowApi, server: HTTPServer) -> None:
    server.answers["PATCH", "/api/v2/dags/d/dagRuns/r%2B1"] = (200, RUN)
    server.answers["GET", "/api/v2/dags/d/dagRuns/r%2B1"] = (200, RUN)
    api.fail(api.run("d", "r+1"), "why")
    assert json.loads(server.seen[-1][3]) == {"state": "failed", "note": "why"}


def test_a_server_that_does_not_answer_has_no_health() -> None:
    assert AirflowApi("http://127.0.0.1:1", user="a", password="p").health() == {}


def test_a_refusal_names_the_call_and_never_the_password(api: AirflowApi, server: HTTPServer) -> None:
    server.answers["POST", "/auth/token"] = (401, {"detail": "Invalid credentials"})
    with pytest.raises(AirflowUnreachable, match="Airflow answered 401 to POST /auth/token") as caught:
        api.dag_ids()
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_an_answer_that_is_no_object_is_an_error(api: AirflowApi, server: HTTPServer, answer: bytes) -> None:
    server.answers["GET", "/api/v2/dags"] = (200, answer)
    with pytest.raises(AirflowUnreachable):
        api.dag_ids()
