"""What the ledger has committed, read around every port and every fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Protocol

from tests.examples import ACCOUNT
from trading.adapters.memory.ledger import MemoryLedger
from trading.adapters.memory.orders import ChainLink
from trading.domain.kill_switch import ControlKind
from trading.domain.ledger import Fill
from trading.domain.money import ZERO
from trading.domain.order import OrderIntent


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlFact:
    """A halt that was engaged (`halt_id` is its own), or released."""

    kind: ControlKind
    halt_id: int
    author: str
    at: datetime


class LedgerTruth(Protocol):
    """Committed rows, in the order in which they were committed; `known` are how many the reader has seen."""

    def in_transaction(self) -> bool: ...

    def links(self, known: int) -> Sequence[ChainLink]: ...

    def fills(self, known: int) -> Sequence[Fill]: ...

    def controls(self, known: int) -> Sequence[ControlFact]: ...

    def intent(self, client_order_id: str) -> OrderIntent: ...

    def epoch(self) -> int: ...

    def totals(self) -> dict[str, Decimal]: ...

    def positions(self) -> dict[str, Decimal]: ...


class MemoryTruth:
    """LedgerTruth of a ledger in memory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._journal = ledger._journal
        self._books = ledger._books

    def in_transaction(self) -> bool:
        """Whether rows are there that nobody has committed."""
        return self._journal._active

    def links(self, known: int) -> Sequence[ChainLink]:
        chain = self._books.orders._chains[ACCOUNT]
        return chain[known:] if len(chain) > known else ()

    def fills(self, known: int) -> Sequence[Fill]:
        fills = self._books.fills._fills
        return list(islice(fills.values(), known, None)) if len(fills) > known else ()

    def controls(self, known: int) -> Sequence[ControlFact]:
        log = self._books.control._log
        return (
            []
            if len(log) == known
            else [
                ControlFact(kind=event.kind, halt_id=event.halt_id or 0, author=event.author, at=event.at)
                for _, event in log[known:]
            ]
        )

    def intent(self, client_order_id: str) -> OrderIntent:
        return self._books.orders._orders[client_order_id].intent

    def epoch(self) -> int:
        return self._books.accounts._accounts[ACCOUNT].epoch

    def totals(self) -> dict[str, Decimal]:
        totals: dict[str, Decimal] = {}
        for (_, currency), amount in self._read_balances().items():
            totals[currency] = totals.get(currency, ZERO) + amount
        return {currency: total for currency, total in totals.items() if total}

    def positions(self) -> dict[str, Decimal]:
        """What all strategies hold, by instrument."""
        with self._ledger.transaction() as books:
            return summed_positions(books.fills.positions(ACCOUNT))

    def _read_balances(self) -> dict[tuple[str, str], Decimal]:
        return self._books.entries.balances(ACCOUNT)


def summed_positions(positions: "dict[tuple[str, str], object]") -> dict[str, Decimal]:
    """Quantities by instrument."""
    held: dict[str, Decimal] = {}
    for (_, symbol), position in positions.items():
        held[symbol] = held.get(symbol, ZERO) + position.quantity  # type: ignore[attr-defined]
    return held
