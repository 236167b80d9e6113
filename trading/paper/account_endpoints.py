"""Balances and fills of the account that signed."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from trading.domain.money import BPS
from trading.paper.order_endpoints import time_window
from trading.paper.rows import FillRow
from trading.paper.venue import Call, Endpoint
from trading.paper.wire import Params, Refusal, digits

_DAY_MS: Final = 86_400_000


def account(call: Call) -> Any:
    """Balances: every asset of the venue, unless the empty ones are left out."""
    omit_empty = (call.params.optional("omitZeroBalances") or "false").lower() == "true"
    call.params.done()
    rules = next(iter(call.venue.markets.values())).matching_rules
    maker, taker = rules.fees.maker_bps * BPS, rules.fees.taker_bps * BPS
    nothing = Decimal(0)
    assets = {
        asset for market in call.venue.markets.values() for asset in (market.venue_rules.base, market.venue_rules.quote)
    }
    balances = dict.fromkeys(sorted(assets), (nothing, nothing)) | call.venue.book.balances(call.account)
    return {
        "makerCommission": int(rules.fees.maker_bps),
        "takerCommission": int(rules.fees.taker_bps),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": digits(maker),
            "taker": digits(taker),
            "buyer": digits(nothing),
            "seller": digits(nothing),
        },
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.now_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": digits(free), "locked": digits(locked)}
            for asset, (free, locked) in balances.items()
            if free or locked or not omit_empty
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def my_trades(call: Call) -> Any:
    """Fills of an instrument: of an order, from an id on, within 24 hours of a start, or the newest."""
    params = call.params
    symbol = params.text("symbol")
    call.venue.engine.market(symbol)
    order_id, from_id = params.optional_whole("orderId"), params.optional_whole("fromId")
    start_ms, end_ms = _window(params, alone=order_id is None and from_id is None)
    limit = params.limit()
    params.done()
    rows = call.venue.book.fills(
        call.account, symbol, order_id=order_id, from_id=from_id, start_ms=start_ms, end_ms=end_ms, limit=limit
    )
    return [_trade(row) for row in rows]


def _window(params: Params, *, alone: bool) -> tuple[int | None, int | None]:
    """The window in time; a start alone means the 24 hours from there, which is what the real venue answers."""
    start_ms, end_ms = time_window(params)
    if not alone and (start_ms is not None or end_ms is not None):
        raise Refusal(-1128, "Combination of optional parameters invalid.")
    if start_ms is not None and end_ms is None:
        return start_ms, start_ms + _DAY_MS
    return start_ms, end_ms


def _trade(row: FillRow) -> dict[str, Any]:
    return {
        "symbol": row.symbol,
        "id": row.trade_id,
        "orderId": row.order_id,
        "orderListId": -1,
        "price": digits(row.price),
        "qty": digits(row.qty),
        "quoteQty": digits(row.quote_qty),
        "commission": digits(row.commission),
        "commissionAsset": row.commission_asset,
        "time": row.time_ms,
        "isBuyer": row.side == "BUY",
        "isMaker": bool(row.is_maker),
        "isBestMatch": True,
    }


def _my_trades_weight(params: Params) -> int:
    return 5 if params.has("orderId") else 20


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", "/api/v3/account"): Endpoint(answer=account, weight=lambda _: 20, signed=True),
    ("GET", "/api/v3/myTrades"): Endpoint(answer=my_trades, weight=_my_trades_weight, signed=True),
}
