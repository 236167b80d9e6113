"""The way to PostgreSQL: one connection, named queries, and the driver's errors in our words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeAlias
from urllib.parse import quote

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from trading.adapters.postgres.queries import QUERIES
from trading.adapters.retries import stamina
from trading.errors import (
    CommitUnknown,
    ConfigurationError,
    DatabaseUnavailable,
    DatabaseUnwritable,
    InvariantViolation,
    TradingError,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.Connection[Row]
Parameters: TypeAlias = Mapping[str, object] | None
Question: TypeAlias = tuple[str, Parameters]

CONNECT_TIMEOUT_S: Final = 10
#: How long a server that is known to be there is waited for: longer than a restart with recovery takes.
PATIENCE_S: Final = 30.0
#: Bounds on everything: a process that was stopped must not hold an account's lock for ever, nor wait for one.
#: A commit is on the disk when it is answered, and transactions see what others committed, whatever the server's
#: own defaults are: what was sent must have been stored, and locks, not retries, keep writers apart.
_OPTIONS: Final = (
    "-c timezone=UTC -c lock_timeout=30s -c statement_timeout=300s -c idle_in_transaction_session_timeout=60s"
    r" -c synchronous_commit=on -c default_transaction_isolation=read\ committed"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
#: The same on our side: whoever vanished without a word is given up after 25 s, not after the system's two hours, with
#: the locks and fences that its session holds.
_KEEPALIVES: Final[dict[str, Any]] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
#: What a living server says when it has no place for us right now. The driver gives no SQLSTATE for a failed attempt,
#: so a server that speaks another language is not recognised, and not waited for on first contact.
_ALIVE: Final = re.compile("starting up|shutting down|recovery mode|not yet accepting|too many|connection slots")

#: What the driver's errors mean, the first that fits; {said} is the server's own sentence.
_MEANINGS: Final[tuple[tuple[tuple[type[psycopg.Error], ...], type[TradingError], str], ...]] = (
    (
        (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName),
        ConfigurationError,
        "has another schema ({said}): run `trading db migrate`",
    ),
    ((errors.InsufficientPrivilege,), ConfigurationError, "refused its user: {said}"),
    (
        (psycopg.IntegrityError, psycopg.DataError, errors.CardinalityViolation),
        InvariantViolation,
        "refused a write: {said}",
    ),
    (
        (errors.DiskFull, errors.IoError),
        DatabaseUnwritable,
        "could not write to its disk, and stored nothing of this transaction: {said}; make room or mend the disk",
    ),
    (
        (errors.ReadOnlySqlTransaction,),
        DatabaseUnwritable,
        "takes no writes: {said}; expected one that does: is it a standby, or is default_transaction_read_only on?",
    ),
    ((errors.LockNotAvailable,), DatabaseUnavailable, "somebody else holds a lock for too long: {said}"),
    (
        (errors.DeadlockDetected, errors.SerializationFailure),
        DatabaseUnavailable,
        "gave this transaction up for another one, and stored nothing of it: {said}; the next run does it again",
    ),
    (
        (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout),
        DatabaseUnavailable,
        "broke a transaction off, and stored nothing of it: {said}; is it running? The next run does it again",
    ),
    ((psycopg.Error,), TradingError, "failed: {said}"),
)


def connect(url: str, *, known: bool = False, role: str = "") -> Connection:
    """An autocommitting connection in UTC, which acts as `role` where this database knows it and its user may.

    A server that is `known` to be there, or that says so itself, is waited for during PATIENCE_S, and then
    DatabaseUnavailable is raised; otherwise ConfigurationError at once. Both name the address, never the password.
    """
    try:
        connection = connect_plain(url, known=known)
    except DatabaseUnavailable:
        connection = _awaited(url)
    connection.autocommit = True
    connection.row_factory = dict_row
    if role:
        try:
            connection.execute(QUERIES["assume_role"], {"role": role})
        except psycopg.Error as error:
            raise translated(error, address(url)) from error
    return connection


def _awaited(url: str) -> psycopg.Connection[Any]:
    """A connection to a server that is there, and has no place for us yet."""
    for attempt in stamina().retry_context(
        on=DatabaseUnavailable, attempts=None, timeout=PATIENCE_S, wait_initial=0.1, wait_max=2.0
    ):
        with attempt:
            return connect_plain(url, known=True)
    raise AssertionError("unreachable: the last attempt returns or raises")


def connect_plain(url: str, *, known: bool = False) -> psycopg.Connection[Any]:
    """The same in one attempt, without autocommit and with rows as tuples, as other libraries expect it."""
    try:
        given = conninfo_to_dict(url).get("options") or ""
        return psycopg.connect(
            url,
            options=f"{given} {_OPTIONS}".strip(),
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="trading",
            **_KEEPALIVES,
        )
    except psycopg.Error as error:
        reason = _reason(error, url)
        away = known or _ALIVE.search(reason)
        raise (DatabaseUnavailable if away else ConfigurationError)(
            f"cannot connect to the database {address(url)}: {reason}; is it running, and is"
            " TRADING_DATABASE_URL right?"
        ) from None  # the driver's own text may quote the URL


def address(url: str) -> str:
    """host:port/database of a URL: what a message may show."""
    parts = _taken_apart(url)
    if parts is None:
        return "(unreadable URL: quote the special characters of its password)"
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"{parts.get('host') or 'local socket'}{port}/{parts.get('dbname') or ''}"


def _taken_apart(url: str) -> dict[str, str] | None:
    """The URL's parts; None where a password's unquoted @, / or : may have ended up in another part."""
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        return None
    shown = (parts.get("host", ""), parts.get("dbname", ""), parts.get("user", ""))
    astray = any("@" in part for part in shown) or not parts.get("port", "0").replace(",", "").isdigit()
    return None if astray or url.count("@") > 1 else parts


def _reason(error: psycopg.Error, url: str) -> str:
    """What the driver said, unless the password may be in it."""
    parts = _taken_apart(url)
    said = " ".join(str(error).split())
    if parts is None or not said:
        return type(error).__name__
    password = parts.get("password")
    told = password is not None and (password in said or quote(password) in said)
    return type(error).__name__ if told else said


def translated(error: psycopg.Error, where: str) -> TradingError:
    """Our error for the driver's: what the caller must do decides the class."""
    said = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    _, ours, meaning = next(line for line in _MEANINGS if isinstance(error, line[0]))
    return ours(f"the ledger in {where} {meaning.format(said=said)}")


def commit_unknown(where: str) -> CommitUnknown:
    """The connection broke between COMMIT and its answer."""
    return CommitUnknown(
        f"the ledger in {where} did not answer a COMMIT before the connection broke: it may or may not be stored;"
        " the next run reads it again by its key, so look before you do it again by hand"
    )


class Session:
    """Named queries over one connection, and what this transaction already holds."""

    def __init__(self, connection: Connection, where: str, *, code_version: str = "") -> None:
        self.connection = connection
        self.code_version = code_version
        self._where = where
        #: Account → (length, head) of its audit chain; an account is in it while this transaction holds its lock.
        self.chains: dict[str, tuple[int, str]] = {}
        self._ahead: list[tuple[str, Parameters, list[Row]]] = []

    def ahead(self, questions: Sequence[Question], of_one_row: Sequence[Question]) -> None:
        """Ask all of these in one round trip, and those of one row at most in one statement, since each has its price.

        Whoever asks one of them next gets the answer from here; a row then holds its columns, among others. The answers
        are dropped at the first other statement, which may have changed them.
        """
        joined = _joined(tuple(query for query, _ in of_one_row))
        together = {name: value for _, values in of_one_row for name, value in (values or {}).items()}
        *answers, row = self._in_one_trip([*((QUERIES[q], values) for q, values in questions), (joined, together)])
        rows = row.fetchall()
        self._ahead = [(q, values, found.fetchall()) for (q, values), found in zip(questions, answers, strict=True)]
        self._ahead += [(q, values, rows) for q, values in of_one_row]

    def last(self, questions: Sequence[Question]) -> Row | None:
        """All of these in one round trip; the first row of the last one, or None."""
        return self._in_one_trip([(QUERIES[query], values) for query, values in questions])[-1].fetchone()

    def _in_one_trip(self, statements: Sequence[tuple[LiteralString, Parameters]]) -> list[psycopg.Cursor[Row]]:
        self._ahead = []
        try:
            with self.connection.pipeline():
                return [self.connection.execute(statement, values) for statement, values in statements]
        except psycopg.Error as error:
            raise translated(error, self._where) from error

    def all(self, query: str, parameters: Parameters = None, *, binary: bool = False) -> list[Row]:
        """Every row that the query answers with."""
        known = self._known(query, parameters)
        return self._cursor(query, parameters, binary=binary).fetchall() if known is None else known

    def one(self, query: str, parameters: Parameters = None) -> Row | None:
        """Its first row, or None."""
        known = self._known(query, parameters)
        return self._cursor(query, parameters).fetchone() if known is None else next(iter(known), None)

    def run(self, query: str, parameters: Parameters = None) -> int:
        """For its effect; the number of rows that it touched."""
        return self._cursor(query, parameters).rowcount

    def copy(self, query: str, rows: bytes) -> None:
        """Write rows, in the driver's format, through a COPY."""
        self._ahead = []
        try:
            with self.connection.cursor() as cursor, cursor.copy(QUERIES[query]) as copying:
                copying.write(rows)
        except psycopg.Error as error:
            raise translated(error, self._where) from error

    def _known(self, query: str, parameters: Parameters) -> list[Row] | None:
        """What was read ahead, once; None where it was not."""
        for number, (asked, values, rows) in enumerate(self._ahead):
            if asked == query and values == parameters:
                del self._ahead[number]
                return rows
        return None

    def _cursor(self, query: str, parameters: Parameters, *, binary: bool = False) -> psycopg.Cursor[Row]:
        self._ahead = []
        try:
            return self.connection.execute(QUERIES[query], parameters, binary=binary)
        except psycopg.Error as error:
            raise translated(error, self._where) from error


@cache
def _joined(queries: tuple[str, ...]) -> LiteralString:
    """One statement for queries of one row at most each."""
    parts = [f"LEFT JOIN ({QUERIES[query].rstrip(';')}) AS {query} ON true" for query in queries]
    return " ".join(["SELECT * FROM (SELECT) AS nothing", *parts])


def values_of(record: "DataclassInstance") -> dict[str, Any]:
    """Its fields as they are; `asdict` would copy each of them, at the cost of a round trip."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
