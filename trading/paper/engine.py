"""The matching engine: orders meet the market, and book and balances change together.

Every method runs inside one transaction of the book. `trading.domain.matching` says when an order fills.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Final

from trading.domain.matching import (
    Execution,
    Rest,
    TimeInForce,
    WorkingOrder,
    arrive,
    is_marketable,
    match_candle,
    taker_price,
)
from trading.domain.money import EXACT, ZERO, floor_to_step
from trading.domain.order import Side
from trading.domain.venue_filters import OrderShape, VenueRules, failed_filter
from trading.paper.book import Book
from trading.paper.replay import Market, Quote, open_ms_of
from trading.paper.rows import FillRow, OrderRow
from trading.paper.wire import Refusal

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewOrder:
    """An order as it was asked for. Exactly one of quantity and quote_quantity is set; a limit has a price."""

    symbol: str
    client_order_id: str
    side: Side
    type: str  # MARKET, LIMIT or LIMIT_MAKER
    time_in_force: TimeInForce = TimeInForce.GTC
    price: Decimal | None = None
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """An order that the venue would take, with what it needs to be taken."""

    working: WorkingOrder
    quote: Quote
    lock_price: Decimal
    taken: Decimal


class Engine:
    """Takes orders, cancels them, and lets resting ones meet each candle that closes."""

    def __init__(self, book: Book, markets: Mapping[str, Market]) -> None:
        self._book = book
        self._markets = markets
        self._settled_until_ms = 0

    def market(self, symbol: str) -> Market:
        """The market of the venue's symbol."""
        try:
            return self._markets[symbol]
        except KeyError:
            raise Refusal(-1121, "Invalid symbol.") from None

    def check(self, account: str, order: NewOrder, now_ms: int) -> None:
        """Refuse what the venue would refuse, and change nothing."""
        self._check(account, order, now_ms)

    def place(self, account: str, order: NewOrder, now_ms: int) -> tuple[OrderRow, list[FillRow]]:
        """Take an order: lock what it needs, fill what fills at once, let the rest rest or expire."""
        checked = self._check(account, order, now_ms)
        market = self.market(order.symbol)
        quote = checked.quote
        arrival = arrive(checked.working, quote.open, quote.previous_volume, market.matching_rules, checked.taken)
        row = self._insert(account, order, checked, now_ms)
        fills = []
        for execution in arrival.executions:
            row, fill = self._fill(row, execution, now_ms, quote.candle_open_ms)
            fills.append(fill)
        if arrival.rest is Rest.EXPIRED:
            row = self._close(row, "EXPIRED", now_ms)
        self._book.update_order(row)
        _LOG.info(
            "order_accepted",
            extra={
                "event": "order_accepted",
                "client_order_id": row.client_order_id,
                "symbol": row.symbol,
                "order_status": row.status,
            },
        )
        return row, fills

    def cancel(self, order: OrderRow, now_ms: int) -> OrderRow:
        """Cancel an open order and free what it locked."""
        row = self._close(order, "CANCELED", now_ms)
        self._book.update_order(row)
        _LOG.info(
            "order_canceled",
            extra={"event": "order_canceled", "client_order_id": row.client_order_id, "symbol": row.symbol},
        )
        return row

    def settle(self, now_ms: int) -> None:
        """Let every resting order meet the candles that closed since it was last looked at, in order.

        A fill carries the time of its candle's close, whenever the venue gets to it: each request settles first, so no
        answer given after a close lacks that close's fills, after a restart as well.
        """
        if now_ms < self._settled_until_ms:
            return
        for symbol, market in self._markets.items():
            resting = self._book.open_orders(symbol=symbol)
            if resting:
                self._settle(market, resting, now_ms)
        # Where markets have several timeframes, the finest decides when to look again.
        self._settled_until_ms = min(market.floor(now_ms) + market.timeframe_ms for market in self._markets.values())

    def _settle(self, market: Market, resting: list[OrderRow], now_ms: int) -> None:
        rows = {row.order_id: row for row in resting}
        for candle in market.closed_candles(min(row.next_candle_ms for row in resting), now_ms):
            opened_ms = open_ms_of(candle)
            present = [row for row in rows.values() if row.is_open and row.next_candle_ms <= opened_ms]
            orders = [WorkingOrder(side=row.domain_side, quantity=row.remaining, limit=row.price) for row in present]
            for row, executions in zip(present, match_candle(orders, candle, market.matching_rules), strict=True):
                for execution in executions:
                    rows[row.order_id], _ = self._fill(row, execution, opened_ms + market.timeframe_ms, opened_ms)
        for row in rows.values():
            self._book.update_order(replace(row, next_candle_ms=market.floor(now_ms)))

    def _check(self, account: str, order: NewOrder, now_ms: int) -> _Checked:
        market = self.market(order.symbol)
        rules, quote = market.venue_rules, market.quote(now_ms)
        if quote is None or not rules.trading:
            raise Refusal(-2010, "Market is closed.")
        best = taker_price(order.side, quote.open, market.matching_rules)
        quantity = order.quantity or _quantity_for(order.quote_quantity or ZERO, best, rules)
        working = WorkingOrder(
            side=order.side,
            quantity=quantity,
            limit=order.price,
            time_in_force=order.time_in_force,
            post_only=order.type == "LIMIT_MAKER",
        )
        self._check_filters(account, working, market, now_ms)
        if self._book.has_open_client_id(account, order.symbol, order.client_order_id):
            raise Refusal(-2010, "Duplicate order sent.")
        if working.post_only and is_marketable(working, quote.open, market.matching_rules):
            raise Refusal(-2010, "Order would immediately match and take.")
        lock_price = best if order.price is None else order.price
        asset, needed = _needed(order.side, quantity, lock_price, rules)
        if self._book.free(account, asset) < needed:
            raise Refusal(-2010, "Account has insufficient balance for requested action.")
        taken = self._book.taken(order.symbol, quote.candle_open_ms)
        return _Checked(working=working, quote=quote, lock_price=lock_price, taken=taken)

    def _check_filters(self, account: str, working: WorkingOrder, market: Market, now_ms: int) -> None:
        rules = market.venue_rules
        failed = failed_filter(
            OrderShape(side=working.side, quantity=working.quantity, price=working.limit),
            rules,
            reference_price=market.average_price(now_ms, rules.average_price_minutes),
            open_orders=self._book.open_count(account, rules.symbol),
            rests=working.limit is not None and working.time_in_force is TimeInForce.GTC,
        )
        if failed:
            raise Refusal(-1013, f"Filter failure: {failed}")

    def _insert(self, account: str, order: NewOrder, checked: _Checked, now_ms: int) -> OrderRow:
        row = OrderRow(
            order_id=0,
            account=account,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side.value.upper(),
            type=order.type,
            time_in_force=order.time_in_force.value,
            price=order.price or ZERO,
            lock_price=checked.lock_price,
            orig_qty=checked.working.quantity,
            orig_quote_qty=order.quote_quantity or ZERO,
            executed_qty=ZERO,
            cumulative_quote=ZERO,
            status="NEW",
            time_ms=now_ms,
            updated_at_ms=now_ms,
            next_candle_ms=checked.quote.candle_open_ms,
        )
        asset, needed = _needed(order.side, row.orig_qty, row.lock_price, self.market(order.symbol).venue_rules)
        self._book.change_balance(account, asset, free=-needed, locked=needed)
        return replace(row, order_id=self._book.insert_order(row))

    def _fill(self, row: OrderRow, execution: Execution, time_ms: int, candle_open_ms: int) -> tuple[OrderRow, FillRow]:
        """Book one execution: the fill, both balances and the order's sums. The caller stores the order."""
        rules = self.market(row.symbol).venue_rules
        quantity, notional, fee = execution.quantity, execution.notional, execution.fee
        unlocked = row.locked(quantity)
        with localcontext(EXACT):
            if row.domain_side is Side.BUY:
                # what the order locked beyond the price that it got comes back
                self._book.change_balance(row.account, rules.quote, free=unlocked - notional, locked=-unlocked)
                self._book.change_balance(row.account, rules.base, free=quantity - fee)
            else:
                self._book.change_balance(row.account, rules.base, locked=-unlocked)
                self._book.change_balance(row.account, rules.quote, free=notional - fee)
            executed, spent = row.executed_qty + quantity, row.cumulative_quote + notional
        status = "FILLED" if executed == row.orig_qty else "PARTIALLY_FILLED"
        fill = self._book.insert_fill(row, execution, time_ms, candle_open_ms)
        _LOG.info(
            "order_filled",
            extra={"event": "order_filled", "client_order_id": row.client_order_id, "trade_id": fill.trade_id},
        )
        return (
            replace(row, executed_qty=executed, cumulative_quote=spent, status=status, updated_at_ms=time_ms),
            fill,
        )

    def _close(self, row: OrderRow, status: str, now_ms: int) -> OrderRow:
        rules = self.market(row.symbol).venue_rules
        asset = rules.quote if row.domain_side is Side.BUY else rules.base
        locked = row.locked(row.remaining)
        self._book.change_balance(row.account, asset, free=locked, locked=-locked)
        return replace(row, status=status, updated_at_ms=now_ms)


def _needed(side: Side, quantity: Decimal, lock_price: Decimal, rules: VenueRules) -> tuple[str, Decimal]:
    """What an order locks: quote for a buy, base for a sell."""
    if side is Side.SELL:
        return rules.base, quantity
    with localcontext(EXACT):
        return rules.quote, quantity * lock_price


def _quantity_for(quote_quantity: Decimal, price: Decimal, rules: VenueRules) -> Decimal:
    """The whole lots that an amount of quote is worth."""
    with localcontext(EXACT):
        lots = floor_to_step(quote_quantity / price, rules.lot_step)
    return floor_to_step(lots, rules.market_lot_step)
