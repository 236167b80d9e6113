"""What the tests of the ccxt adapter share: a request, the venue's yes to it, and the adapter at a scripted venue."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from scripted_venue import ScriptedVenue

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.domain.order import OrderRequest, OrderType, Side

KEY, SECRET = "the-key-0123456789", "the-secret-0123456789"
NOW = datetime(2026, 3, 2, 12, 0, 7, 250_000, tzinfo=UTC)
REQUEST = OrderRequest(
    client_order_id="0123456789abcdef0123456789abcdef",
    instrument="BTC/USDT",
    side=Side.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal("0.00012000"),
    limit_price=None,
    signed_at=NOW - timedelta(milliseconds=750),
    recv_window_ms=1_500,
)
YES = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "orderListId": -1,
    "clientOrderId": REQUEST.client_order_id,
    "transactTime": to_ms(NOW),
    "price": "0.00000000",
    "origQty": "0.00012000",
    "executedQty": "0.00012000",
    "status": "FILLED",
    "type": "MARKET",
    "side": "BUY",
    "fills": [],
}


def exchange_at(venue: ScriptedVenue, clock: ManualClock | None = None, timeout_s: float = 5) -> CcxtExchange:
    return CcxtExchange(
        "binance",
        clock=clock or ManualClock(NOW),
        base_url=venue.url,
        api_key=lambda: KEY,
        api_secret=lambda: SECRET,
        api_timeout_s=timeout_s,
    )
