"""The public half of the API: what anybody may ask about the market."""

from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from typing import Any, Final

import orjson

from trading.domain.market import TIMEFRAMES
from trading.domain.matching import taker_capacity, taker_price
from trading.domain.money import EXACT, ONE, ZERO, quantise
from trading.domain.order import Side
from trading.paper.replay import Market, MarketCandle
from trading.paper.venue import Call, Endpoint
from trading.paper.wire import Params, Refusal, digits

_DAY_MS: Final = 86_400_000
_DEPTH_LEVELS: Final = 5
_NOTHING: Final = "0.00000000"


def ping(call: Call) -> Any:
    """Nothing, quickly."""
    call.params.done()
    return {}


def server_time(call: Call) -> Any:
    """The venue's clock."""
    call.params.done()
    return {"serverTime": call.now_ms}


def status(call: Call) -> Any:
    """Our own, not Binance's: where the replay stands."""
    replay = call.venue.replay
    return {
        "mode": "replay",
        "incarnation": replay.incarnation,
        "shift_ms": replay.shift_ms,
        "first_candle_ms": replay.first_ms,
        "ends_at_ms": replay.end_ms,
        "server_time_ms": call.now_ms,
        "ended": call.now_ms >= replay.end_ms,
        "symbols": sorted(call.venue.markets),
    }


def exchange_info(call: Call) -> Any:
    """Instruments and filters; an instrument without a candle in progress is in BREAK."""
    call.params.ignore("permissions", "showPermissionSets", "symbolStatus")
    wanted = _symbols(call)
    call.params.done()
    info = call.venue.exchange_info
    symbols = []
    for entry in info["symbols"]:
        if entry["symbol"] in wanted:
            closed = call.venue.markets[entry["symbol"]].quote(call.now_ms) is None
            symbols.append({**entry, "status": "BREAK"} if closed and entry["status"] == "TRADING" else entry)
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": call.venue.limits.payload(),
        "exchangeFilters": [],
        "symbols": symbols,
    }


def candles(call: Call) -> Any:
    """Candles, the one in progress among them: it shows its open only until it closes."""
    params = call.params
    market = call.venue.engine.market(params.text("symbol"))
    interval = params.text("interval")
    if interval not in TIMEFRAMES or TIMEFRAMES[interval] * 1000 % market.timeframe_ms:
        raise Refusal(-1120, "Invalid interval.")
    start_ms, end_ms = params.optional_whole("startTime"), params.optional_whole("endTime")
    limit = params.limit()
    params.done()
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        return []
    found = market.candles(interval, call.now_ms, start_ms=start_ms, end_ms=end_ms, limit=limit)
    return [_wire_candle(candle) for candle in found]


def _wire_candle(candle: MarketCandle) -> list[Any]:
    # Who took, and in how many trades, is not in the files: nobody, in none.
    return [
        candle.open_ms,
        digits(candle.open),
        digits(candle.high),
        digits(candle.low),
        digits(candle.close),
        digits(candle.volume),
        candle.close_ms,
        digits(quantise(candle.quote_volume, 8)),
        0,
        _NOTHING,
        _NOTHING,
        "0",
    ]


def ticker_price(call: Call) -> Any:
    """The newest price that is known."""
    return _each(call, lambda symbol, market: {"symbol": symbol, "price": digits(market.last_price(call.now_ms))})


def book_ticker(call: Call) -> Any:
    """The prices that takers get, and how much of it."""
    return _each(call, lambda symbol, market: {"symbol": symbol, **_best(call, symbol, market)})


def ticker_24hr(call: Call) -> Any:
    """The last 24 hours."""
    call.params.ignore("type")
    return _each(call, lambda symbol, market: _ticker(call, symbol, market))


def _each(call: Call, payload: Callable[[str, Market], dict[str, Any]]) -> Any:
    single = call.params.has("symbol")
    symbols = _symbols(call)
    call.params.ignore("symbolStatus")
    call.params.done()
    found = [payload(symbol, call.venue.markets[symbol]) for symbol in symbols]
    return found[0] if single else found


def _symbols(call: Call) -> list[str]:
    """The instruments asked for by `symbol`, by `symbols`, or all."""
    one, several = call.params.optional("symbol"), call.params.optional("symbols")
    if one is not None and several is not None:
        raise Refusal(-1128, "Combination of optional parameters invalid.")
    wanted = list(call.venue.markets)
    if one is not None:
        wanted = [one]
    if several is not None:
        wanted = _list(several)
    for symbol in wanted:
        call.venue.engine.market(symbol)
    return wanted


def _list(text: str) -> list[str]:
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Refusal(-1100, "Illegal characters found in parameter 'symbols'; legal range is a JSON array of texts.")
    return names


def _best(call: Call, symbol: str, market: Market) -> dict[str, str]:
    bid, ask, quantity = _top(call, symbol, market)
    return {
        "bidPrice": digits(bid),
        "bidQty": digits(quantity),
        "askPrice": digits(ask),
        "askQty": digits(quantity),
    }


def _top(call: Call, symbol: str, market: Market) -> tuple[Decimal, Decimal, Decimal]:
    """Bid, ask and the quantity left on each side; nothing is left where the market is closed."""
    rules, quote = market.matching_rules, market.quote(call.now_ms)
    price = market.last_price(call.now_ms) if quote is None else quote.open
    quantity = ZERO
    if quote is not None:
        taken = call.venue.book.taken(symbol, quote.candle_open_ms)
        quantity = taker_capacity(quote.previous_volume, rules, taken)
    return taker_price(Side.SELL, price, rules), taker_price(Side.BUY, price, rules), quantity


def _ticker(call: Call, symbol: str, market: Market) -> dict[str, Any]:
    day = market.candles(market.timeframe, call.now_ms, limit=_DAY_MS // market.timeframe_ms)
    first, last = (day[0].open, day[-1].close) if day else (market.last_price(call.now_ms),) * 2
    volume = sum((candle.volume for candle in day), ZERO)
    quote_volume = sum((candle.quote_volume for candle in day), ZERO)
    with localcontext(EXACT):
        average = quote_volume / volume if volume else last
        percent = (last - first) / first * 100
    return {
        "symbol": symbol,
        "priceChange": digits(last - first),
        "priceChangePercent": str(quantise(percent, 3)),
        "weightedAvgPrice": digits(quantise(average, 8)),
        "prevClosePrice": digits(first),
        "lastPrice": digits(last),
        "lastQty": digits(ZERO),
        **_best(call, symbol, market),
        "openPrice": digits(first),
        "highPrice": digits(max((candle.high for candle in day), default=last)),
        "lowPrice": digits(min((candle.low for candle in day), default=last)),
        "volume": digits(volume),
        "quoteVolume": digits(quantise(quote_volume, 8)),
        "openTime": call.now_ms - _DAY_MS,
        "closeTime": call.now_ms,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }


def depth(call: Call) -> Any:
    """A synthetic book. What takers can have stands at the best price; the levels behind it are scenery."""
    symbol = call.params.text("symbol")
    market = call.venue.engine.market(symbol)
    levels = min(call.params.limit(default=100, most=5000), _DEPTH_LEVELS)
    call.params.ignore("symbolStatus")
    call.params.done()
    bid, ask, quantity = _top(call, symbol, market)
    tick = market.matching_rules.tick_size or ONE.scaleb(-8)
    bids = [bid - level * tick for level in range(levels)]
    return {
        "lastUpdateId": call.now_ms,
        "bids": [[digits(price), digits(quantity)] for price in bids if price > 0],
        "asks": [[digits(ask + level * tick), digits(quantity)] for level in range(levels)],
    }


def _depth_weight(params: Params) -> int:
    text = params.peek("limit") or "100"
    limit = int(text) if text.isdecimal() else 100
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if limit <= most), 250)


def _by_symbol(one: int, all_of_them: int) -> Callable[[Params], int]:
    return lambda params: one if params.has("symbol") else all_of_them


def _weighs(weight: int) -> Callable[[Params], int]:
    return lambda _: weight


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", "/paper/v1/status"): Endpoint(answer=status, weight=_weighs(0)),
    ("GET", "/api/v3/ping"): Endpoint(answer=ping, weight=_weighs(1)),
    ("GET", "/api/v3/time"): Endpoint(answer=server_time, weight=_weighs(1)),
    ("GET", "/api/v3/exchangeInfo"): Endpoint(answer=exchange_info, weight=_weighs(20)),
    ("GET", "/api/v3/klines"): Endpoint(answer=candles, weight=_weighs(2)),
    ("GET", "/api/v3/depth"): Endpoint(answer=depth, weight=_depth_weight),
    ("GET", "/api/v3/ticker/24hr"): Endpoint(answer=ticker_24hr, weight=_by_symbol(2, 80)),
    ("GET", "/api/v3/ticker/price"): Endpoint(answer=ticker_price, weight=_by_symbol(2, 4)),
    ("GET", "/api/v3/ticker/bookTicker"): Endpoint(answer=book_ticker, weight=_by_symbol(2, 4)),
}
