"""Orders and fills as the book has them: rows in, rows out."""

import sqlite3
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from typing import Any, Final, TypeVar

from trading.domain.money import EXACT, plain
from trading.domain.order import Side

Row = TypeVar("Row", "OrderRow", "FillRow")
OPEN_STATUSES: Final = ("NEW", "PARTIALLY_FILLED")


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRow:
    """One order as the book has it; the wire's own words for status, type and side."""

    order_id: int
    account: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    price: Decimal
    lock_price: Decimal
    orig_qty: Decimal
    orig_quote_qty: Decimal
    executed_qty: Decimal
    cumulative_quote: Decimal
    status: str
    time_ms: int
    updated_at_ms: int
    next_candle_ms: int

    @property
    def remaining(self) -> Decimal:
        """What is not executed."""
        return self.orig_qty - self.executed_qty

    @property
    def is_open(self) -> bool:
        """Whether it still rests."""
        return self.status in OPEN_STATUSES

    @property
    def domain_side(self) -> Side:
        """The side in the project's own words."""
        return Side(self.side.lower())

    def locked(self, quantity: Decimal) -> Decimal:
        """What `quantity` of this order keeps locked: quote for a buy, base for a sell."""
        with localcontext(EXACT):
            return quantity * self.lock_price if self.side == "BUY" else quantity


@dataclass(frozen=True, kw_only=True, slots=True)
class FillRow:
    """One fill as the book has it."""

    trade_id: int
    order_id: int
    account: str
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    commission: Decimal
    commission_asset: str
    is_maker: int
    time_ms: int
    candle_open_ms: int


_DECIMALS: Final = {cls: {field.name for field in fields(cls) if field.type is Decimal} for cls in (OrderRow, FillRow)}


def decode(cls: type[Row], row: sqlite3.Row) -> Row:
    """The value that a row of the file stands for."""
    decimals = _DECIMALS[cls]
    values: dict[str, Any] = {name: Decimal(row[name]) if name in decimals else row[name] for name in row.keys()}  # noqa: SIM118
    return cls(**values)


def encode(row: OrderRow | FillRow) -> dict[str, Any]:
    """What is written into the file: amounts as text."""
    values = ((field.name, getattr(row, field.name)) for field in fields(row))
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in values}
