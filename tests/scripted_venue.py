"""A venue of a few lines on 127.0.0.1: answers what a test wrote down, bad manners included, and counts requests."""

import socket
import socketserver
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

Action = Callable[[socket.socket, threading.Event], None]


@dataclass(frozen=True)
class Arrived:
    """A request as it arrived; `parameters` are those of the query or the body."""

    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


def answer(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Action:
    """A JSON answer, or text as it is."""
    body = payload.encode() if isinstance(payload, str) else orjson.dumps(payload)
    kind = "text/html" if isinstance(payload, str) else "application/json"
    return _raw(_head(status, len(body), {"Content-Type": kind, **(headers or {})}) + body)


def error(code: int, text: str = "", status: int = 400, headers: dict[str, str] | None = None) -> Action:
    """Binance's shape of an error."""
    return answer({"code": code, "msg": text}, status, headers)


def truncated(payload: Any) -> Action:
    """Half of the body that the header promises, then the end of the connection."""
    body = orjson.dumps(payload)
    return _raw(_head(200, len(body), {}) + body[: len(body) // 2])


def reset(connection: socket.socket, _: threading.Event) -> None:
    """A reset in place of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(_: socket.socket, over: threading.Event) -> None:
    """No answer until the test is over."""
    over.wait()


def drip(connection: socket.socket, over: threading.Event) -> None:
    """A byte each 50 ms, for ever: no single read of the client ever takes long."""
    connection.sendall(_head(200, 1_000_000, {"Content-Type": "application/json"}))
    while not over.wait(0.05):
        try:
            connection.sendall(b" ")
        except OSError:
            return


def _raw(content: bytes) -> Action:
    def act(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(content)

    return act


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {length}", "Connection: close"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


@dataclass
class ScriptedVenue:
    """Answers requests in the order of `script`; one that comes after its end is answered with 599."""

    script: deque[Action] = field(default_factory=deque)
    arrived: list[Arrived] = field(default_factory=list)

    def __enter__(self) -> "ScriptedVenue":
        venue, self._over = self, threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                venue._serve(self.rfile, self.connection)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, *actions: Action) -> None:
        """Answer the next requests with `actions`, one each."""
        self.script.extend(actions)

    def count(self, method: str) -> int:
        """How many requests of `method` arrived."""
        return sum(request.method == method for request in self.arrived)

    def _serve(self, stream: Any, connection: socket.socket) -> None:
        first = stream.readline().decode()
        if not first:
            return
        method, target, _ = first.split(" ", 2)
        headers = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0))).decode()
        parts = urlsplit(target)
        self.arrived.append(Arrived(method, parts.path, dict(parse_qsl(parts.query) + parse_qsl(body)), headers))
        action = self.script.popleft() if self.script else answer("not in the script", 599)
        action(connection, self._over)
