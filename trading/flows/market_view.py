"""What placing knows of the market before it decides anything: filters, last closes, best prices, the venue's clock."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from trading.clock import Clock
from trading.domain.market import Instrument, from_ms, timeframe_s
from trading.domain.money import price_from_candle
from trading.domain.portfolio import Portfolio
from trading.errors import ConfigurationError, DataError
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import BestPrices, MarketData

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketView:
    """One look at the market. `prices` are the last stored closes; `skew_ms` is the venue's clock minus ours."""

    instruments: dict[str, Instrument]
    prices: dict[str, Decimal]
    newest_close_at: dict[str, datetime]
    best: dict[str, BestPrices]
    skew_ms: float


def view_market(ledger: Ledger, market: MarketData, clock: Clock, portfolio: Portfolio) -> MarketView:
    """Look once. Raises ConfigurationError where nothing was ingested yet."""
    with ledger.transaction() as books:
        instruments = {s: i for s, i in books.instruments.all().items() if s in portfolio.instruments}
        closes = newest_closes(books, instruments, portfolio)
    prices = {symbol: price for symbol, (_, price) in closes.items()}
    newest = {symbol: close_at for symbol, (close_at, _) in closes.items()}
    if not prices:
        raise ConfigurationError(
            "no candle is stored: expected ingest_candles (or `trading ingest`) to have run before"
        )
    best = _best_prices(market, [symbol for symbol in prices if instruments[symbol].trading])
    # Without a price now nothing can be sent, whatever the filters of the last hour say.
    instruments = {s: i if s in best or s not in prices else replace(i, trading=False) for s, i in instruments.items()}
    skew_ms = (market.server_time() - clock.now()).total_seconds() * 1000
    return MarketView(instruments=instruments, prices=prices, newest_close_at=newest, best=best, skew_ms=skew_ms)


def _best_prices(market: MarketData, symbols: list[str]) -> dict[str, BestPrices]:
    """In one request, or one by one where an instrument spoils it: that one is left out, the others go on."""
    try:
        return market.best_prices(symbols)
    except DataError:
        found: dict[str, BestPrices] = {}
        for symbol in symbols:
            try:
                found |= market.best_prices([symbol])
            except DataError as error:
                log_event(logger, "instrument_failed", level=logging.ERROR, symbol=symbol, reason=str(error))
        return found


def newest_closes(
    books: Books, instruments: Mapping[str, Instrument], portfolio: Portfolio
) -> dict[str, tuple[datetime, Decimal]]:
    """The last close of each, over the timeframes that the portfolio uses."""
    newest: dict[str, tuple[datetime, Decimal]] = {}
    for timeframe in sorted({plan.timeframe for plan in portfolio.strategies}):
        for symbol, close in last_closes(books, instruments, timeframe).items():
            newest[symbol] = max(newest.get(symbol, close), close, key=lambda one: one[0])
    return newest


def last_prices(books: Books, instruments: Mapping[str, Instrument], portfolio: Portfolio) -> dict[str, Decimal]:
    """The price of each at its last close."""
    return {symbol: price for symbol, (_, price) in newest_closes(books, instruments, portfolio).items()}


def last_closes(
    books: Books, instruments: Mapping[str, Instrument], timeframe: str
) -> dict[str, tuple[datetime, Decimal]]:
    """By symbol, when its newest stored candle closed and at which exact price."""
    newest = books.candles.newest_open_ms(list(instruments), timeframe)
    step = timedelta(seconds=timeframe_s(timeframe))
    closes: dict[str, tuple[datetime, Decimal]] = {}
    for symbol, open_ms in newest.items():
        close_at = from_ms(open_ms) + step
        panel = books.candles.panel([symbol], timeframe, until=close_at, candles=1)
        value = float(panel.close[-1, 0])
        if np.isfinite(value):
            closes[symbol] = (close_at, price_from_candle(value, instruments[symbol].tick_size))
    return closes
