"""The ledger in PostgreSQL: one connection, opened when it is first needed; for one thread."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Final, cast

import psycopg
from psycopg.pq import TransactionStatus

from trading.adapters.postgres.accounts import PostgresAccounts
from trading.adapters.postgres.alerts import PostgresAlerts
from trading.adapters.postgres.audit import PostgresAudit
from trading.adapters.postgres.candles import PostgresCandles
from trading.adapters.postgres.conformances import PostgresConformances
from trading.adapters.postgres.connection import Connection, Session, address, commit_unknown, connect, translated
from trading.adapters.postgres.control import PostgresControl
from trading.adapters.postgres.decisions import PostgresDecisions
from trading.adapters.postgres.entries import PostgresEntries
from trading.adapters.postgres.fills import PostgresFills
from trading.adapters.postgres.halt_signals import unverified_halts
from trading.adapters.postgres.instruments import PostgresInstruments
from trading.adapters.postgres.orders import PostgresOrders
from trading.adapters.postgres.password import working_url
from trading.adapters.postgres.reconciliations import PostgresReconciliations
from trading.adapters.postgres.replays import PostgresReplays
from trading.adapters.postgres.risk import PostgresRisk, traffic_facts
from trading.adapters.postgres.runs import PostgresRuns
from trading.domain.traffic import TrafficQuestion
from trading.errors import DatabaseUnavailable, InvariantViolation

#: What the flows act as, where migrations could create it: it cannot rewrite what is append-only (sql/roles.sql).
FLOWS_ROLE: Final = "trading_app"
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
        self.audit = PostgresAudit(session)
        self.reconciliations = PostgresReconciliations(session)
        self.risk = PostgresRisk(session)
        self.conformances = PostgresConformances(session)
        self.replays = PostgresReplays(session)
        self.runs = PostgresRuns(session)
        self.alerts = PostgresAlerts(session)

    def read_ahead(self, client_order_id: str, question: TrafficQuestion) -> None:
        """Lock the account and ask for all that its sender reads, in one round trip; each reads behind the lock."""
        of_account = {"account": question.account}
        self._session.ahead(
            [
                ("lock_account", of_account),
                ("get_order", {"client_order_id": client_order_id}),
                ("sent_orders", of_account),
                ("position_folds", of_account),
                ("balances", of_account),
                ("open_halts", of_account),
                ("open_discrepancies", of_account),
            ],
            [
                ("get_lease", of_account),
                ("database_time", None),
                ("latch_triggers", None),
                ("traffic", traffic_facts(question)),
                ("risk_standing", of_account),
                ("newest_clean", {**of_account, "full_history": False}),
            ],
        )

    def now(self) -> datetime:
        """The database's clock, which leases and overrides are judged by."""
        row = self._session.one("database_time")
        if row is None:
            raise InvariantViolation("expected the database to tell the time, it said nothing")
        return cast("datetime", row["now"])


class PostgresLedger:
    """Ledger. `code_version` is kept with each order event; `role` is what it acts as in the database.

    `url` may be a callable, asked at each connection: for the URL, or for two of them while its password is changed.
    """

    def __init__(
        self,
        url: str | Callable[[], Sequence[str]],
        *,
        code_version: str = "",
        fence_wait_s: float = FENCE_WAIT_S,
        role: str = FLOWS_ROLE,
    ) -> None:
        self._urls = (lambda: (url,)) if isinstance(url, str) else url
        self._address = address(self._urls()[0])
        self._code_version = code_version
        self._fence_wait_s = fence_wait_s
        self._role = role
        self._connection: Connection | None = None
        self._senders: Counter[str] = Counter()
        self._drainers: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"PostgresLedger({self._address})"

    @property
    def _url(self) -> str:
        return working_url(self._urls())

    @contextmanager
    def transaction(self) -> Iterator[PostgresBooks]:
        """One transaction; commits at the end of the block, rolls back where it raises.

        Raises DatabaseError where it cannot be stored, ConfigurationError where the database was never reached, and
        InvariantViolation for what it refuses.
        """
        with self._session("one transaction at a time, got one inside another") as session:
            yield PostgresBooks(session)

    @contextmanager
    def sending(self, account: str) -> Iterator[None]:
        """Hold the account's sending fence; re-entrant. Raises DatabaseError where somebody drains it for too long."""
        if self._drainers[account]:
            raise InvariantViolation(f"account {account!r}: a sender entered while the fence was being drained")
        with self._fenced(account, self._senders, "fence_shared"):
            yield

    @contextmanager
    def draining(self, account: str) -> Iterator[None]:
        """Hold the fence exclusively; re-entrant. Raises DatabaseError where a sender does not leave in time."""
        if self._senders[account]:
            raise InvariantViolation(
                f"account {account!r}: expected no sender past the fence, got {self._senders[account]}"
            )
        with self._fenced(account, self._drainers, "fence_exclusive"):
            yield

    def unverified_halts(self, account: str) -> AsyncIterator[tuple[int, ...]]:
        """Halts whose effect nobody has seen yet, as soon as there are some, for ever; over a connection of its own."""
        return unverified_halts(self._url, account)

    def close(self) -> None:
        """Give up the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _fenced(self, account: str, holders: Counter[str], query: str) -> Iterator[None]:
        key = {"key": _fence_key(account)}
        # The bound on the wait ends with the transaction; the fence itself is the connection's.
        with self._session("a fence to be taken before the transaction, got one inside") as session:
            session.run(query, {**key, "timeout": f"{self._fence_wait_s * 1000:.0f}ms"})
        holders[account] += 1
        try:
            yield
        finally:
            holders[account] -= 1
            try:
                session.run(f"leave_{query}", key)
            except DatabaseUnavailable:
                if not session.connection.closed:  # a lost connection has lost its fences already
                    raise

    @contextmanager
    def _session(self, expected: str) -> Iterator[Session]:
        """One transaction. Raises InvariantViolation where another is under way, DatabaseError where it is not stored.

        A connection that broke while it was idle is replaced before the block begins, which costs nothing while all
        is well: the BEGIN finds out.
        """
        committing = False
        try:
            with ExitStack() as stack:
                connection = self._idle(expected)
                try:
                    stack.enter_context(connection.transaction())
                except psycopg.Error:
                    if not connection.closed:
                        raise
                    connection = self._idle(expected)
                    stack.enter_context(connection.transaction())
                yield Session(connection, self._address, code_version=self._code_version)
                self._require_intact(connection)
                committing = True
        except psycopg.Error as error:
            if committing and connection.closed:
                raise commit_unknown(self._address) from error
            raise translated(error, self._address) from error

    def _require_intact(self, connection: Connection) -> None:
        """Raise where a COMMIT would store nothing, of which the driver says nothing."""
        if connection.closed:
            raise DatabaseUnavailable(f"the connection to {self._address} was lost: nothing was stored")
        status = connection.info.transaction_status
        if status is not TransactionStatus.INTRANS:
            raise InvariantViolation(
                f"the ledger in {self._address} refused a statement and the block went on: expected a transaction to"
                f" commit, it is {status.name}; nothing of it was stored"
            )

    def _idle(self, expected: str) -> Connection:
        """The connection, outside of any transaction. Raises InvariantViolation where one is under way."""
        connection = self._open()
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            raise InvariantViolation(f"expected {expected}")
        return connection

    def _open(self) -> Connection:
        """The connection; a new one where the old was lost, unless that one held a fence."""
        if self._connection is None:
            self._connection = connect(self._url, role=self._role)
        elif self._connection.closed:
            if self._senders.total() or self._drainers.total():
                raise DatabaseUnavailable(
                    f"the connection to {self._address} was lost, and with it the sending fence: nothing may be sent"
                )
            self._connection = connect(self._url, known=True, role=self._role)
        return self._connection


def _fence_key(account: str) -> int:
    """The advisory lock's number: 64 bits of a hash of the account's name."""
    digest = hashlib.sha256(f"trading:fence:{account}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
