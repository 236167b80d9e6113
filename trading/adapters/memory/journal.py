"""Transactions over plain dicts and lists: an undo log, so that one costs microseconds however much is stored."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from trading.errors import InvariantViolation

K = TypeVar("K")
V = TypeVar("V")


class Journal:
    """Every write goes through here, and is remembered until the transaction ends."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._active = False
        self._locked: set[str] = set()

    def begin(self) -> None:
        """Start a transaction. Raises InvariantViolation inside another one."""
        if self._active:
            raise InvariantViolation("expected one transaction at a time, got one inside another")
        self._active = True

    def commit(self) -> None:
        """Keep what was written."""
        self._end()

    def rollback(self) -> None:
        """Take back what was written, newest first."""
        while self._undo:
            self._undo.pop()()
        self._end()

    def _end(self) -> None:
        self._undo.clear()
        self._locked.clear()
        self._active = False

    def require_active(self) -> None:
        """Raise InvariantViolation outside a transaction."""
        if not self._active:
            raise InvariantViolation("expected the books to be used inside `with ledger.transaction()`, it has ended")

    def lock(self, account: str) -> None:
        """Hold the account until the transaction ends."""
        self.require_active()
        self._locked.add(account)

    def holds(self, account: str) -> bool:
        """Whether this transaction holds the account."""
        return account in self._locked

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """`table[key] = value`."""
        self.require_active()
        if key in table:
            self._undo.append(partial(table.__setitem__, key, table[key]))
        else:
            self._undo.append(partial(table.pop, key))
        table[key] = value

    def remove(self, table: dict[K, V], key: K) -> None:
        """Forget `key`, whose place in the table's order is not kept by a rollback."""
        self.require_active()
        if key in table:
            self._undo.append(partial(table.__setitem__, key, table.pop(key)))

    def insert(self, rows: list[V], index: int, value: V) -> None:
        """`rows.insert(index, value)`."""
        self.require_active()
        self._undo.append(partial(rows.pop, index))
        rows.insert(index, value)

    def append(self, rows: list[V], value: V) -> None:
        """`rows.append(value)`."""
        self.require_active()
        self._undo.append(rows.pop)
        rows.append(value)
