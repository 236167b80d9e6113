"""Faults in what the venue says and does: old news, short pages, confused fills, overfills, a clock that is off.

They wrap the venue's endpoints and its clock; which of them concern the request under way stands in `FAULTS`.
"""

import copy
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, Final

from trading.clock import Clock
from trading.domain.matching import Execution
from trading.domain.money import EXACT, floor_to_step
from trading.domain.order import Side
from trading.paper.fault_plan import Fault, FaultPlan, Rule
from trading.paper.past_book import PastBook
from trading.paper.replay import Market
from trading.paper.rows import FillRow, OrderRow
from trading.paper.venue import Call, Endpoint
from trading.paper.wire import digits

#: What goes wrong with the request that this task handles.
FAULTS: Final[ContextVar[tuple[Fault, ...]]] = ContextVar("faults", default=())


class FaultClock:
    """The venue's clock, which is off while a request with that fault is handled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        """The current instant as the venue has it."""
        offsets = [fault.rule.settings["offset_ms"] for fault in FAULTS.get() if fault.rule.kind == "clock_offset"]
        return self._clock.now() + timedelta(milliseconds=sum(offsets))

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        self._clock.sleep(seconds)

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._clock.monotonic()


def with_faults(endpoints: Mapping[tuple[str, str], Endpoint], plan: FaultPlan) -> dict[tuple[str, str], Endpoint]:
    """The venue's endpoints, which go wrong where `FAULTS` says so."""
    return {
        name: replace(endpoint, answer=partial(_answer, plan, endpoint.answer)) for name, endpoint in endpoints.items()
    }


def _answer(plan: FaultPlan, answer: Callable[[Call], Any], call: Call) -> Any:
    faults = FAULTS.get()
    for fault in faults:
        if fault.rule.kind == "query_lag":
            call.venue = _looking_back(call, fault.rule.settings["seconds"])
            plan.hit(fault)
    payload = answer(call)
    for fault in faults:
        change = _CHANGES.get(fault.rule.kind)
        changed = change(call, payload, fault.rule) if change else None
        if changed is not None:  # where there was nothing to spoil, such as on an empty page, no fault happened
            plan.hit(fault)
            payload = changed
    return payload


def _looking_back(call: Call, seconds: Decimal) -> Any:
    past = copy.copy(call.venue)
    past.book = PastBook(call.venue.book, call.venue.markets, call.now_ms - int(seconds * 1000))
    return past


def _cut(call: Call, payload: list[Any], rule: Rule) -> list[Any] | None:
    """The page from its own beginning: its oldest rows where it counts up from a start, else its newest."""
    rows = rule.settings["rows"]
    if len(payload) <= rows:
        return None
    from_a_start = any(call.params.has(name) for name in ("fromId", "startTime", "orderId"))
    return payload[:rows] if from_a_start else payload[len(payload) - rows :]


def _doubled(_: Call, payload: list[Any], __: Rule) -> list[Any] | None:
    return [row for row in payload for _ in range(2)] or None


def _disordered(_: Call, payload: list[Any], rule: Rule) -> list[Any] | None:
    if len(payload) <= 1:
        return None
    shuffled = rule.random.sample(payload, len(payload))
    return shuffled if shuffled != payload else payload[::-1]


def _overfilled(call: Call, payload: dict[str, Any], rule: Rule) -> dict[str, Any] | None:
    """Fill the rest of a new order, and more; where the account cannot pay for that, the order stays as it was."""
    row = call.venue.book.order(call.account, payload["symbol"], payload["orderId"])
    if row is None:
        return None
    market = call.venue.engine.market(row.symbol)
    execution = _beyond(call, row, market, rule.settings["share"])
    if execution is None or not _affordable(call, row, market, execution):
        return None
    row, fill = _book(call, row, market, execution)
    told = {
        "executedQty": digits(row.executed_qty),
        "cummulativeQuoteQty": digits(row.cumulative_quote),
        "status": row.status,
        "fills": [*payload.get("fills", []), _told(fill)],
    }
    return payload | {name: value for name, value in told.items() if name in payload}


def _beyond(call: Call, row: OrderRow, market: Market, share: Decimal) -> Execution | None:
    """What is missing to `share` beyond the quantity, at least a lot, at the last price; None where nothing filled."""
    fills = call.venue.book.fills(row.account, row.symbol, order_id=row.order_id)
    if not fills and not row.is_open:
        return None
    rules = market.matching_rules
    with localcontext(EXACT):
        extra = max(rules.lot_step, floor_to_step(row.orig_qty * share, rules.lot_step))
        quantity, price = row.remaining + extra, fills[-1].price if fills else row.price
        bought = row.domain_side is Side.BUY
        fee = rules.fees.fee(quantity if bought else quantity * price, maker=False)
    fee_currency = rules.base if bought else rules.quote
    return Execution(price=price, quantity=quantity, fee=fee, fee_currency=fee_currency, maker=False)


def _affordable(call: Call, row: OrderRow, market: Market, execution: Execution) -> bool:
    spent, needed = _spent(row, market, execution)
    locked = row.locked(row.remaining) if row.is_open else 0
    return call.venue.book.free(row.account, spent) + locked >= needed


def _spent(row: OrderRow, market: Market, execution: Execution) -> tuple[str, Decimal]:
    rules = market.venue_rules
    return (rules.quote, execution.notional) if row.domain_side is Side.BUY else (rules.base, execution.quantity)


def _book(call: Call, row: OrderRow, market: Market, execution: Execution) -> tuple[OrderRow, FillRow]:
    """One execution beyond the order: the fill, both balances, and the order's sums."""
    book, rules = call.venue.book, market.venue_rules
    spent, needed = _spent(row, market, execution)
    if row.is_open:
        locked = row.locked(row.remaining)
        book.change_balance(row.account, spent, free=locked, locked=-locked)
    bought = row.domain_side is Side.BUY
    received, amount = (rules.base, execution.quantity) if bought else (rules.quote, execution.notional)
    with localcontext(EXACT):
        book.change_balance(row.account, spent, free=-needed)
        book.change_balance(row.account, received, free=amount - execution.fee)
        executed, quote = row.executed_qty + execution.quantity, row.cumulative_quote + execution.notional
    filled = replace(row, executed_qty=executed, cumulative_quote=quote, status="FILLED", updated_at_ms=call.now_ms)
    book.update_order(filled)
    return filled, book.insert_fill(row, execution, call.now_ms, row.next_candle_ms)


def _told(fill: FillRow) -> dict[str, Any]:
    return {
        "price": digits(fill.price),
        "qty": digits(fill.qty),
        "commission": digits(fill.commission),
        "commissionAsset": fill.commission_asset,
        "tradeId": fill.trade_id,
    }


_CHANGES: Final[Mapping[str, Callable[[Call, Any, Rule], Any]]] = {
    "page_cut": _cut,
    "doubled_fills": _doubled,
    "disordered_fills": _disordered,
    "overfill": _overfilled,
}
