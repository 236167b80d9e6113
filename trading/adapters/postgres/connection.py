"""The way to PostgreSQL: one connection, named queries, and the driver's errors in our words."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from trading.adapters.postgres.queries import QUERIES
from trading.errors import ConfigurationError, InvariantViolation, TradingError

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.Connection[Row]

CONNECT_TIMEOUT_S: Final = 10
#: Bounds on everything: a process that was stopped must not hold an account's lock for ever, nor wait for one.
_OPTIONS: Final = (
    "-c timezone=UTC -c lock_timeout=30s -c statement_timeout=300s -c idle_in_transaction_session_timeout=60s"
)
_OLD_SCHEMA: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.InvalidSchemaName,
)


def connect(url: str) -> Connection:
    """An autocommitting connection in UTC. Raises ConfigurationError naming the address, never the password."""
    connection = connect_plain(url)
    connection.autocommit = True
    connection.row_factory = dict_row
    return connection


def connect_plain(url: str) -> psycopg.Connection[Any]:
    """The same without autocommit and with rows as tuples, as other libraries expect it."""
    try:
        given = conninfo_to_dict(url).get("options") or ""
        return psycopg.connect(
            url,
            options=f"{given} {_OPTIONS}".strip(),
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="trading",
        )
    except psycopg.Error as error:
        raise ConfigurationError(
            f"cannot connect to the database {address(url)}: {_reason(error, url)}; is it running, and is"
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
    if isinstance(error, _OLD_SCHEMA):
        return ConfigurationError(f"the ledger in {where} has another schema ({said}): run `trading db migrate`")
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigurationError(f"the ledger in {where} refused its user: {said}")
    if isinstance(error, psycopg.IntegrityError | psycopg.DataError | errors.CardinalityViolation):
        return InvariantViolation(f"the ledger in {where} refused a write: {said}")
    if isinstance(error, errors.LockNotAvailable):
        return TradingError(f"the ledger in {where}: somebody else holds a lock for too long: {said}")
    return TradingError(f"the ledger in {where} failed: {type(error).__name__}: {said}")


class Session:
    """Named queries over one connection, and what this transaction already holds."""

    def __init__(self, connection: Connection, where: str, *, code_version: str = "") -> None:
        self.connection = connection
        self.code_version = code_version
        self._where = where
        #: Account → (length, head) of its audit chain; an account is in it while this transaction holds its lock.
        self.chains: dict[str, tuple[int, str]] = {}

    def all(self, query: str, parameters: Mapping[str, object] | None = None, *, binary: bool = False) -> list[Row]:
        """Every row that the query answers with."""
        return self._cursor(query, parameters, binary=binary).fetchall()

    def one(self, query: str, parameters: Mapping[str, object] | None = None) -> Row | None:
        """Its first row, or None."""
        return self._cursor(query, parameters).fetchone()

    def run(self, query: str, parameters: Mapping[str, object] | None = None) -> int:
        """For its effect; the number of rows that it touched."""
        return self._cursor(query, parameters).rowcount

    def _cursor(
        self, query: str, parameters: Mapping[str, object] | None, *, binary: bool = False
    ) -> psycopg.Cursor[Row]:
        try:
            return self.connection.execute(QUERIES[query], parameters, binary=binary)
        except psycopg.Error as error:
            raise translated(error, self._where) from error
