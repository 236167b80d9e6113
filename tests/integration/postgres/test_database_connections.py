"""Coming to the database, losing it and coming back; and what each of its errors is called here."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from failing_database import Relay
from postgres_scenes import ACCOUNT, NOW, RUN, intent, open_account, walk
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trading.adapters.postgres import connection as way
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.retries import stamina
from trading.domain.order import OrderState
from trading.errors import (
    CommitUnknown,
    ConfigurationError,
    DatabaseUnavailable,
    DatabaseUnwritable,
    InvariantViolation,
    TradingError,
)

Retries = Callable[[Callable[[], None]], list[str]]


@pytest.fixture
def at_the_first_retry() -> Iterator[Retries]:
    """Do something when an attempt has failed and another is to follow; what the attempts failed with."""
    hooks = stamina().instrumentation
    before = hooks.get_on_retry_hooks()
    failures: list[str] = []

    def arrange(act: Callable[[], None]) -> list[str]:
        def hook(details: Any) -> None:
            failures.append(str(details.caused_by))
            if len(failures) == 1:
                act()

        hooks.set_on_retry_hooks([hook])
        return failures

    yield arrange
    hooks.set_on_retry_hooks(before)


@pytest.fixture
def relay(database_url: str) -> Iterator[Relay]:
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        relay = Relay(Path(folder), database_url)
        yield relay
        relay.close()


@pytest.fixture
def ledger(relay: Relay) -> Iterator[PostgresLedger]:
    """An account in a ledger behind the relay."""
    ledger = PostgresLedger(relay.url)
    open_account(ledger)
    yield ledger
    ledger.close()


def time(ledger: PostgresLedger) -> None:
    with ledger.transaction() as books:
        books.now()


@pytest.mark.postgres
def test_a_server_that_went_away_is_waited_for(
    relay: Relay, ledger: PostgresLedger, at_the_first_retry: Retries
) -> None:
    """It was there a moment ago, so it is restarting: the transaction begins when it is back."""
    relay.close()
    failures = at_the_first_retry(relay.open)
    time(ledger)
    assert len(failures) == 1
    assert "is it running" in failures[0]


@pytest.mark.postgres
def test_the_wait_is_bounded(relay: Relay, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stays away ends in an error of ours, and the ledger works again once it is back."""
    monkeypatch.setattr(way, "PATIENCE_S", 0.05)
    relay.close()
    with pytest.raises(DatabaseUnavailable, match="is it running"):
        time(ledger)
    relay.open()
    time(ledger)


@pytest.mark.postgres
def test_a_server_that_was_never_there_is_not_waited_for(relay: Relay, at_the_first_retry: Retries) -> None:
    """Somebody who mistyped an address hears of it at once."""
    relay.close()
    failures = at_the_first_retry(relay.open)
    with pytest.raises(ConfigurationError, match="TRADING_DATABASE_URL"):
        time(PostgresLedger(relay.url))
    assert failures == []


@pytest.fixture
def crowded(postgres_server: str, database_url: str) -> Iterator[str]:
    """An address whose role may connect once at a time."""
    role = f"crowded_{conninfo_to_dict(database_url)['dbname']}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1".encode())
        yield make_conninfo(database_url, user=role)
        connection.execute(f"DROP ROLE {role}".encode())


@pytest.mark.postgres
def test_a_place_among_too_many_clients_is_waited_for(
    crowded: str, at_the_first_retry: Retries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On first contact too, since the server says itself that it is there; bounded as well."""
    other = psycopg.connect(crowded)
    with monkeypatch.context() as impatient:
        impatient.setattr(way, "PATIENCE_S", 0.05)
        with pytest.raises(DatabaseUnavailable, match="too many"):
            time(PostgresLedger(crowded))
    failures = at_the_first_retry(other.close)
    ledger = PostgresLedger(crowded)
    time(ledger)
    ledger.close()
    assert "too many" in failures[0]


@pytest.mark.postgres
@pytest.mark.parametrize("lost", ["commit", "answer"])
def test_a_commit_without_an_answer_is_unknown_and_its_key_knows(
    relay: Relay, ledger: PostgresLedger, lost: str
) -> None:
    """The same error for both, since nobody can tell them apart; what is stored can be read over a new connection."""
    relay.lose(lost)
    with pytest.raises(CommitUnknown, match="may or may not"), ledger.transaction() as books:
        walk(books, intent(), [OrderState.SUBMITTING])
    with ledger.transaction() as books:
        assert (books.orders.get(intent().client_order_id) is not None) == (lost == "answer")


@pytest.mark.postgres
def test_a_block_that_swallows_a_refusal_does_not_commit_in_silence(postgres_ledger: PostgresLedger) -> None:
    """The server answers such a COMMIT with a rollback, and the driver says nothing of it: a sender would go on."""

    def go_on() -> None:
        with postgres_ledger.transaction() as books:
            books.accounts.open(ACCOUNT, venue="binance", mode="replay", at=NOW, run=RUN)
            with pytest.raises(psycopg.Error):
                books._session.connection.execute("SELECT 1 / 0")

    with pytest.raises(InvariantViolation, match="the block went on"):
        go_on()
    with postgres_ledger.transaction() as books:
        assert books.accounts.get(ACCOUNT) is None


@pytest.mark.postgres
def test_a_block_that_swallows_the_loss_of_its_connection_fails(relay: Relay, ledger: PostgresLedger) -> None:
    """The driver ends such a block as if nothing had happened."""

    def go_on() -> None:
        with ledger.transaction() as books:
            relay.cut()
            with pytest.raises(DatabaseUnavailable):
                books.now()

    with pytest.raises(DatabaseUnavailable, match="nothing was stored"):
        go_on()


@pytest.mark.postgres
def test_a_sender_whose_connection_is_lost_may_not_go_on_however_often_it_asks(
    relay: Relay, ledger: PostgresLedger
) -> None:
    """A new connection would hold no fence; leaving the fence ends it."""
    with ledger.sending(ACCOUNT):
        relay.cut()
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable, match="nothing may be sent"), ledger.transaction():
                pass
    time(ledger)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (errors.DiskFull, DatabaseUnwritable),
        (errors.IoError, DatabaseUnwritable),
        (errors.ReadOnlySqlTransaction, DatabaseUnwritable),
        (errors.DeadlockDetected, DatabaseUnavailable),
        (errors.SerializationFailure, DatabaseUnavailable),
        (errors.LockNotAvailable, DatabaseUnavailable),
        (errors.QueryCanceled, DatabaseUnavailable),
        (errors.AdminShutdown, DatabaseUnavailable),
        (errors.CrashShutdown, DatabaseUnavailable),
        (errors.IdleInTransactionSessionTimeout, DatabaseUnavailable),
        (errors.OutOfMemory, DatabaseUnavailable),
        (psycopg.OperationalError, DatabaseUnavailable),
        (errors.UndefinedTable, ConfigurationError),
        (errors.InsufficientPrivilege, ConfigurationError),
        (errors.CheckViolation, InvariantViolation),
        (errors.RaiseException, TradingError),
    ],
)
def test_each_error_of_the_driver_has_one_meaning(error: type[psycopg.Error], ours: type[TradingError]) -> None:
    """Its class says what to do; the message says where, and what the server said, whatever that contains."""
    said = way.translated(error("as {it} stands"), "host/trading")
    assert type(said) is ours
    assert "the ledger in host/trading" in str(said)
    assert "as {it} stands" in str(said)
