"""A database that fails on cue: a relay that loses COMMITs and answers, a server to kill, and a desk over both."""

import os
import select
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.desk import Behind, Desk
from tests.examples import ACCOUNT, T0
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.clock import ManualClock, SystemClock
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.local.embedded_postgres import EmbeddedPostgres, running_pid

COMMIT = b"COMMIT\0"
SOCKET = ".s.PGSQL.5432"


class Relay:
    """Between clients and the server's UNIX socket, byte for byte, until it is told to lose something."""

    def __init__(self, folder: Path, url: str) -> None:
        self._door = folder / SOCKET
        self._server = str(Path(str(conninfo_to_dict(url)["host"])) / SOCKET)
        self.url = make_conninfo(url, host=str(folder))
        self._lose = ""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.open()

    def open(self) -> None:
        """Let clients in."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._door))
        self._listener.listen()
        self._doorman = threading.Thread(target=self._welcome, args=(self._listener,), daemon=True)
        self._doorman.start()

    def close(self) -> None:
        """Let nobody in, and cut off who is there: as a server that is down."""
        self._door.unlink(missing_ok=True)
        with _ended():
            self._listener.shutdown(socket.SHUT_RDWR)
        # Or it might go on to accept from a descriptor of that number, which by then is the next relay's.
        self._doorman.join()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection now."""
        for pair in self._pairs:
            for end in pair:
                with _ended():
                    end.shutdown(socket.SHUT_RDWR)

    def lose(self, what: str) -> None:
        """Lose the next "commit" on its way to the server, or its "answer", and the connection with it."""
        self._lose = what

    def _welcome(self, listener: socket.socket) -> None:
        with _ended():
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._pairs.append((client, server))
                threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, _ended():
            server.connect(self._server)
            while True:
                for end in select.select([client, server], [], [])[0]:
                    content = end.recv(65536)
                    if not content or (end is client and self._is_lost(content, server)):
                        return
                    (server if end is client else client).sendall(content)

    def _is_lost(self, content: bytes, server: socket.socket) -> bool:
        lost = self._lose if COMMIT in content else ""
        if lost:
            self._lose = ""
        if lost == "answer":
            server.sendall(content)
            assert server.recv(65536).startswith(b"C")  # the server says that it is done
        return bool(lost)


@contextmanager
def _ended() -> Iterator[None]:
    """A connection that ends is what this module is about."""
    try:
        yield
    except OSError:
        return


class Server:
    """An embedded server of one's own, to be killed and started again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._embedded = EmbeddedPostgres(home=home, clock=SystemClock())
        self.url = self._embedded.start()
        # The machine outlives the server, and keeps what was written to it.
        self.run("ALTER SYSTEM SET fsync = off")
        self.run("SELECT pg_reload_conf()")

    def restart(self) -> None:
        """What `pg_ctl -m immediate restart` does: every connection breaks, and the log is replayed."""
        pid = running_pid(self._home.resolve() / "postgres")
        assert pid is not None
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        os.kill(pid, signal.SIGQUIT)
        assert psutil.wait_procs(family, timeout=20)[1] == []
        self._embedded.start()

    def run(self, statement: str) -> None:
        """One statement, committed."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """For good."""
        self._embedded.stop()


class Watched:
    """A ledger in the desk's time that does `on[point]`, once, where a flow comes by: inside the transaction, mostly.

    Points: planned, sending (before the fence), submitting, accepted, filled … (about to be appended), fill.
    """

    def __init__(self, inner: PostgresLedger, clock: ManualClock) -> None:
        self.inner = inner
        self.on: dict[str, Callable[[], None]] = {}
        self._clock = clock

    def pass_by(self, point: str) -> None:
        """A flow is here."""
        self.on.pop(point, _nothing)()

    @contextmanager
    def transaction(self) -> Iterator[PostgresBooks]:
        with self.inner.transaction() as books:
            books.now = self._clock.now  # type: ignore[method-assign]
            plan, append, record = books.orders.plan, books.orders.append, books.fills.record

            def seen(do: Callable[..., Any], point: Callable[..., str]) -> Any:
                def call(*arguments: Any) -> Any:
                    self.pass_by(point(*arguments))
                    return do(*arguments)

                return call

            books.orders.plan = seen(plan, lambda *_: "planned")  # type: ignore[method-assign]
            books.orders.append = seen(append, lambda _, event, *__: str(event.state))  # type: ignore[method-assign]
            books.fills.record = seen(record, lambda *_: "fill")  # type: ignore[method-assign]
            yield books

    @contextmanager
    def sending(self, account: str) -> Iterator[None]:
        self.pass_by("sending")
        with self.inner.sending(account):
            yield

    @contextmanager
    def draining(self, account: str) -> Iterator[None]:
        with self.inner.draining(account):
            yield

    def close(self) -> None:
        self.inner.close()


def _nothing() -> None:
    """Nobody waits at this point."""


def open_desk(url: str) -> tuple[Desk, Watched]:
    """A desk that may trade, over a fresh database; a point more: "answered", between the answer and its record."""
    clock = ManualClock(T0)
    clock.advance(2)
    watched = Watched(PostgresLedger(url, code_version="test"), clock)
    desk = Desk(clock=clock, store=watched)

    def submit(request: OrderRequest) -> VenueOrder:
        answer = desk.memory_venue.submit(request)
        watched.pass_by("answered")
        return answer

    desk.venue = Behind(desk.memory_venue, submit=submit)
    return desk.open(), watched


def settle(desk: Desk) -> None:
    """Healed minutes, longer than any horizon."""
    for _ in range(3):
        desk.next_minute()
        desk.cycle()


def wrongs(desk: Desk) -> list[str]:
    """What is wrong with a desk that has settled: the venue's book and ours, and what was sent without a record."""
    orders = {order.client_order_id: order for order in desk.orders()}
    posts = Counter(post.client_order_id for post in desk.posts())
    found = [f"{name} was sent {count} times" for name, count in posts.items() if count > 1]
    for post in desk.posts():
        order = orders.get(post.client_order_id)
        if order is None or order.signed_at != post.request.signed_at:
            found.append(f"{post.client_order_id} was sent without its record")
    found += [f"{name} is {order.state}" for name, order in orders.items() if order.is_unresolved]
    if desk.totals() != desk.venue_totals():
        found.append(f"ours {desk.totals()}, theirs {desk.venue_totals()}")
    found += [str(one) for one in desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT))]
    return found
