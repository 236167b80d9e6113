"""The database fails at each step of an order's way: nothing is sent that was not recorded, nothing is sent twice."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from failing_database import Relay, Server, open_desk, settle, wrongs
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.desk import Desk
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.migrations import migrate
from trading.domain.order import OrderState
from trading.errors import CommitUnknown, DatabaseError, DatabaseUnavailable, DatabaseUnwritable

pytestmark = pytest.mark.postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="trading-home-") as folder:
        server = Server(Path(folder))
        migrate(server.url)
        yield server
        server.stop()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """A fresh database on the server that may be killed."""
    name = f"fresh_{next(_numbers)}"
    server.run(f"CREATE DATABASE {name} TEMPLATE trading")
    yield make_conninfo(server.url, dbname=name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def relay(url: str) -> Iterator[Relay]:
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        relay = Relay(Path(folder), url)
        yield relay
        relay.close()


def placed(desk: Desk) -> DatabaseError | None:
    """A whole cycle; what the database did to it."""
    try:
        desk.cycle()
    except DatabaseError as error:
        return error
    return None


Fault = Callable[[Relay, Server], None]
FAULTS: dict[str, Fault] = {
    "restarted": lambda _, server: server.restart(),
    "cut": lambda relay, _: relay.cut(),
    "commit lost": lambda relay, _: relay.lose("commit"),
    "answer lost": lambda relay, _: relay.lose("answer"),
}
#: Where it happens, and how many orders of two the venue has then seen.
BEFORE_THE_POST = ("planned", "submitting")
AFTER_THE_POST = ("answered", "accepted")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", BEFORE_THE_POST)
def test_what_could_not_be_recorded_is_not_sent(relay: Relay, server: Server, point: str, fault: str) -> None:
    """The run fails with our own error before any POST, and the next ones send each order once."""
    desk, watched = open_desk(relay.url)
    watched.on[point] = lambda: FAULTS[fault](relay, server)
    error = placed(desk)
    assert isinstance(error, DatabaseUnavailable)
    assert isinstance(error, CommitUnknown) == (fault in ("commit lost", "answer lost"))
    assert desk.posts() == []
    settle(desk)
    assert len(desk.posts()) >= 2
    assert wrongs(desk) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", AFTER_THE_POST)
def test_an_answer_is_recorded_once_over_another_connection(
    relay: Relay, server: Server, point: str, fault: str
) -> None:
    """The run goes on: the answer is read again by its key, and no POST is repeated."""
    desk, watched = open_desk(relay.url)
    watched.on[point] = lambda: FAULTS[fault](relay, server)
    assert placed(desk) is None
    assert watched.on == {}
    assert len(desk.posts()) == 2
    names = [order.client_order_id for order in desk.orders()]
    events = desk.read(lambda books: [books.orders.events(name) for name in names])
    for states in ([event.state for event in of_one] for of_one in events):
        assert states[:3] == [OrderState.PLANNED, OrderState.SUBMITTING, OrderState.ACCEPTED]
        assert states.count(OrderState.ACCEPTED) == 1
    settle(desk)
    assert wrongs(desk) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_fills_are_booked_once(relay: Relay, server: Server, fault: str) -> None:
    """A reconciliation that fails among the fills is done again by the next one, to the last digit."""
    desk, watched = open_desk(relay.url)
    watched.on["fill"] = lambda: FAULTS[fault](relay, server)
    assert isinstance(placed(desk), DatabaseUnavailable)
    assert desk.reconcile().clean
    assert desk.totals() == desk.venue_totals()
    settle(desk)
    assert wrongs(desk) == []


def test_a_restart_between_two_transactions_is_not_noticed(relay: Relay, server: Server) -> None:
    """Before planning, and again before the fence of the first order."""
    desk, watched = open_desk(relay.url)
    server.restart()
    watched.on["sending"] = server.restart
    assert placed(desk) is None
    assert len(desk.posts()) == 2
    assert wrongs(desk) == []


def test_a_database_that_turns_read_only_sends_nothing(url: str) -> None:
    """Planned, and then no write is taken: the fence and the flag can still be read, the wish not be written."""
    desk, watched = open_desk(url)

    def turn() -> None:
        assert watched.inner._connection is not None
        watched.inner._connection.execute("SET default_transaction_read_only = on")

    watched.on["sending"] = turn
    error = placed(desk)
    assert isinstance(error, DatabaseUnwritable)
    assert "expected one that does" in str(error)
    assert desk.posts() == []
    watched.close()
    settle(desk)
    assert wrongs(desk) == []


def test_a_read_only_database_can_be_read_and_nothing_begins(url: str, server: Server) -> None:
    desk, watched = open_desk(url)
    server.run(f"ALTER DATABASE {conninfo_to_dict(url)['dbname']} SET default_transaction_read_only = on")
    watched.close()
    assert isinstance(placed(desk), DatabaseUnwritable)
    assert desk.orders() == []
    assert desk.posts() == []


def waits(url: str, pid: int) -> bool:
    """Whether this backend waits for a lock; asking costs a connection, so that a loop of it does not spin."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    return found == ("Lock",)


def test_a_deadlock_ends_the_run_before_the_post(url: str) -> None:
    """Somebody holds the table of events and waits for the account that tx1 holds: tx1 is given up."""
    desk, watched = open_desk(url)
    patient = "-c deadlock_timeout=60s"  # so that it is not the one that is given up
    with psycopg.connect(url, options=patient) as other, ThreadPoolExecutor(1) as pool:

        def cross() -> None:
            other.execute("LOCK TABLE trading.order_event IN EXCLUSIVE MODE")
            pool.submit(other.execute, "SELECT 1 FROM trading.account FOR UPDATE")
            assert any(waits(url, other.info.backend_pid) for _ in range(2000))

        watched.on["submitting"] = cross
        error = placed(desk)
        pool.shutdown()
    assert isinstance(error, DatabaseUnavailable)
    assert "deadlock" in str(error)
    assert desk.posts() == []
    settle(desk)
    assert wrongs(desk) == []


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of a megabyte, which only root can make."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if made.returncode:
        folder.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return path


def test_a_full_disk_sends_nothing_and_making_room_is_all_it_needs(url: str, server: Server, small_disk: Path) -> None:
    """The events of orders lie on a disk that runs full: the run says so, and what it could not store was not sent."""
    owner = Path(str(conninfo_to_dict(url)["host"])).stat()
    place = small_disk / "tablespace"
    place.mkdir()
    os.chown(place, owner.st_uid, owner.st_gid)
    small_disk.chmod(0o755)
    server.run(f"CREATE TABLESPACE small LOCATION '{place}'")
    desk, watched = open_desk(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE trading.order_event SET TABLESPACE small")
    filler = fill(small_disk)
    error = None
    for minute in range(40):
        desk.decide(sma=(0.5, 0.3) if minute % 2 else (0.0, 0.0))
        error = placed(desk)
        if error:
            break
        desk.next_minute()
    assert isinstance(error, DatabaseUnwritable)
    assert "make room" in str(error)
    filler.unlink()
    settle(desk)
    assert wrongs(desk) == []
    watched.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE trading.order_event SET TABLESPACE pg_default")
    server.run("DROP TABLESPACE small")


def test_the_servers_own_defaults_do_not_weaken_a_commit(url: str, server: Server) -> None:
    """A database set to commit without waiting for the disk, or to serialise, changes nothing of a COMMIT here."""
    name = conninfo_to_dict(url)["dbname"]
    server.run(f"ALTER DATABASE {name} SET synchronous_commit = off")
    server.run(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    ledger = PostgresLedger(url)
    with ledger.transaction() as books:
        connection = books._session.connection
        shown = [
            list((connection.execute(f"SHOW {setting}".encode()).fetchone() or {}).values())
            for setting in ("synchronous_commit", "transaction_isolation")
        ]
    ledger.close()
    assert shown == [["on"], ["read committed"]]
