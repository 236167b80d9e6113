"""What a fault does to the connection, byte by byte, and the address over which a plan may be changed."""

import asyncio
import json
import logging
import select
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_exchange import RunningExchange, accounts_file, running_exchange

from trading.commands.exchange import serve
from trading.errors import ConfigurationError
from trading.paper import wire_faults
from trading.paper.fault_kinds import COUNTED_NAMES
from trading.paper.fault_plan import FaultPlan
from trading.paper.faults import CONTROL_PATH, FaultInjector, FaultMiddleware

TIME = b'{"serverTime":1774310430000}'


@pytest.fixture
def plan() -> FaultPlan:
    """No faults yet."""
    return FaultPlan()


@pytest.fixture
def exchange(tmp_path: Path, plan: FaultPlan) -> Iterator[RunningExchange]:
    """A paper exchange that follows the plan, which may be changed over HTTP."""
    with running_exchange(tmp_path, faults=FaultInjector(plan=plan, control=True)) as running:
        yield running


@pytest.fixture
def wire(exchange: RunningExchange) -> Iterator[socket.socket]:
    """A bare connection to it."""
    host, _, port = exchange.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        yield connection


def ask(wire: socket.socket) -> None:
    wire.sendall(b"GET /api/v3/time HTTP/1.1\r\nHost: localhost\r\n\r\n")


def ask_often(wire: socket.socket) -> None:
    for _ in range(20):
        ask(wire)


def until_the_end(wire: socket.socket) -> bytes:
    received = b""
    while part := wire.recv(65536):
        received += part
    return received


def test_a_reset_is_a_reset(plan: FaultPlan, wire: socket.socket) -> None:
    """RST, not the end of the stream."""
    plan.add({"kind": "reset"}, "test")
    ask(wire)
    with pytest.raises(ConnectionResetError):
        wire.recv(1)


def test_a_lost_answer_is_the_end_of_the_stream(plan: FaultPlan, wire: socket.socket) -> None:
    """Not a byte, and the other direction is closed too: what is sent then is refused."""
    plan.add({"kind": "lost_answer"}, "test")
    ask(wire)
    assert wire.recv(1) == b""
    with pytest.raises(ConnectionError):
        ask_often(wire)


def test_a_half_closed_connection_still_takes_what_is_sent(
    plan: FaultPlan, wire: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the stream in one direction, an open one in the other; for a bounded time."""
    monkeypatch.setattr(wire_faults, "_HALF_OPEN_S", 1)
    plan.add({"kind": "half_close"}, "test")
    ask(wire)
    assert wire.recv(1) == b""
    ask_often(wire)
    hung_up = select.poll()
    hung_up.register(wire, select.POLLHUP)
    assert hung_up.poll(5000)


def test_a_truncated_body_is_shorter_than_its_header_promises(plan: FaultPlan, wire: socket.socket) -> None:
    """Half of it, then the end."""
    plan.add({"kind": "truncated"}, "test")
    ask(wire)
    head, _, body = until_the_end(wire).partition(b"\r\n\r\n")
    assert f"content-length: {len(TIME)}".encode() in head.lower()
    assert body == TIME[: len(TIME) // 2]


def test_a_drip_is_slow_and_bounded(plan: FaultPlan, wire: socket.socket) -> None:
    """One byte at a time for as long as the rule says, then all the rest: the answer is whole."""
    plan.add({"kind": "drip", "seconds": 1}, "test")
    ask(wire)
    parts = []
    while not b"".join(parts).endswith(TIME):
        parts.append(wire.recv(65536))
    assert parts[-1] == TIME[1:]


def test_a_connection_serves_on_after_a_fault_in_the_answer(plan: FaultPlan, wire: socket.socket) -> None:
    """An empty 200 is a complete answer: the next one on the same connection is right."""
    plan.add({"kind": "empty_200", "first": 1}, "test")
    ask(wire)
    assert b"content-length: 0" in wire.recv(65536).lower()
    ask(wire)
    assert wire.recv(65536).endswith(TIME)


def control(exchange: RunningExchange, method: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if content is not None else {}
    request = urllib.request.Request(  # noqa: S310
        exchange.url + CONTROL_PATH, content, {**kind, **headers}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def get_time(exchange: RunningExchange) -> int:
    try:
        with urllib.request.urlopen(f"{exchange.url}/api/v3/time", timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_rules_are_set_added_cleared_and_counted(exchange: RunningExchange, caplog: pytest.LogCaptureFixture) -> None:
    """POST follows a plan or one more rule, DELETE heals, GET tells the counts, which outlive the rules."""
    caplog.set_level(logging.INFO)
    broken = {"kind": "html_5xx", "endpoint": "GET /api/v3/time", "status": 503, "calls": [2]}
    assert control(exchange, "POST", {"seed": 3, "fault": [broken]})[0] == 200
    assert control(exchange, "POST", {"kind": "html_403", "endpoint": "GET /api/v3/time", "calls": [3]})[0] == 200
    assert [get_time(exchange) for _ in range(4)] == [200, 503, 403, 200]
    _, report = control(exchange, "GET")
    assert report["seed"] == 3
    assert [(rule["kind"], rule["calls_seen"], rule["hits"]) for rule in report["fault"]] == [
        ("html_5xx", 4, 1),
        ("html_403", 4, 1),
    ]
    assert report["counts"] == dict.fromkeys(COUNTED_NAMES, 0) | {"html_5xx_not_executed": 1, "html_403": 1}
    told = [record for record in caplog.records if getattr(record, "event", "") == "fault_injected"]
    assert [(record.__dict__["fault"], record.__dict__["endpoint"], record.__dict__["call"]) for record in told] == [
        ("html_5xx_not_executed", "GET /api/v3/time", 2),
        ("html_403", "GET /api/v3/time", 3),
    ]
    status, report = control(exchange, "DELETE")
    assert (status, report["fault"], report["counts"]["html_403"]) == (200, [], 1)


def test_a_wrong_rule_is_refused_in_one_sentence_and_changes_nothing(
    exchange: RunningExchange, plan: FaultPlan
) -> None:
    """With what is allowed in its place."""
    plan.add({"kind": "reset", "calls": [99]}, "test")
    status, answer = control(exchange, "POST", {"fault": [{"kind": "delay", "seconds": -1}]})
    assert status == 400
    assert answer["error"] == ("POST /paper/v1/faults: fault 1 (delay): seconds = -1; expected a number from 0 to 60")
    assert control(exchange, "POST", [1])[0] == control(exchange, "PUT", {})[0] - 5 == 400
    assert [rule.kind for rule in plan.rules] == ["reset"]


def test_a_page_in_a_browser_cannot_reach_the_plan(exchange: RunningExchange, plan: FaultPlan) -> None:
    """Neither under a name that it made point here, nor with a type of body that needs no permission."""
    rule = {"kind": "reset"}
    assert control(exchange, "POST", rule, Host="rebound.example:8900")[0] == 403
    assert control(exchange, "GET", Host="rebound.example")[0] == 403
    assert control(exchange, "POST", rule, **{"Content-Type": "text/plain"})[0] == 400
    assert plan.rules == []
    assert control(exchange, "POST", rule, Host="localhost:8900")[0] == 200


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403), ("nobody", 403)])
def test_another_machine_cannot_reach_the_plan(peer: str, status: int) -> None:
    """By the connection's own other end, whatever a header claims."""

    class Connection(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (peer, 50_000) if name == "peername" else default

    async def venue(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the plan's address is no business of the venue")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[dict[str, Any]] = []
    headers = [(b"host", b"localhost"), (b"x-forwarded-for", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "path": CONTROL_PATH, "headers": headers}
    state = {"state": {"trading.paper.transport": Connection()}, "query_string": b""}
    asyncio.run(FaultMiddleware(venue, FaultPlan(), control=True)({**scope, **state}, receive, send))
    assert sent[0]["status"] == status


def test_without_being_asked_for_there_is_no_such_address(tmp_path: Path) -> None:
    """Faults from a file alone cannot be changed."""
    with running_exchange(tmp_path, faults=FaultInjector()) as running:
        assert control(running, "GET")[0] == 404


def test_without_a_plan_no_fault_code_is_even_loaded() -> None:
    """The command and the server import nothing of it, and serve the venue's own endpoints without a middleware."""
    program = (
        "import sys, trading.commands.exchange, trading.paper.server;"
        "print([name for name in sys.modules if 'fault' in name and name.startswith('trading')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_serves_a_plan_and_logs_its_faults(tmp_path: Path) -> None:
    """From the file, changeable over HTTP as asked for; each fault is a line with the run's id."""
    plan, log = tmp_path / "plan.toml", tmp_path / "exchange.jsonl"
    plan.write_text('[[fault]]\nkind = "html_5xx"\nendpoint = "GET /api/v3/time"\nfirst = 1\n', encoding="utf-8")
    program = "from trading.commands.exchange import app; app()"
    command = [sys.executable, "-c", program, "serve", "--port", "0", "--state", str(tmp_path / "book.sqlite")]
    command += ["--accounts", str(accounts_file(tmp_path)), "--log", str(log), "--faults", str(plan), "--fault-control"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        running = RunningExchange(url=process.stderr.readline().split()[-1], clock=None, venue=None, state=tmp_path)  # type: ignore[arg-type]
        assert [get_time(running) for _ in range(2)] == [502, 200]
        assert control(running, "GET")[1]["counts"]["html_5xx_not_executed"] == 1
        process.terminate()
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    (line,) = [line for line in lines if line.get("event") == "fault_injected"]
    assert (line["fault"], line["call"]) == ("html_5xx_not_executed", 1)
    assert line["correlation_id"].startswith("exchange__")


def test_a_wrong_plan_stops_the_command_before_anything_is_made(tmp_path: Path) -> None:
    """The sentence names the file."""
    plan = tmp_path / "plan.toml"
    plan.write_text("[[fault]]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"plan\.toml: fault 1: kind = None; expected one of"):
        serve(state=tmp_path / "book.sqlite", accounts=accounts_file(tmp_path), port=0, faults=plan)
    assert not (tmp_path / "book.sqlite").exists()
