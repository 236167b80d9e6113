"""The paper exchange's own book: one SQLite file, whose schema is `schema.sql`. Amounts are decimal text."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal, localcontext
from importlib import resources
from pathlib import Path
from typing import Any, Final

from trading.domain.matching import Execution
from trading.domain.money import EXACT, ZERO, plain
from trading.errors import InvariantViolation
from trading.paper.rows import FillRow, OrderRow, decode, encode

_IS_OPEN: Final = "status IN ('NEW', 'PARTIALLY_FILLED')"  # the words of the schema's partial index

#: Ids start at incarnation * this, so that no id ever comes back when a replay starts over.
IDS_PER_INCARNATION: Final = 1_000_000_000


class Book:
    """Reads and writes of the file; every write belongs inside `transaction`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(resources.files("trading.paper").joinpath("schema.sql").read_text(encoding="utf-8"))

    def close(self) -> None:
        """Write the log back into the file and let go of it."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing, and at the end safe from a power cut, or (not `durable`) from a kill only."""
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All or nothing within a transaction that goes on."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO part")
            self._db.execute("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    def meta(self, key: str) -> str | None:
        """A remembered value."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row["value"])

    def set_meta(self, key: str, value: str) -> None:
        """Remember a value."""
        self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def start_ids(self, incarnation: int) -> None:
        """Let order and trade ids of a new book begin where no earlier incarnation's can be."""
        first = incarnation * IDS_PER_INCARNATION
        self._db.executemany(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [("orders", first), ("fills", first)]
        )

    def open_account(self, name: str, balances: dict[str, Decimal], time_ms: int) -> None:
        """Create an account with its deposits; one that exists keeps what it has."""
        created = self._db.execute(
            "INSERT OR IGNORE INTO accounts (name, created_at_ms) VALUES (?, ?)", (name, time_ms)
        ).rowcount
        for asset, value in balances.items() if created else ():
            self._db.execute("INSERT INTO deposits VALUES (?, ?, ?, ?)", (name, asset, plain(value), time_ms))
            self.change_balance(name, asset, free=value)

    def balances(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        """(free, locked) of each asset."""
        rows = self._db.execute("SELECT asset, free, locked FROM balances WHERE account = ? ORDER BY asset", (account,))
        return {row["asset"]: (Decimal(row["free"]), Decimal(row["locked"])) for row in rows}

    def free(self, account: str, asset: str) -> Decimal:
        """What an account may spend."""
        return self._balance(account, asset)[0]

    def change_balance(self, account: str, asset: str, *, free: Decimal = ZERO, locked: Decimal = ZERO) -> None:
        """Add to a balance. Raises InvariantViolation where it would fall below zero."""
        before_free, before_locked = self._balance(account, asset)
        with localcontext(EXACT):
            after_free, after_locked = before_free + free, before_locked + locked
        if after_free < 0 or after_locked < 0:
            raise InvariantViolation(
                f"{asset} of {account}: expected >= 0, got {after_free} free, {after_locked} locked"
            )
        self._db.execute(
            "INSERT OR REPLACE INTO balances (account, asset, free, locked) VALUES (?, ?, ?, ?)",
            (account, asset, plain(after_free), plain(after_locked)),
        )

    def _balance(self, account: str, asset: str) -> tuple[Decimal, Decimal]:
        row = self._db.execute(
            "SELECT free, locked FROM balances WHERE account = ? AND asset = ?", (account, asset)
        ).fetchone()
        return (ZERO, ZERO) if row is None else (Decimal(row["free"]), Decimal(row["locked"]))

    def insert_order(self, order: OrderRow) -> int:
        """Store a new order; its id is given by the book, whatever the row says."""
        return self._insert("orders", encode(order), "order_id")

    def update_order(self, order: OrderRow) -> None:
        """Store what changed of an order."""
        values = encode(order)
        self._db.execute(
            "UPDATE orders SET executed_qty = :executed_qty, cumulative_quote = :cumulative_quote, status = :status,"
            " updated_at_ms = :updated_at_ms, next_candle_ms = :next_candle_ms WHERE order_id = :order_id",
            values,
        )

    def order(self, account: str, symbol: str, order_id: int) -> OrderRow | None:
        """An order by the venue's id."""
        return self._one_order("account = ? AND symbol = ? AND order_id = ?", account, symbol, order_id)

    def order_by_client_id(self, account: str, symbol: str, client_order_id: str) -> OrderRow | None:
        """The newest order of a client's id, which may have been used before."""
        return self._one_order("account = ? AND client_order_id = ? AND symbol = ?", account, client_order_id, symbol)

    def orders(
        self,
        account: str,
        symbol: str,
        *,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = -1,
    ) -> list[OrderRow]:
        """Orders in any state, oldest first: the first ones from an id or a start, without either the newest."""
        where = {
            "account = ?": account,
            "symbol = ?": symbol,
            "order_id >= ?": from_id,
            "time_ms >= ?": start_ms,
            "time_ms <= ?": end_ms,
        }
        oldest_first = from_id is not None or start_ms is not None
        rows = self._page("orders", "order_id", where, limit, oldest_first=oldest_first)
        return [decode(OrderRow, row) for row in rows]

    def open_orders(self, account: str | None = None, symbol: str | None = None) -> list[OrderRow]:
        """Orders that rest, in the order of their arrival; of everybody, one account, one instrument."""
        return self._orders(
            f"{_IS_OPEN} AND account = coalesce(?, account) AND symbol = coalesce(?, symbol)",
            account,
            symbol,
        )

    def open_count(self, account: str, symbol: str) -> int:
        """How many orders of an account rest on an instrument."""
        sql = f"SELECT count(*) AS open FROM orders WHERE {_IS_OPEN} AND account = ? AND symbol = ?"  # noqa: S608
        return int(self._db.execute(sql, (account, symbol)).fetchone()["open"])

    def has_open_client_id(self, account: str, symbol: str, client_order_id: str) -> bool:
        """Whether an open order has this client's id."""
        sql = f"SELECT 1 FROM orders WHERE {_IS_OPEN} AND account = ? AND symbol = ? AND client_order_id = ?"  # noqa: S608
        return self._db.execute(sql, (account, symbol, client_order_id)).fetchone() is not None

    def _one_order(self, where: str, *values: Any) -> OrderRow | None:
        found = self._orders(where, *values)
        return found[-1] if found else None

    def _orders(self, where: str, *values: Any) -> list[OrderRow]:
        rows = self._db.execute(f"SELECT * FROM orders WHERE {where} ORDER BY order_id", values)  # noqa: S608
        return [decode(OrderRow, row) for row in rows]

    def insert_fill(self, order: OrderRow, execution: Execution, time_ms: int, candle_open_ms: int) -> FillRow:
        """Store what an execution was; the balances are the caller's business."""
        row = FillRow(
            trade_id=0,
            order_id=order.order_id,
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            price=execution.price,
            qty=execution.quantity,
            quote_qty=execution.notional,
            commission=execution.fee,
            commission_asset=execution.fee_currency,
            is_maker=int(execution.maker),
            time_ms=time_ms,
            candle_open_ms=candle_open_ms,
        )
        trade_id = self._insert("fills", encode(row), "trade_id")
        return replace(row, trade_id=trade_id)

    def fills(
        self,
        account: str,
        symbol: str,
        *,
        order_id: int | None = None,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = -1,
    ) -> list[FillRow]:
        """Fills, oldest first: the first ones from an id or a start, without either the newest."""
        where = {
            "account = ?": account,
            "symbol = ?": symbol,
            "order_id = ?": order_id,
            "trade_id >= ?": from_id,
            "time_ms >= ?": start_ms,
            "time_ms <= ?": end_ms,
        }
        oldest_first = from_id is not None or start_ms is not None
        rows = self._page("fills", "trade_id", where, limit, oldest_first=oldest_first)
        return [decode(FillRow, row) for row in rows]

    def _page(
        self, table: str, key: str, where: dict[str, Any], limit: int, *, oldest_first: bool
    ) -> list[sqlite3.Row]:
        """Rows that meet those conditions that have a value, oldest first, at most `limit` (-1: all)."""
        given = {condition: value for condition, value in where.items() if value is not None}
        sql = (
            f"SELECT * FROM {table} WHERE {' AND '.join(given)}"  # noqa: S608
            f" ORDER BY {key} {'ASC' if oldest_first else 'DESC'} LIMIT ?"
        )
        rows = self._db.execute(sql, (*given.values(), limit)).fetchall()
        return rows if oldest_first else rows[::-1]

    def taken(self, symbol: str, candle_open_ms: int) -> Decimal:
        """What takers had of a candle, of all accounts."""
        rows = self._db.execute(
            "SELECT qty FROM fills WHERE symbol = ? AND candle_open_ms = ? AND is_maker = 0", (symbol, candle_open_ms)
        )
        return sum((Decimal(row["qty"]) for row in rows), ZERO)

    def log_request(self, entry: dict[str, Any]) -> None:
        """One line of the request log."""
        self._insert("request_log", entry, "id")

    def _insert(self, table: str, values: dict[str, Any], key: str) -> int:
        columns = [name for name in values if name != key]
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"  # noqa: S608
        identity = self._db.execute(sql, values).lastrowid
        if identity is None:
            raise InvariantViolation(f"expected an id for the new row of {table}, got none")
        return identity
