"""Two connections at once: the account's lock, the audit chains, the sending fence."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from postgres_scenes import ACCOUNT, NOW, RUN, candles, intent, open_account, step, walk

from trading.adapters.postgres.audit import control_facts
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.ids import chain_hash
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.order import OrderState
from trading.domain.override import Override, OverrideRefused
from trading.errors import InvariantViolation, TradingError

pytestmark = pytest.mark.postgres

_S = OrderState


@pytest.fixture
def another(database_url: str) -> Iterator[PostgresLedger]:
    """A second process's ledger on the same database, impatient at fences."""
    ledger = PostgresLedger(database_url, fence_wait_s=0.2)
    yield ledger
    ledger.close()


def waiting(url: str, kind: str) -> bool:
    """Whether somebody in this database waits for a lock of this kind."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = %s", [kind]
        ).fetchone()
    return found is not None and found[0] > 0


def until(condition: Callable[[], bool]) -> None:
    """Come back once it holds; asking costs a connection, so this does not spin."""
    for _ in range(2000):
        if condition():
            return
    raise AssertionError("it never came to pass")


def test_the_accounts_lock_excludes_the_other_connection(
    postgres_ledger: PostgresLedger, another: PostgresLedger, database_url: str
) -> None:
    """Whoever locks second waits for the first one's commit and sees what it wrote."""
    open_account(postgres_ledger)

    def second() -> int:
        with another.transaction() as books:
            return books.accounts.lock(ACCOUNT).epoch

    with ThreadPoolExecutor(1) as pool:
        with postgres_ledger.transaction() as books:
            books.accounts.lock(ACCOUNT)
            books.accounts.advance_epoch(ACCOUNT)
            answer = pool.submit(second)
            until(lambda: waiting(database_url, "transactionid"))
            assert not answer.done()
        assert answer.result(timeout=30) == 1


def test_concurrent_appends_keep_the_chain(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """Four writers plan and submit at once; the account's chain verifies, link by link, from the rows alone."""
    open_account(postgres_ledger)
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        ledger = PostgresLedger(database_url, code_version="v1")
        start.wait(timeout=30)
        for number in range(5):
            with ledger.transaction() as books:
                walk(books, intent(10 * writer + number), [_S.SUBMITTING, _S.ACCEPTED])
        ledger.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with psycopg.connect(database_url) as connection:
        links = connection.execute(
            "SELECT client_order_id, sequence, chain_sequence, previous_hash, hash FROM trading.order_event"
            " ORDER BY chain_sequence"
        ).fetchall()
    previous = ""
    with postgres_ledger.transaction() as books:
        for place, (client_order_id, sequence, chain_sequence, stored_previous, stored) in enumerate(links, 1):
            event = books.orders.events(client_order_id)[sequence]
            assert (chain_sequence, stored_previous) == (place, previous)
            previous = chain_hash(previous, event.facts)
            assert stored == previous
    assert len(links) == 4 * 5 * 3


def test_a_stale_order_is_not_appended_to(postgres_ledger: PostgresLedger, another: PostgresLedger) -> None:
    """Two runs that read the same order cannot both take its next step; the loser's transaction stays usable."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        order = walk(books, intent(), [])
    with another.transaction() as books:
        books.orders.append(order, step(order, _S.SUBMITTING))
    with postgres_ledger.transaction() as books:
        with pytest.raises(InvariantViolation, match="read it again"):
            books.orders.append(order, step(order, _S.DENIED))
        assert [event.state for event in books.orders.events(order.client_order_id)] == [_S.PLANNED, _S.SUBMITTING]


def test_a_drain_waits_for_senders_and_says_when_it_gave_up(
    postgres_ledger: PostgresLedger, another: PostgresLedger
) -> None:
    """Exclusive means that no sender is inside; the wait is bounded; a sender that left lets the next drain in."""
    with postgres_ledger.sending(ACCOUNT):
        with pytest.raises(TradingError, match="lock"), another.draining(ACCOUNT):
            pass
        with another.sending(ACCOUNT):
            pass
        with another.draining("other"):
            pass
    with another.draining(ACCOUNT):
        pass


def test_a_sender_that_is_kept_out_is_told(postgres_ledger: PostgresLedger, another: PostgresLedger) -> None:
    """While somebody drains, nobody enters; not even on the same ledger."""
    with postgres_ledger.draining(ACCOUNT):
        with pytest.raises(TradingError, match="lock"), another.sending(ACCOUNT):
            pass
        with pytest.raises(InvariantViolation, match="being drained"), postgres_ledger.sending(ACCOUNT):
            pass
    with another.sending(ACCOUNT):
        pass


def test_fences_outlive_the_transactions_inside(postgres_ledger: PostgresLedger, another: PostgresLedger) -> None:
    """Commits and rollbacks between the flag and the answer do not open the fence; an error gives it back."""
    open_account(postgres_ledger)

    def send() -> None:
        with postgres_ledger.sending(ACCOUNT):
            with postgres_ledger.transaction() as books:
                books.accounts.lock(ACCOUNT)
            with pytest.raises(KeyError), postgres_ledger.transaction():
                raise KeyError
            with pytest.raises(TradingError, match="lock"), another.draining(ACCOUNT):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send()
    with another.draining(ACCOUNT):
        pass


def test_a_lost_connection_loses_the_fence_and_forbids_sending(
    postgres_ledger: PostgresLedger, another: PostgresLedger, database_url: str
) -> None:
    """A sender must not go on over a new connection that holds no fence; afterwards the ledger connects anew."""
    open_account(postgres_ledger)
    with postgres_ledger.sending(ACCOUNT):
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(TradingError), postgres_ledger.transaction() as books:
            books.accounts.get(ACCOUNT)
        with pytest.raises(TradingError, match="fence"), postgres_ledger.transaction():
            pass
        with another.draining(ACCOUNT):
            pass
    with postgres_ledger.transaction() as books:
        assert books.accounts.get(ACCOUNT) is not None


def test_one_of_many_releases_wins(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """The same token on eight connections at once releases the halt exactly once."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        (halt,) = books.control.halts(ACCOUNT)
    override = Override(
        halt_id=halt.halt_id,
        action="resume",
        scope="all",
        environment="replay",
        subject="anna",
        key_id="a",
        token_id="jti",
        issued_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
        reason="checked",
    )
    start = threading.Barrier(8)

    def release(_: int) -> str:
        ledger = PostgresLedger(database_url)
        try:
            with ledger.transaction() as books:
                start.wait(timeout=30)
                books.control.release(ACCOUNT, override, at=NOW, run=RUN)
        except OverrideRefused:
            return "refused"
        finally:
            ledger.close()
        return "released"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(release, range(8))) == ["refused"] * 7 + ["released"]
    with postgres_ledger.transaction() as books:
        assert books.control.halts(ACCOUNT) == ()


def test_control_events_are_chained_afterwards(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """Each event is in its account's chain after the next extension, once, and the chain verifies."""
    open_account(postgres_ledger)
    event = ControlEvent(
        kind=ControlKind.HALT_ENGAGED, author="a", reason="r", at=NOW, run_id="r", dag_id="d", detail={"k": "v"}
    )
    for account in (ACCOUNT, "*", ACCOUNT):
        with postgres_ledger.transaction() as books:
            books.control.engage(account, event)
    for _ in range(2):
        with postgres_ledger.transaction() as books:
            books.audit.extend()
    with psycopg.connect(database_url, row_factory=psycopg.rows.dict_row, options="-c timezone=UTC") as connection:
        links = connection.execute(
            "SELECT event.event_id, event.account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail,"
            " token_id, key_id, chain_sequence, previous_hash, hash"
            " FROM trading.control_chain JOIN trading.control_event AS event USING (event_id)"
            " ORDER BY event.account, chain_sequence"
        ).fetchall()
    heads: dict[str, tuple[int, str]] = {}
    for link in links:
        length, previous = heads.get(link["account"], (0, ""))
        stored = (link.pop("chain_sequence"), link.pop("previous_hash"), link.pop("hash"))
        assert stored == (length + 1, previous, chain_hash(previous, control_facts(link)))
        heads[link["account"]] = (stored[0], stored[2])
    assert {account: length for account, (length, _) in heads.items()} == {ACCOUNT: 3, "*": 1}


def test_two_ingesters_of_one_range_end_with_one_set(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """Overlapping windows written at once neither deadlock nor double a candle."""
    start = threading.Barrier(2)

    def ingest(offset: int) -> int:
        ledger = PostgresLedger(database_url)
        inserted = 0
        start.wait(timeout=30)
        for _ in range(5):
            with ledger.transaction() as books:
                series = candles(NOW + timedelta(minutes=offset), 500, seed=offset)
                inserted += books.candles.upsert("BTC/USDT", "1m", series, at=NOW, run=RUN).inserted
        ledger.close()
        return inserted

    with ThreadPoolExecutor(2) as pool:
        inserted = sum(pool.map(ingest, (0, 250)))
    with postgres_ledger.transaction() as books:
        assert inserted == books.candles.count() == 750
