"""A real database is put back from a copy while a real exchange went on: noticed, told, adopted, and in agreement."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from paper_exchange import API_KEY, API_SECRET, RunningExchange, running_exchange

from tests.desk import HORIZON, Desk, constant
from tests.e2e.two_books import differences
from tests.examples import ACCOUNT
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.file_witness import FileWitness
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.clock import Clock
from trading.domain.override import OverrideRefused
from trading.errors import TradingHalted
from trading.flows.adopt import Adopt
from trading.flows.restored import Restored

pytestmark = pytest.mark.postgres

_copies = itertools.count(1)

LOST_BY_LEDGER = """
SELECT count(*) FROM trading.acknowledgement WHERE kind = 'external_fill'
"""
INCARNATIONS = "SELECT DISTINCT incarnation FROM trading.order_intent ORDER BY incarnation"
EARLIER = (
    "UPDATE trading.account SET restored_at = NULL",
    "UPDATE trading.account SET restored_at = restored_at - interval '1 second'",
)


class TimedLedger(PostgresLedger):
    """PostgreSQL whose clock is the test's, as is the exchange's."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url)
        self._test_clock = clock

    @contextmanager
    def transaction(self) -> Iterator[PostgresBooks]:
        with super().transaction() as books:
            books.now = self._test_clock.now  # type: ignore[method-assign]
            yield books


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[RunningExchange]:
    with running_exchange(tmp_path) as running:
        yield running


@pytest.fixture
def ledger(database_url: str, paper: RunningExchange) -> Iterator[TimedLedger]:
    ledger = TimedLedger(database_url, paper.clock)
    yield ledger
    ledger.close()


@pytest.fixture
def desk(ledger: TimedLedger, paper: RunningExchange, tmp_path: Path) -> Desk:
    """Every flow over the database and the exchange, remembering in a file."""
    desk = Desk(clock=paper.clock, store=ledger, weights={"sma": constant(0.2, 0.1)})
    venue = CcxtExchange("binance", clock=paper.clock, base_url=paper.url, api_key=API_KEY, api_secret=API_SECRET)
    desk.market = desk.venue = venue
    desk.witness = FileWitness(tmp_path / "witness" / "main.json")  # type: ignore[assignment]
    return desk.open()


class Backup:
    """A copy of the database, which can be put back in its place."""

    def __init__(self, server: str, url: str) -> None:
        self._server = server
        self._name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._copy = f"{self._name}_copy_{next(_copies)}"
        self._run(f"CREATE DATABASE {self._copy} TEMPLATE {self._name} STRATEGY FILE_COPY")

    def put_back(self) -> None:
        self._run(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._run(f"ALTER DATABASE {self._copy} RENAME TO {self._name}")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement.encode())


def adopt_all(desk: Desk) -> int:
    """Find it twice, a visibility lag apart, and sign for it; how many fills were taken note of."""
    desk.reconcile(full=True)
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile(full=True)
    flow = Adopt(desk.ledger, desk.venue, desk.clock, account=ACCOUNT, horizon=HORIZON)
    shown = flow.preview()
    assert shown.obstacles == ()
    adopted = flow.run(desk.run_of("adopt"), person="ada", reason="lost", expected=shown.adoption.content_hash)
    return len(adopted.adoption.acknowledged)


def venue_names(paper: RunningExchange) -> list[str]:
    with sqlite3.connect(f"file:{paper.state}?mode=ro", uri=True) as book:
        return [row[0] for row in book.execute("SELECT client_order_id FROM orders ORDER BY order_id")]


def test_a_database_that_was_put_back_is_noticed_and_the_books_agree_in_the_end(
    desk: Desk, ledger: TimedLedger, paper: RunningExchange, postgres_server: str, database_url: str
) -> None:
    """Orders that the copy knows nothing of are at the exchange: none of their names is ever used again."""
    desk.next_minute()
    desk.cycle()
    ledger.close()
    backup = Backup(postgres_server, database_url)
    desk.decide(sma=(0.1, 0.25))
    desk.next_minute()
    desk.cycle()
    assert differences(paper.state, database_url) == []
    before = venue_names(paper)
    assert len(before) == 4

    ledger.close()
    backup.put_back()
    desk.next_minute()
    desk.lease()
    desk.ingest()
    desk.evaluate()
    for flow in (desk.place, desk.place):
        with pytest.raises(TradingHalted, match="restored or replaced"):
            flow()
    desk.reconcile()
    assert venue_names(paper) == before

    report = Restored(desk.ledger, desk.clock, desk.witness, account=ACCOUNT).run(
        desk.run_of("restored"), person="ada", reason="disk failed"
    )
    desk.clock.advance(1)
    with pytest.raises(OverrideRefused):
        desk.resume(report.halt_id)
    fills = adopt_all(desk)
    assert desk.reconcile(full=True).clean
    for halt in desk.halts():
        desk.resume(halt.halt_id)

    desk.next_minute()
    desk.cycle()
    assert desk.reconcile().clean
    after = venue_names(paper)
    assert len(after) > len(before)
    assert len(set(after)) == len(after)
    agree_but_for_what_was_lost(paper, database_url, fills, lost=set(before[2:]), incarnation=report.incarnation)


def test_the_database_itself_refuses_an_earlier_restore(desk: Desk, database_url: str) -> None:
    """Nobody makes an override from before a restore valid again by an UPDATE."""
    restored = Restored(desk.ledger, desk.clock, desk.witness, account=ACCOUNT)
    restored.run(desk.run_of("restored"), person="ada", reason="disk failed")
    for update in EARLIER:
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.IntegrityError, match="only grows"):
            connection.execute(update)


def agree_but_for_what_was_lost(
    paper: RunningExchange, database_url: str, fills: int, *, lost: set[str], incarnation: int
) -> None:
    """Plain SQL over both books: balances to the last digit; only the lost orders and their fills are the venue's."""
    left = differences(paper.state, database_url)
    assert not any(line.startswith("balance") for line in left)
    assert sum(line.startswith("fill") for line in left) == fills > 0
    assert {line.split()[0] for line in left if "posted without an intent" in line} == lost
    assert not any("more than once" in line for line in left)
    with psycopg.connect(database_url) as connection:
        assert connection.execute(LOST_BY_LEDGER).fetchone() == (fills,)
        assert connection.execute(INCARNATIONS).fetchall() == [(1,), (incarnation,)]
