"""A channel's far end: an HTTP server of this machine that keeps what Apprise's json:// sends it."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "tok-canary-5f1c9a77e2"


class AlertReceiver:
    """`with AlertReceiver() as receiver:`; `status` is what it answers, and while `silent` it answers nothing."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        self.silent = False
        self.released = threading.Event()
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.silent:
                    receiver.released.wait(60)
                with receiver._news:
                    if receiver.status == 200:
                        receiver.messages.append(body)
                    receiver._news.notify_all()
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"json://ada:{TOKEN}@127.0.0.1:{self._server.server_port}/{TOKEN}-path"

    def __enter__(self) -> "AlertReceiver":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def pause(self) -> None:
        """Until there is news, for a twentieth of a second at most."""
        with self._news:
            self._news.wait(0.05)

    def await_title(self, words: str, *, within_s: float, meanwhile: Callable[[], object] = lambda: None) -> float:
        """Seconds until a message with these words in its title; `meanwhile` is called again and again."""
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < within_s:
            if any(words in title for title in self.titles()):
                return elapsed
            meanwhile()
            self.pause()
        raise AssertionError(f"no message with {words!r} within {within_s} s, only {self.titles()}")
