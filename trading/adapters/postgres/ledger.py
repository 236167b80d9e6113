"""The ledger in PostgreSQL: one connection, opened when it is first needed; for one thread."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, cast

import psycopg
from psycopg.pq import TransactionStatus

from trading.adapters.postgres.accounts import PostgresAccounts
from trading.adapters.postgres.candles import PostgresCandles
from trading.adapters.postgres.connection import Connection, Session, address, connect, translated
from trading.adapters.postgres.control import PostgresControl
from trading.adapters.postgres.decisions import PostgresDecisions
from trading.adapters.postgres.entries import PostgresEntries
from trading.adapters.postgres.fills import PostgresFills
from trading.adapters.postgres.instruments import PostgresInstruments
from trading.adapters.postgres.orders import PostgresOrders
from trading.adapters.postgres.reconciliations import PostgresReconciliations
from trading.adapters.postgres.runs import PostgresRuns
from trading.errors import InvariantViolation, TradingError

#: Longer than a sender may need for its POST, so that whoever waits for longer knows that something is wrong.
FENCE_WAIT_S: Final = 30.0


class PostgresBooks:
    """Books: every store over one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.instruments = PostgresInstruments(session)
        self.candles = PostgresCandles(session)
        self.decisions = PostgresDecisions(session)
        self.accounts = PostgresAccounts(session)
        self.orders = PostgresOrders(session, self.accounts)
        self.entries = PostgresEntries(session)
        self.fills = PostgresFills(session, self.entries, self.instruments)
        self.control = PostgresControl(session)
        self.reconciliations = PostgresReconciliations(session)
        self.runs = PostgresRuns(session)

    def now(self) -> datetime:
        """The database's clock, which leases and overrides are judged by."""
        row = self._session.one("database_time")
        if row is None:
            raise InvariantViolation("expected the database to tell the time, it said nothing")
        return cast("datetime", row["now"])


class PostgresLedger:
    """Ledger. `code_version` is kept with each order event."""

    def __init__(self, url: str, *, code_version: str = "", fence_wait_s: float = FENCE_WAIT_S) -> None:
        self._url = url
        self._address = address(url)
        self._code_version = code_version
        self._fence_wait_s = fence_wait_s
        self._connection: Connection | None = None
        self._senders: Counter[str] = Counter()
        self._drainers: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"PostgresLedger({self._address})"

    @contextmanager
    def transaction(self) -> Iterator[PostgresBooks]:
        """One transaction; commits at the end of the block, rolls back where it raises.

        Raises ConfigurationError where the database cannot be reached, InvariantViolation for what it refuses.
        """
        connection = self._idle("one transaction at a time, got one inside another")
        try:
            with connection.transaction():
                yield PostgresBooks(Session(connection, self._address, code_version=self._code_version))
        except psycopg.Error as error:
            raise translated(error, self._address) from error

    @contextmanager
    def sending(self, account: str) -> Iterator[None]:
        """Hold the account's sending fence; re-entrant. Raises TradingError where somebody drains it for too long."""
        if self._drainers[account]:
            raise InvariantViolation(f"account {account!r}: a sender entered while the fence was being drained")
        with self._fenced(account, self._senders, "fence_shared"):
            yield

    @contextmanager
    def draining(self, account: str) -> Iterator[None]:
        """Hold the fence exclusively; re-entrant. Raises TradingError where a sender does not leave in time."""
        if self._senders[account]:
            raise InvariantViolation(
                f"account {account!r}: expected no sender past the fence, got {self._senders[account]}"
            )
        with self._fenced(account, self._drainers, "fence_exclusive"):
            yield

    def close(self) -> None:
        """Give up the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _fenced(self, account: str, holders: Counter[str], query: str) -> Iterator[None]:
        key = {"key": _fence_key(account)}
        session = Session(self._idle("a fence to be taken before the transaction, got one inside"), self._address)
        try:
            with session.connection.transaction():  # which bounds the wait; the fence itself is the session's
                session.run("bound_fence_wait", {"timeout": f"{self._fence_wait_s * 1000:.0f}ms"})
                session.run(query, key)
        except psycopg.Error as error:
            raise translated(error, self._address) from error
        holders[account] += 1
        try:
            yield
        finally:
            holders[account] -= 1
            if not session.connection.closed:  # a lost session has lost its fences already
                session.run(f"leave_{query}", key)

    def _idle(self, expected: str) -> Connection:
        """The connection, outside of any transaction. Raises InvariantViolation where one is under way."""
        connection = self._open()
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            raise InvariantViolation(f"expected {expected}")
        return connection

    def _open(self) -> Connection:
        """The connection; a new one where the old was lost, unless that one held a fence."""
        if self._connection is not None and self._connection.closed:
            self._connection = None
            if self._senders.total() or self._drainers.total():
                raise TradingError(
                    f"the connection to {self._address} was lost, and with it the sending fence: nothing may be sent"
                )
        if self._connection is None:
            self._connection = connect(self._url)
        return self._connection


def _fence_key(account: str) -> int:
    """The advisory lock's number: 64 bits of a hash of the account's name."""
    digest = hashlib.sha256(f"trading:fence:{account}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
