"""A venue's market data and order desk through ccxt, which signs and names the endpoints; the answers are read raw.

ccxt's own parsing is passed by: it rounds what it sends, goes through floats, and returns an order of `id=None` for an
empty answer. What is POSTed here is the text that the request's hash covers.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import orjson

from trading.adapters import binance_answers as answers
from trading.adapters.ccxt_errors import CANCEL_REJECTED, NO_SUCH_ORDER, UNKNOWN_SYMBOL, VenueRefused
from trading.adapters.venue_capabilities import capabilities
from trading.adapters.venue_history import Listing
from trading.adapters.venue_wire import VenueWire
from trading.clock import Clock
from trading.domain.key_rights import KeyRights
from trading.domain.ledger import Balance, Fill
from trading.domain.market import CandleSeries, Instrument, from_ms, timeframe_s
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.errors import ConfigurationError, DataError, InvariantViolation, OrderRejected
from trading.ports.market import BestPrices


def load_binance() -> Any:
    """The class `binance` of ccxt, imported past the package's `__init__`, which imports a hundred other venues."""
    loaded = sys.modules.get("ccxt")
    if loaded is None:
        spec = find_spec("ccxt")
        if spec is None or spec.submodule_search_locations is None:
            raise ConfigurationError("the package ccxt is not installed: expected it from requirements.txt")
        bare = ModuleType("ccxt")
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules["ccxt"] = bare
    try:
        return import_module("ccxt.binance").binance
    finally:
        if loaded is None:  # whoever imports ccxt after us gets the whole of it
            del sys.modules["ccxt"]


class CcxtExchange:
    """`MarketData` and `Venue` of one account, for one thread.

    `base_url` None is the venue's own address. Without credentials only public reads work. A credential may be a
    callable, asked at each signed request; `secrets_named` says which secrets they are. `api_timeout_s` bounds a whole
    request, to the last byte of its answer.
    """

    def __init__(
        self,
        venue: str,
        *,
        clock: Clock,
        base_url: str | None = None,
        api_key: str | Callable[[], str] = "",
        api_secret: str | Callable[[], str] = "",
        recv_window_ms: int = 2_000,
        api_timeout_s: float = 10,
        secrets_named: str = "of the exchange",
    ) -> None:
        self._can = capabilities(venue)
        if not 0 < recv_window_ms <= self._can.max_recv_window_ms:
            raise ConfigurationError(
                f"recvWindow: expected 1 to {self._can.max_recv_window_ms} ms at {venue}, got {recv_window_ms}"
            )
        self._venue = venue
        self._base_url = (base_url or self._can.base_url).rstrip("/")
        self._symbols: dict[str, str] = {}  # BTCUSDT → BTC/USDT, as far as anybody asked
        self._wire = VenueWire(
            f"{venue} at {self._base_url}",
            connect=partial(_client, self._base_url, self._can.api_path),
            clock=clock,
            api_key=api_key,
            api_secret=api_secret,
            recv_window_ms=recv_window_ms,
            api_timeout_s=api_timeout_s,
            weight_per_minute=self._can.weight_per_minute,
            secrets_named=secrets_named,
        )

    def __repr__(self) -> str:
        return f"CcxtExchange({self._venue!r}, base_url={self._base_url!r})"

    def server_time(self) -> datetime:
        """The venue's own clock, aware UTC."""
        payload = self._wire.read("publicGetTime", {})
        with answers.reading(f"time of {self._venue}"):
            return from_ms(payload["serverTime"])

    def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """The named instruments with today's filters. Raises ConfigurationError for a symbol that the venue lacks."""
        if not symbols:
            return []
        entries = self._listed([self._venue_symbol(symbol) for symbol in symbols])
        missing = [symbol for symbol in symbols if self._venue_symbol(symbol) not in entries]
        if missing:
            raise ConfigurationError(f"{self._venue} does not list {', '.join(missing)}: check the portfolio file")
        return [answers.instrument(entries[self._venue_symbol(symbol)], symbol) for symbol in symbols]

    def candles(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        """Candles with since_ms ≤ open_ms < until_ms, ascending, as the venue gives them: the last one may be open."""
        page_ms = timeframe_s(timeframe) * 1000 * self._can.candles_per_call
        pages, most = [CandleSeries.from_rows([])], self._can.candles_per_call
        # Explicit windows: a page without an end jumps over a gap without a word.
        for start_ms in range(since_ms, until_ms, page_ms):
            parameters = {
                "symbol": self._venue_symbol(instrument),
                "interval": timeframe,
                "startTime": start_ms,
                "endTime": min(start_ms + page_ms, until_ms) - 1,
                "limit": most,
            }
            pages.append(answers.candles(self._wire.read("publicGetKlines", parameters), instrument, most=most))
        return answers.candle_pages(pages, since_ms=since_ms, until_ms=until_ms)

    def best_prices(self, symbols: Sequence[str]) -> dict[str, BestPrices]:
        """Bid and ask now, by symbol."""
        if not symbols:
            return {}
        names = [self._venue_symbol(symbol) for symbol in symbols]
        prices = answers.best_prices(self._wire.read("publicGetTickerBookTicker", {"symbols": _json(names)}))
        absent = [symbol for symbol in symbols if self._venue_symbol(symbol) not in prices]
        if absent:
            raise DataError(f"best prices: expected {', '.join(symbols)}, got none of {', '.join(absent)}")
        return {symbol: prices[self._venue_symbol(symbol)] for symbol in symbols}

    def submit(self, request: OrderRequest) -> VenueOrder:
        """One POST, signed with exactly `request.signed_at`, never repeated.

        Raises OrderRejected for a definite no, OutcomeUnknown for everything else that is not a clear yes.
        """
        name = request.client_order_id
        if len(name) != self._can.client_order_id_digits or set(name) - set("0123456789abcdef"):
            raise InvariantViolation(f"order id: expected {self._can.client_order_id_digits} hex digits, got {name!r}")
        reply = self._wire.post("privatePostOrder", answers.order_parameters(request))
        rejected = self._wire.refusal(reply)
        if rejected is not None:
            raise rejected
        return answers.accepted_order(request, reply)

    def cancel(self, instrument: str, client_order_id: str) -> None:
        """Ask for a cancel, which may be repeated. Raises OrderRejected where there is nothing to cancel."""
        parameters = {"symbol": self._venue_symbol(instrument), "origClientOrderId": client_order_id}
        try:
            self._wire.read("privateDeleteOrder", parameters)
        except VenueRefused as error:
            if error.code != CANCEL_REJECTED:
                raise
            raise OrderRejected(str(error.code), f"order {client_order_id}: nothing to cancel ({error})") from error

    def order(self, instrument: str, client_order_id: str) -> VenueOrder | None:
        """The newest order of that name; None where the venue says that it knows none (which may lag the truth)."""
        parameters = {"symbol": self._venue_symbol(instrument), "origClientOrderId": client_order_id}
        try:
            payload = self._wire.read("privateGetOrder", parameters)
        except VenueRefused as error:
            if error.code == NO_SUCH_ORDER:
                return None
            raise
        found = answers.venue_order(payload, instrument)
        if found.client_order_id != client_order_id or payload.get("symbol") != parameters["symbol"]:
            raise DataError(f"order {client_order_id}: the venue answered about {found.client_order_id!r}")
        return found

    def open_orders(self) -> list[VenueOrder]:
        """Everything that rests there, ours or not."""
        payload = self._wire.read("privateGetOpenOrders", {})
        with answers.reading("open orders"):
            self._learn({row["symbol"] for row in payload})
            return [answers.venue_order(row, self._symbols[row["symbol"]]) for row in payload]

    def order_history(self, instrument: str, *, since: datetime, until: datetime) -> list[VenueOrder]:
        """Orders of any state and anybody with since ≤ created_at < until, each once, ascending."""
        orders = Listing(
            name=f"orders of {instrument}",
            endpoint="privateGetAllOrders",
            cursor="orderId",
            rows_per_call=self._can.orders_per_call,
            window_s=self._can.orders_window_s,
            parse=lambda row: answers.venue_order(row, instrument),
            place=lambda order: (int(order.venue_order_id), order.created_at),
        )
        return orders.read(self._wire, {"symbol": self._venue_symbol(instrument)}, since, until)

    def fills(self, instrument: str, *, since: datetime, until: datetime) -> list[Fill]:
        """Executions with since ≤ filled_at < until, each once, ascending."""
        fills = Listing(
            name=f"fills of {instrument}",
            endpoint="privateGetMyTrades",
            cursor="fromId",
            rows_per_call=self._can.fills_per_call,
            window_s=self._can.fills_window_s,
            parse=lambda row: answers.fill(row, instrument, self._venue),
            place=lambda fill: (int(fill.venue_fill_id), fill.filled_at),
        )
        return fills.read(self._wire, {"symbol": self._venue_symbol(instrument)}, since, until)

    def balances(self) -> dict[str, Balance]:
        """What the account holds, by currency; zeros left out."""
        return answers.balances(self._wire.read("privateGetAccount", {}))

    def key_rights(self) -> KeyRights:
        """What the API key may do. Raises ExchangeError or DataError where the venue does not say (a testnet)."""
        return answers.key_rights(self._wire.read("sapiGetAccountApiRestrictions", {}))

    def _listed(self, names: Sequence[str]) -> dict[str, Any]:
        """Entries of exchangeInfo by the venue's symbol, in one call; asked one by one only to find an unknown one."""
        try:
            payload = self._wire.read("publicGetExchangeInfo", {"symbols": _json(names)})
        except VenueRefused as error:
            if error.code != UNKNOWN_SYMBOL:
                raise
            singly = [self._listed([name]) for name in names] if len(names) > 1 else []
            return {name: entry for found in singly for name, entry in found.items()}
        with answers.reading(f"instruments of {self._venue}"):
            return {entry["symbol"]: entry for entry in payload["symbols"]}

    def _learn(self, names: set[str]) -> None:
        """Find out what the venue's own symbols stand for, where nobody asked for them yet."""
        unknown = sorted(names - self._symbols.keys())
        if unknown:
            for name, entry in self._listed(unknown).items():
                self._symbols[name] = f"{entry['baseAsset']}/{entry['quoteAsset']}"

    def _venue_symbol(self, symbol: str) -> str:
        name = answers.venue_symbol(symbol)
        self._symbols[name] = symbol
        return name


def _client(base_url: str, api_path: str) -> Any:
    """A ccxt client that can reach `base_url` and nothing else."""
    from trading.adapters.venue_session import VenueSession  # noqa: PLC0415 - imports requests

    client = load_binance()(
        {
            "session": VenueSession(base_url),
            "enableRateLimit": False,  # the venue's own count of our weight is kept instead, see VenueWire
            "options": {"maxRetriesOnFailure": 0},
            "verbose": False,
            # Outside the tree of loggers: at DEBUG ccxt writes each request's headers, the API key among them.
            "logger": logging.Logger("ccxt", logging.WARNING),
        }
    )
    for key in client.urls["api"]:
        client.urls["api"][key] = base_url + api_path
    client.urls["api"]["sapi"] = f"{base_url}/sapi/v1"  # where the venue tells what a key may do, and nothing else
    return client


def _json(names: Sequence[str]) -> str:
    return orjson.dumps(list(names)).decode()
