"""The venue put together: data, book, engine and accounts, and how one request becomes one answer.

A request is one transaction: what it changed, what the market did until then, and its line in the request log become
durable together, before the answer leaves.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trading.clock import Clock
from trading.domain.market import to_ms
from trading.paper.accounts import Account
from trading.paper.book import Book
from trading.paper.engine import Engine
from trading.paper.limits import RateLimiter, RateLimits
from trading.paper.replay import Market
from trading.paper.wire import Params, Refusal, error_payload, without_signature

_LOG: Final = logging.getLogger(__name__)
#: More than any request of this API needs, in bytes.
LARGEST_BODY: Final = 64 * 1024
_AHEAD_MS: Final = 1000
_DEFAULT_WINDOW_MS: Final = 5000
_LARGEST_WINDOW_MS: Final = 60_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RawRequest:
    """What came over HTTP. The key is for comparing only: it is never logged."""

    received_ms: int
    method: str
    path: str
    query: str = ""
    body: str = ""
    api_key: str = field(default="", repr=False)
    client: str = ""


@dataclass(slots=True)
class Answer:
    """What goes back over HTTP."""

    payload: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Call:
    """One request on its way through an endpoint: its parameters, its account and its time."""

    def __init__(self, venue: "Venue", params: Params, now_ms: int, account: Account | None) -> None:
        self.venue = venue
        self.params = params
        self.now_ms = now_ms
        self.headers: dict[str, str] = {}
        self._account = account

    @property
    def account(self) -> str:
        """The name of the account that signed."""
        if self._account is None:
            raise Refusal(-2014, "API-key format invalid.", status=401)
        return self._account.name

    def check_window(self) -> None:
        """Refuse a request whose recvWindow has passed, by the clock of this very moment: right before matching."""
        _check_time(self.params, to_ms(self.venue.clock.now()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """What answers a method and path, what it weighs, and whether it must be signed."""

    answer: Callable[[Call], Any]
    weight: Callable[[Params], int]
    signed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """Which part of recorded history this venue plays, and for the how manieth time."""

    shift_ms: int
    incarnation: int
    first_ms: int  # of the venue's time
    end_ms: int


class Venue:
    """A paper exchange without its HTTP server."""

    def __init__(
        self,
        *,
        clock: Clock,
        book: Book,
        markets: Mapping[str, Market],
        exchange_info: Mapping[str, Any],
        accounts: tuple[Account, ...],
        replay: Replay,
        endpoints: Mapping[tuple[str, str], Endpoint],
        limits: RateLimits,
    ) -> None:
        self.clock = clock
        self.book = book
        self.markets = markets
        self.exchange_info = exchange_info
        self.replay = replay
        self.limits = limits
        self.engine = Engine(book, markets)
        self.limiter = RateLimiter(limits)
        self._accounts = {account.api_key: account for account in accounts}
        self._endpoints = endpoints

    def settle(self) -> None:
        """Bring resting orders up to now, as every request does first."""
        with self.book.transaction():
            self.engine.settle(to_ms(self.clock.now()))

    def close(self) -> None:
        """Let go of the book."""
        self.book.close()

    def handle(self, request: RawRequest) -> Answer:
        """Answer one request, and log it. Never raises for what a client sent."""
        account = self._accounts.get(request.api_key)
        # What a read settles on its way follows from the candles: after a power cut it is settled again, the same.
        with self.book.transaction(durable=request.method != "GET"):
            answer = self._answer(request, account)
            self._log(request, account, answer)
        return answer

    def _answer(self, request: RawRequest, account: Account | None) -> Answer:
        headers: dict[str, str] = {}
        try:
            params = Params(request.query, request.body)
            endpoint = self._endpoint(request)
            headers = self.limiter.charge(request.client, endpoint.weight(params), request.received_ms)
            if endpoint.signed:
                self._authenticate(request, params, account)
            with self.book.savepoint():
                self.engine.settle(to_ms(self.clock.now()))
            call = Call(self, params, to_ms(self.clock.now()), account if endpoint.signed else None)
            with self.book.savepoint():
                payload = endpoint.answer(call)
            return Answer(payload, headers={**headers, **call.headers})
        except Refusal as refusal:
            payload = error_payload(refusal.code, refusal.message)
            return Answer(payload, status=refusal.status, headers={**headers, **refusal.headers})
        except Exception:  # noqa: BLE001 - logged, and no stack trace may reach a client
            _LOG.exception("request_failed", extra={"event": "request_failed"})
            payload = error_payload(-1000, "An unknown error occurred while processing the request.")
            return Answer(payload, status=500, headers=headers)

    def _endpoint(self, request: RawRequest) -> Endpoint:
        try:
            return self._endpoints[request.method, request.path]
        except KeyError:
            raise Refusal(-1020, "This operation is not supported.", status=404) from None

    def _authenticate(self, request: RawRequest, params: Params, account: Account | None) -> None:
        if not request.api_key.isalnum():
            raise Refusal(-2014, "API-key format invalid.", status=401)
        if account is None:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        _check_time(params, request.received_ms)
        signature = params.text("signature")
        payload = without_signature(request.query) + without_signature(request.body)
        if not account.signed(payload, signature):
            raise Refusal(-1022, "Signature for this request is not valid.")

    def _log(self, request: RawRequest, account: Account | None, answer: Answer) -> None:
        sent = [without_signature(request.query), without_signature(request.body)]
        query = "&".join(text for text in sent if text)
        self.book.log_request(
            {
                "received_at_ms": request.received_ms,
                "account": account.name if account else None,
                "method": request.method,
                "path": request.path,
                "client_order_id": client_order_id_in(query),
                "status": answer.status,
                "code": answer.payload.get("code") if isinstance(answer.payload, dict) else None,
                "query": query,
            }
        )


def client_order_id_in(query: str) -> str | None:
    """The client's own order id that a query or body names."""
    for name in ("newClientOrderId=", "origClientOrderId="):
        for part in query.split("&"):
            if part.startswith(name):
                return part.removeprefix(name)
    return None


def _check_time(params: Params, now_ms: int) -> None:
    signed_ms = params.whole("timestamp")
    window = params.optional_decimal("recvWindow")
    if window is not None and window > _LARGEST_WINDOW_MS:
        raise Refusal(-1102, f"'recvWindow' contains unexpected value. Cannot be greater than {_LARGEST_WINDOW_MS}.")
    if signed_ms >= now_ms + _AHEAD_MS:
        raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - signed_ms > (_DEFAULT_WINDOW_MS if window is None else window):
        raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
