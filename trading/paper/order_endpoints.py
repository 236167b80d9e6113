"""Placing, cancelling and asking for orders."""

from collections.abc import Mapping
from typing import Any, Final

from trading.clock import random_id
from trading.domain.matching import TimeInForce
from trading.domain.order import Side
from trading.paper.engine import NewOrder
from trading.paper.rows import FillRow, OrderRow
from trading.paper.venue import Call, Endpoint
from trading.paper.wire import Params, Refusal, digits

_DAY_MS: Final = 86_400_000
_GENERATED_ID_LENGTH: Final = 22
_ANSWERS: Final = ("ACK", "RESULT", "FULL")
_TYPES: Final = ("LIMIT", "MARKET", "LIMIT_MAKER")
#: Order types of the real venue that this one does not have.
_OTHER_TYPES: Final = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


def new_order(call: Call) -> Any:
    """Take an order, and answer with what became of it at once."""
    order, answer = _new_order(call)
    call.headers.update(call.venue.limiter.count_order(call.account, call.now_ms))
    call.check_window()
    row, fills = call.venue.engine.place(call.account, order, call.now_ms)
    return _placed(row, fills, answer)


def order_test(call: Call) -> Any:
    """Refuse what would be refused; change nothing."""
    call.params.ignore("computeCommissionRates")
    order, _ = _new_order(call)
    call.venue.engine.check(call.account, order, call.now_ms)
    return {}


def _new_order(call: Call) -> tuple[NewOrder, str]:
    params = call.params
    symbol = params.text("symbol")
    rules = call.venue.engine.market(symbol).venue_rules
    side, kind = params.text("side"), params.text("type")
    if side not in ("BUY", "SELL"):
        raise Refusal(-1117, "Invalid side.")
    if kind not in _TYPES and kind not in _OTHER_TYPES:
        raise Refusal(-1116, "Invalid orderType.")
    if kind not in rules.order_types:
        raise Refusal(-2010, "Unsupported order combination")
    answer = params.optional("newOrderRespType") or ("ACK" if kind == "LIMIT_MAKER" else "FULL")
    if answer not in _ANSWERS:
        raise Refusal(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    values = _market_values(params) if kind == "MARKET" else _limit_values(params, kind)
    order = NewOrder(
        symbol=symbol,
        client_order_id=params.client_order_id("newClientOrderId") or random_id()[:_GENERATED_ID_LENGTH],
        side=Side(side.lower()),
        type=kind,
        **values,
    )
    params.done()
    return order, answer


def _market_values(params: Params) -> dict[str, Any]:
    params.not_required("price", "timeInForce")
    quantity, quote = params.optional_decimal("quantity"), params.optional_decimal("quoteOrderQty")
    if (quantity is None) == (quote is None):
        if quantity is None:
            raise Refusal(-1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")
        raise Refusal(-1128, "Combination of optional parameters invalid.")
    if quantity == 0 or quote == 0:
        raise Refusal(-1013, "Invalid quantity." if quote is None else "Invalid quote order qty.")
    return {"quantity": quantity, "quote_quantity": quote}


def _limit_values(params: Params, kind: str) -> dict[str, Any]:
    time_in_force = TimeInForce.GTC
    if kind == "LIMIT":
        text = params.text("timeInForce")
        if text not in list(TimeInForce):
            raise Refusal(-1115, "Invalid timeInForce.")
        time_in_force = TimeInForce(text)
    else:
        params.not_required("timeInForce")
    params.not_required("quoteOrderQty")
    values = {}
    for name in ("quantity", "price"):
        value = params.optional_decimal(name)
        if value is None:
            params.text(name)  # refuses: it is mandatory
        if value == 0:
            raise Refusal(-1013, f"Invalid {name}.")
        values[name] = value
    return {**values, "time_in_force": time_in_force}


def cancel_order(call: Call) -> Any:
    """Cancel one open order."""
    cancel_id = call.params.client_order_id("newClientOrderId") or random_id()[:_GENERATED_ID_LENGTH]
    order = _asked_for(call, _unknown_to_cancel())
    if not order.is_open:
        raise _unknown_to_cancel()
    call.check_window()
    return _canceled(call.venue.engine.cancel(order, call.now_ms), cancel_id)


def cancel_open_orders(call: Call) -> Any:
    """Cancel all open orders of an instrument."""
    symbol = call.params.text("symbol")
    call.venue.engine.market(symbol)
    call.params.done()
    resting = call.venue.book.open_orders(call.account, symbol)
    if not resting:
        raise _unknown_to_cancel()
    call.check_window()
    cancel_id = random_id()[:_GENERATED_ID_LENGTH]
    return [_canceled(call.venue.engine.cancel(order, call.now_ms), cancel_id) for order in resting]


def query_order(call: Call) -> Any:
    """One order, by the venue's id or the client's; of several with the client's id, the newest."""
    return _order(_asked_for(call, _no_such_order()))


def open_orders(call: Call) -> Any:
    """Orders that rest, of one instrument or all."""
    symbol = call.params.optional("symbol")
    if symbol is not None:
        call.venue.engine.market(symbol)
    call.params.done()
    return [_order(row) for row in call.venue.book.open_orders(call.account, symbol)]


def all_orders(call: Call) -> Any:
    """Orders in any state: from an id on, from a start, or the newest."""
    params = call.params
    symbol = params.text("symbol")
    call.venue.engine.market(symbol)
    from_id = params.optional_whole("orderId")
    start_ms, end_ms = time_window(params)
    limit = params.limit()
    params.done()
    rows = call.venue.book.orders(call.account, symbol, from_id=from_id, start_ms=start_ms, end_ms=end_ms, limit=limit)
    return [_order(row) for row in rows]


def time_window(params: Params) -> tuple[int | None, int | None]:
    """The start and end that were asked for, at most 24 hours apart."""
    start_ms, end_ms = params.optional_whole("startTime"), params.optional_whole("endTime")
    if start_ms is not None and end_ms is not None:
        if start_ms > end_ms:
            raise Refusal(-1023, "Start time is greater than end time.")
        if end_ms - start_ms > _DAY_MS:
            raise Refusal(-1127, "More than 24 hours between startTime and endTime.")
    return start_ms, end_ms


def _asked_for(call: Call, unknown: Refusal) -> OrderRow:
    params, book = call.params, call.venue.book
    symbol = params.text("symbol")
    call.venue.engine.market(symbol)
    order_id, client_id = params.optional_whole("orderId"), params.client_order_id("origClientOrderId")
    params.done()
    if order_id is None and client_id is None:
        raise Refusal(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    if order_id is not None:
        order = book.order(call.account, symbol, order_id)
    else:
        order = book.order_by_client_id(call.account, symbol, client_id or "")
    if order is None or (client_id is not None and order.client_order_id != client_id):
        raise unknown
    return order


def _no_such_order() -> Refusal:
    return Refusal(-2013, "Order does not exist.")


def _unknown_to_cancel() -> Refusal:
    return Refusal(-2011, "Unknown order sent.")


def _common(row: OrderRow) -> dict[str, Any]:
    return {
        "price": digits(row.price),
        "origQty": digits(row.orig_qty),
        "executedQty": digits(row.executed_qty),
        "origQuoteOrderQty": digits(row.orig_quote_qty),
        "cummulativeQuoteQty": digits(row.cumulative_quote),
        "status": row.status,
        "timeInForce": row.time_in_force,
        "type": row.type,
        "side": row.side,
        "selfTradePreventionMode": "NONE",
    }


def _placed(row: OrderRow, fills: list[FillRow], answer: str) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "orderListId": -1,
        "clientOrderId": row.client_order_id,
        "transactTime": row.time_ms,
    }
    if answer != "ACK":
        payload |= {**_common(row), "workingTime": row.time_ms}
    if answer == "FULL":
        payload["fills"] = [
            {
                "price": digits(fill.price),
                "qty": digits(fill.qty),
                "commission": digits(fill.commission),
                "commissionAsset": fill.commission_asset,
                "tradeId": fill.trade_id,
            }
            for fill in fills
        ]
    return payload


def _canceled(row: OrderRow, cancel_id: str) -> dict[str, Any]:
    return {
        "symbol": row.symbol,
        "origClientOrderId": row.client_order_id,
        "orderId": row.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": row.updated_at_ms,
        **_common(row),
    }


def _order(row: OrderRow) -> dict[str, Any]:
    return {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "orderListId": -1,
        "clientOrderId": row.client_order_id,
        **_common(row),
        "stopPrice": digits(row.price * 0),
        "icebergQty": digits(row.price * 0),
        "time": row.time_ms,
        "updateTime": row.updated_at_ms,
        "isWorking": True,
        "workingTime": row.time_ms,
    }


def _open_orders_weight(params: Params) -> int:
    return 6 if params.has("symbol") else 80


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("POST", "/api/v3/order"): Endpoint(answer=new_order, weight=lambda _: 1, signed=True),
    ("POST", "/api/v3/order/test"): Endpoint(answer=order_test, weight=lambda _: 1, signed=True),
    ("GET", "/api/v3/order"): Endpoint(answer=query_order, weight=lambda _: 4, signed=True),
    ("DELETE", "/api/v3/order"): Endpoint(answer=cancel_order, weight=lambda _: 1, signed=True),
    ("GET", "/api/v3/openOrders"): Endpoint(answer=open_orders, weight=_open_orders_weight, signed=True),
    ("DELETE", "/api/v3/openOrders"): Endpoint(answer=cancel_open_orders, weight=lambda _: 1, signed=True),
    ("GET", "/api/v3/allOrders"): Endpoint(answer=all_orders, weight=lambda _: 20, signed=True),
}
