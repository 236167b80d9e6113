"""Named points at which a sender dies by SIGKILL, or waits for its database to be killed. Test code only."""

import http.client
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.crash.faulty_ports import flow_function
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.ports.ledger import Books, Ledger
from trading.ports.market import Venue

#: Around one POST, in the order in which a sender passes them.
POINTS: Final = (
    "before the plan's commit",
    "after the plan's commit",
    "before the intent's commit",
    "after the intent's commit",
    "after the socket write",
    "after the venue accepted",
    "after the answer",
    "before the ack's commit",
    "after the ack's commit",
    "before the fills",
    "before the fills' commit",
    "after the fills' commit",
)
#: (flow function, moment) → the point; those of reconciliation count only once something was sent.
_COMMITS: Final = {
    ("_plan", "before"): "before the plan's commit",
    ("_plan", "after"): "after the plan's commit",
    ("_authorise", "before"): "before the intent's commit",
    ("_authorise", "after"): "after the intent's commit",
    ("_record", "before"): "before the ack's commit",
    ("_record", "after"): "after the ack's commit",
    ("_reconcile", "before"): "before the fills' commit",
    ("_reconcile", "after"): "after the fills' commit",
}
_ACCEPTED_WITHIN_S: Final = 5.0


def die() -> None:
    """kill -9 of this process."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class KillPoint:
    """The point at which `strike` happens, once, after it was passed `passes` times."""

    name: str
    passes: int
    strike: Callable[[], None]
    sent: bool = False
    looked: bool = False
    posting: str = ""

    def reached(self, name: str) -> None:
        """Strike, where this is the point."""
        if not name or name != self.name:
            return
        self.passes -= 1
        if self.passes < 0:
            self.name = ""
            self.strike()


class WatchedLedger:
    """Ledger that tells of each commit."""

    def __init__(self, inner: Ledger, point: KillPoint) -> None:
        self._inner = inner
        self._point = point

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        where, point = flow_function(), self._point
        counts = where != "_reconcile" or (point.sent and point.looked)
        with self._inner.transaction() as books:
            yield books
            if counts:
                point.reached(_COMMITS.get((where, "before"), ""))
        if counts:
            point.reached(_COMMITS.get((where, "after"), ""))

    def sending(self, account: str) -> AbstractContextManager[None]:
        return self._inner.sending(account)

    def draining(self, account: str) -> AbstractContextManager[None]:
        return self._inner.draining(account)

    def close(self) -> None:
        self._inner.close()


class WatchedVenue:
    """Venue that tells of each POST and of each look at the fills."""

    def __init__(self, inner: Venue, point: KillPoint) -> None:
        self._inner = inner
        self._point = point

    def submit(self, request: OrderRequest) -> VenueOrder:
        self._point.sent, self._point.posting = True, request.client_order_id
        try:
            answer = self._inner.submit(request)
        finally:
            self._point.posting = ""
        self._point.reached("after the answer")
        return answer

    def fills(self, *args: Any, **more: Any) -> Any:
        if self._point.sent:
            self._point.reached("before the fills")
        self._point.looked = True
        return self._inner.fills(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def watch_the_wire(point: KillPoint, book: Path) -> None:
    """Tell of each POST once its last byte was written, and once the exchange's own book has the order."""
    answer = http.client.HTTPConnection.getresponse

    def getresponse(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        if point.posting:
            point.reached("after the socket write")
            if point.name == "after the venue accepted" and _is_booked(book, point.posting):
                point.reached("after the venue accepted")
        return answer(connection)

    http.client.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


def _is_booked(book: Path, client_order_id: str) -> bool:
    """Wait until the order is in the venue's book; False where it was refused, or nothing came of it."""
    deadline = time.monotonic() + _ACCEPTED_WITHIN_S
    with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as venue:
        while time.monotonic() < deadline:
            with suppress(sqlite3.OperationalError):
                if venue.execute("SELECT 1 FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone():
                    return True
                refused = "SELECT 1 FROM request_log WHERE client_order_id = ? AND method = 'POST' AND status >= 400"
                if venue.execute(refused, (client_order_id,)).fetchone():
                    return False
            time.sleep(0.001)
    return False
