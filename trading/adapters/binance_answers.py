"""Binance's answers as our nouns. Money goes from text to Decimal, never through a float; candles are float64."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from trading.adapters.ccxt_errors import Reply, unknown_outcome
from trading.domain.key_rights import KeyRights
from trading.domain.ledger import Balance, Fill
from trading.domain.market import CandleSeries, Instrument, from_ms, to_ms
from trading.domain.money import ZERO, plain
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.venue_filters import VenueRules, venue_rules
from trading.domain.venue_order import VenueOrder, VenueOrderStatus
from trading.errors import ConfigurationError, DataError, InvariantViolation
from trading.ports.market import BestPrices

_STATUS: Final[Mapping[str, VenueOrderStatus]] = MappingProxyType(
    {
        "NEW": VenueOrderStatus.OPEN,
        "PENDING_NEW": VenueOrderStatus.OPEN,
        "PENDING_CANCEL": VenueOrderStatus.OPEN,
        "PARTIALLY_FILLED": VenueOrderStatus.PARTIALLY_FILLED,
        "FILLED": VenueOrderStatus.FILLED,
        "CANCELED": VenueOrderStatus.CANCELED,
        "EXPIRED": VenueOrderStatus.EXPIRED,
        "EXPIRED_IN_MATCH": VenueOrderStatus.EXPIRED,
        "REJECTED": VenueOrderStatus.REJECTED,
    }
)
_SIDES: Final[Mapping[str, Side]] = MappingProxyType({"BUY": Side.BUY, "SELL": Side.SELL})
_PRICES_AND_VOLUME: Final = itemgetter(1, 2, 3, 4, 5)  # of a candle's row
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever an answer of the wrong shape causes into one DataError that names it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, InvariantViolation) as error:
        raise DataError(
            f"{what}: expected an answer of the documented shape, got {type(error).__name__}: {str(error)[:120]}"
        ) from error


def venue_symbol(symbol: str) -> str:
    """BTC/USDT → BTCUSDT. Raises ConfigurationError for another shape."""
    base, slash, quote = symbol.partition("/")
    if not (slash and (base + quote).isalnum()):
        raise ConfigurationError(f"instrument {symbol!r}: expected BASE/QUOTE such as BTC/USDT")
    return base + quote


def order_parameters(request: OrderRequest) -> dict[str, Any]:
    """What is POSTed: each amount as the exact text that the request's hash covers."""
    parameters: dict[str, Any] = {
        "symbol": venue_symbol(request.instrument),
        "side": request.side.upper(),
        "type": request.order_type.upper(),
        "quantity": plain(request.quantity),
        "newClientOrderId": request.client_order_id,
        "newOrderRespType": "FULL",
        "timestamp": to_ms(request.signed_at),
        "recvWindow": request.recv_window_ms,
    }
    if request.order_type is OrderType.LIMIT:
        if request.limit_price is None:
            raise InvariantViolation(f"order {request.client_order_id}: expected a limit price, got none")
        parameters |= {"price": plain(request.limit_price)}
        parameters |= {"type": "LIMIT_MAKER"} if request.post_only else {"timeInForce": "GTC"}
    return parameters


def accepted_order(request: OrderRequest, reply: Reply) -> VenueOrder:
    """The clear yes to `request`. Raises OutcomeUnknown for every other answer."""
    payload = reply.payload() if reply.succeeded else None
    if not isinstance(payload, dict):
        code, _ = reply.error() or ("", "")
        raise unknown_outcome(request.client_order_id, reply.describe(), code=str(code))
    try:
        order = venue_order(payload, request.instrument, created_at=from_ms(_integer(payload["transactTime"])))
    except (DataError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise unknown_outcome(
            request.client_order_id, f"an answer of another shape ({type(error).__name__}: {str(error)[:120]})"
        ) from error
    returned = (order.client_order_id, payload.get("symbol"), order.side, order.quantity)
    asked = (request.client_order_id, venue_symbol(request.instrument), request.side, request.quantity)
    if returned != asked:
        raise unknown_outcome(request.client_order_id, f"an answer about {returned} to an order of {asked}")
    return order


def venue_order(payload: Mapping[str, Any], symbol: str, *, created_at: datetime | None = None) -> VenueOrder:
    """One order. Raises DataError for another shape."""
    with reading(f"order of {symbol}"):
        return VenueOrder(
            venue_order_id=str(_integer(payload["orderId"])),
            client_order_id=_text(payload["clientOrderId"]),
            instrument=symbol,
            side=_SIDES[payload["side"]],
            status=_STATUS[payload["status"]],
            quantity=_money(payload["origQty"]),
            filled_quantity=_money(payload["executedQty"]),
            created_at=created_at or from_ms(_integer(payload["time"])),
        )


def fill(payload: Mapping[str, Any], symbol: str, venue: str) -> Fill:
    """One execution. Raises DataError for another shape."""
    with reading(f"fill of {symbol}"):
        return Fill(
            venue=venue,
            instrument=symbol,
            venue_fill_id=str(_integer(payload["id"])),
            venue_order_id=str(_integer(payload["orderId"])),
            client_order_id="",
            side=Side.BUY if _boolean(payload["isBuyer"]) else Side.SELL,
            price=_money(payload["price"]),
            quantity=_money(payload["qty"]),
            fee=_money(payload["commission"]),
            fee_currency=_text(payload["commissionAsset"]),
            filled_at=from_ms(_integer(payload["time"])),
            is_maker=_boolean(payload["isMaker"]),
        )


def balances(payload: Mapping[str, Any]) -> dict[str, Balance]:
    """What the account holds, zeros left out. Raises DataError for another shape."""
    with reading("balances"):
        held = {
            _text(row["asset"]): Balance(free=_money(row["free"]), locked=_money(row["locked"]))
            for row in payload["balances"]
        }
        return {currency: balance for currency, balance in held.items() if balance.total != 0}


def key_rights(payload: Mapping[str, Any]) -> KeyRights:
    """What the key may do. Raises DataError for another shape."""
    with reading("rights of the API key"):
        transfers = [payload.get(name, False) for name in ("enableInternalTransfer", "permitsUniversalTransfer")]
        return KeyRights(
            trades=_boolean(payload["enableSpotAndMarginTrading"]),
            withdraws=_boolean(payload["enableWithdrawals"]),
            transfers=any(map(_boolean, transfers)),
            bound_to_addresses=_boolean(payload["ipRestrict"]),
        )


def instrument(entry: Mapping[str, Any], symbol: str) -> Instrument:
    """An instrument with today's filters; where the venue's limits differ by side, the tighter one counts for both."""
    with reading(f"filters of {symbol}"):
        rules = venue_rules(entry)
        if f"{rules.base}/{rules.quote}" != symbol:
            raise DataError(f"instrument {symbol}: the venue's {rules.symbol} is {rules.base}/{rules.quote}")
        return Instrument(
            symbol=symbol,
            venue_symbol=rules.symbol,
            base=rules.base,
            quote=rules.quote,
            tick_size=rules.tick_size,
            lot_step=rules.lot_step,
            min_quantity=rules.min_quantity,
            max_quantity=rules.max_quantity,
            min_notional=rules.min_notional,
            market_lot_step=rules.market_lot_step,
            market_max_quantity=rules.market_max_quantity,
            price_multiplier_up=_tighter_up(rules),
            price_multiplier_down=max(rules.bid_multiplier_down, rules.ask_multiplier_down),
            max_open_orders=rules.max_open_orders,
            trading=rules.trading,
        )


def _tighter_up(rules: VenueRules) -> Decimal:
    """The smaller multiplier that is set; 0 where neither is."""
    return min((up for up in (rules.bid_multiplier_up, rules.ask_multiplier_up) if up), default=ZERO)


def candles(payload: Any, symbol: str, *, most: int) -> CandleSeries:
    """One page as it came, column by column. Raises DataError for another shape, and for more rows than `most`."""
    with reading(f"candles of {symbol}"):
        if not _rows(payload):
            return CandleSeries.from_rows([])
        if len(payload) > most:
            raise ValueError(f"expected at most {most} rows, as was asked for, got {len(payload)}")
        open_ms = np.array([row[0] for row in payload])
        if open_ms.dtype != np.int64:
            raise TypeError(f"expected a whole number of milliseconds and five texts, got {payload[0]!r}")
        texts = chain.from_iterable(map(_PRICES_AND_VOLUME, payload))
        numbers = np.fromiter(map(float, texts), dtype=np.float64, count=5 * len(open_ms))
        return CandleSeries(open_ms, *np.ascontiguousarray(numbers.reshape(-1, 5).T))


def candle_pages(pages: Sequence[CandleSeries], *, since_ms: int, until_ms: int) -> CandleSeries:
    """Several pages as one: what lies within [since_ms, until_ms), ascending, doubled rows in the order they came."""
    names = ("open_ms", "open", "high", "low", "close", "volume")
    series = CandleSeries(*(np.concatenate([getattr(page, name) for page in pages]) for name in names))
    series = series.take((series.open_ms >= since_ms) & (series.open_ms < until_ms))
    return series.take(np.argsort(series.open_ms, kind="stable"))


def best_prices(payload: Any) -> dict[str, BestPrices]:
    """Bid and ask by the venue's symbol. Raises DataError for another shape, or an empty book."""
    prices = {}
    with reading("best prices"):
        for row in _rows(payload):
            bid, ask = _money(row["bidPrice"]), _money(row["askPrice"])
            if not 0 < bid <= ask:
                raise DataError(f"best prices of {row['symbol']}: expected 0 < bid <= ask, got {bid} and {ask}")
            prices[_text(row["symbol"])] = BestPrices(bid=bid, ask=ask)
    return prices


def _rows(payload: Any) -> list[Any]:
    if not isinstance(payload, list):
        raise TypeError(f"expected a list, got {type(payload).__name__}")
    return payload


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def _money(value: Any) -> Decimal:
    """Plain digits, as this venue writes amounts: an exponent could name a number that no arithmetic survives."""
    if not _PLAIN_NUMBER.fullmatch(_text(value)):
        raise ValueError(f"expected an amount in plain digits, got {value[:40]!r}")
    return Decimal(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value
