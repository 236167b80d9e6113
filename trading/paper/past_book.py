"""The book as it was: what a venue answers whose queries lag behind its matching."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

from trading.domain.money import EXACT, ZERO
from trading.paper.book import Book
from trading.paper.replay import Market
from trading.paper.rows import FillRow, OrderRow


class PastBook(Book):
    """Reads of another book as of `at_ms`, rebuilt from its rows. Shares that book's connection and writes nothing."""

    def __init__(self, book: Book, markets: Mapping[str, Market], at_ms: int) -> None:
        self.path = book.path
        self._db = book._db
        self._markets = markets
        self._at_ms = at_ms

    def balances(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        """(free, locked) of each asset: deposits and fills until then, less what the orders open then had locked."""
        totals, locked = self._deposits(account), dict[str, Decimal]()
        with localcontext(EXACT):
            for symbol, market in self._markets.items():
                base, quote = market.venue_rules.base, market.venue_rules.quote
                for fill in self.fills(account, symbol):
                    sign = 1 if fill.side == "BUY" else -1
                    for asset, change in (
                        (base, sign * fill.qty),
                        (quote, -sign * fill.quote_qty),
                        (fill.commission_asset, -fill.commission),
                    ):
                        totals[asset] = totals.get(asset, ZERO) + change
                for order in self.open_orders(account, symbol):
                    asset = quote if order.side == "BUY" else base
                    locked[asset] = locked.get(asset, ZERO) + order.locked(order.remaining)
            return {
                asset: (total - locked.get(asset, ZERO), locked.get(asset, ZERO))
                for asset, total in sorted(totals.items())
            }

    def open_orders(self, account: str | None = None, symbol: str | None = None) -> list[OrderRow]:
        """Orders that rested then."""
        rows = self._orders("account = coalesce(?, account) AND symbol = coalesce(?, symbol)", account, symbol)
        return [row for row in rows if row.is_open]

    def orders(self, account: str, symbol: str, *, end_ms: int | None = None, **page: Any) -> list[OrderRow]:
        """Orders that had arrived by then, as they stood."""
        return [self._past(row) for row in super().orders(account, symbol, end_ms=self._until(end_ms), **page)]

    def fills(self, account: str, symbol: str, *, end_ms: int | None = None, **page: Any) -> list[FillRow]:
        """Fills that had happened by then."""
        return super().fills(account, symbol, end_ms=self._until(end_ms), **page)

    def _orders(self, where: str, *values: Any) -> list[OrderRow]:
        return [self._past(row) for row in super()._orders(where, *values) if row.time_ms <= self._at_ms]

    def _until(self, end_ms: int | None) -> int:
        return self._at_ms if end_ms is None else min(end_ms, self._at_ms)

    def _past(self, row: OrderRow) -> OrderRow:
        """An order before whatever happened to it later."""
        if row.updated_at_ms <= self._at_ms:
            return row
        fills = self.fills(row.account, row.symbol, order_id=row.order_id)
        with localcontext(EXACT):
            executed = sum((fill.qty for fill in fills), ZERO)
            spent = sum((fill.quote_qty for fill in fills), ZERO)
        status = "FILLED" if executed >= row.orig_qty else "PARTIALLY_FILLED" if fills else "NEW"
        updated_at_ms = fills[-1].time_ms if fills else row.time_ms
        return replace(row, executed_qty=executed, cumulative_quote=spent, status=status, updated_at_ms=updated_at_ms)

    def _deposits(self, account: str) -> dict[str, Decimal]:
        rows = self._db.execute(
            "SELECT asset, amount FROM deposits WHERE account = ? AND time_ms <= ?", (account, self._at_ms)
        )
        return {row["asset"]: Decimal(row["amount"]) for row in rows}
