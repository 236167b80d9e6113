"""Orders through the adapter: each POST arrives exactly once, and only a clear yes is an order."""

import hashlib
import hmac
import logging
import socket
import threading
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest
from ccxt_examples import KEY, NOW, REQUEST, SECRET, YES, exchange_at
from scripted_venue import ScriptedVenue, answer, drip, error, reset, silence, truncated

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.domain.order import OrderType
from trading.domain.venue_order import VenueOrderStatus
from trading.errors import (
    ConfigurationError,
    ExchangeUnavailable,
    InvariantViolation,
    OrderRejected,
    OutcomeUnknown,
)

pytestmark = pytest.mark.usefixtures("no_backoff")
LIMIT = replace(REQUEST, order_type=OrderType.LIMIT, limit_price=Decimal("60123.40"))


def test_a_clear_yes_is_an_order(venue: ScriptedVenue) -> None:
    """The answer's own fields come back as exact amounts."""
    venue.will(answer(YES))
    order = exchange_at(venue).submit(REQUEST)
    assert (order.venue_order_id, order.client_order_id) == ("28", REQUEST.client_order_id)
    assert (order.status, order.quantity) == (VenueOrderStatus.FILLED, Decimal("0.00012"))
    assert order.created_at == NOW
    assert venue.count("POST") == len(venue.arrived) == 1


def test_what_is_posted_is_what_was_signed_for(venue: ScriptedVenue) -> None:
    """Time, window and amounts go out as in the request, not as ccxt would round them, signed over exactly that."""
    venue.will(answer({**YES, "type": "LIMIT", "status": "NEW", "executedQty": "0.00000000"}))
    exchange_at(venue).submit(LIMIT)
    (posted,) = venue.arrived
    signature = posted.parameters.pop("signature")
    assert (posted.path, posted.headers["x-mbx-apikey"]) == ("/api/v3/order", KEY)
    assert posted.parameters == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.00012",
        "price": "60123.4",
        "timeInForce": "GTC",
        "newClientOrderId": REQUEST.client_order_id,
        "newOrderRespType": "FULL",
        "timestamp": str(to_ms(REQUEST.signed_at)),
        "recvWindow": "1500",
    }
    signed = "&".join(f"{name}={value}" for name, value in posted.parameters.items())
    assert signature == hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()


def test_a_market_order_names_its_quantity_and_no_price(venue: ScriptedVenue) -> None:
    """A price would turn it into an order for an amount of quote."""
    venue.will(answer(YES))
    exchange_at(venue).submit(REQUEST)
    assert venue.arrived[0].parameters.keys().isdisjoint({"price", "quoteOrderQty", "timeInForce"})


UNKNOWN = {
    "reset": reset,
    "truncated body": truncated(YES),
    "empty 200": answer(""),
    "HTML 200": answer("<html>fine</html>"),
    "JSON that is no object": answer([YES]),
    "HTML 502": answer("<html>Bad Gateway</html>", 502),
    "HTML 403": answer("<html>Forbidden</html>", 403),
    "a yes in a 500": answer(YES, 500),
    "503": error(-1000, "Unknown error", 503),
    "-1006": error(-1006, "An unexpected response was received from the message bus.", 500),
    "-1007": error(-1007, "Timeout waiting for response from backend server.", 504),
    "-1007 as a 400": error(-1007, "Timeout waiting for response from backend server.", 400),
    "-1013 from a broken gateway": error(-1013, "Filter failure: LOT_SIZE", 502),
    "-2010 duplicate": error(-2010, "Duplicate order sent."),
    "another id": answer({**YES, "clientOrderId": "x" * 32}),
    "another instrument": answer({**YES, "symbol": "ETHUSDT"}),
    "another side": answer({**YES, "side": "SELL"}),
    "another quantity": answer({**YES, "origQty": "0.00013000"}),
    "a float for an amount": answer({**YES, "origQty": 0.00012}),
    "an order without an id": answer({**YES, "orderId": None}),
    "a status that nobody knows": answer({**YES, "status": "DREAMING"}),
    "an acknowledgement only": answer(
        {key: YES[key] for key in ("symbol", "orderId", "clientOrderId", "transactTime")}
    ),
    "a time beyond the calendar": answer({**YES, "transactTime": 10**18}),
    "a redirect": answer("", 307, {"Location": "/api/v3/order"}),
    "silence": silence,
    "a byte at a time": drip,
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_neither_yes_nor_no_is_unknown_and_posted_once(venue: ScriptedVenue, case: str) -> None:
    """The order may exist: the error says so, names the order, and nothing is sent again."""
    venue.will(UNKNOWN[case])
    with pytest.raises(OutcomeUnknown, match=REQUEST.client_order_id):
        exchange_at(venue, timeout_s=0.5 if case in ("silence", "a byte at a time") else 5).submit(REQUEST)
    assert venue.count("POST") == len(venue.arrived) == 1


REJECTED = {
    "-1013": (error(-1013, "Filter failure: NOTIONAL"), "-1013"),
    "-1015": (error(-1015, "Too many new orders.", 429), "-1015"),
    "-1021": (error(-1021, "Timestamp for this request is outside of the recvWindow."), "-1021"),
    "-1022": (error(-1022, "Signature for this request is not valid."), "-1022"),
    "-2010": (error(-2010, "Account has insufficient balance for requested action."), "-2010"),
    "-2014": (error(-2014, "API-key format invalid.", 401), "-2014"),
    "-2015": (error(-2015, "Invalid API-key, IP, or permissions for action.", 401), "-2015"),
    "429": (error(-1003, "Too many requests.", 429, {"Retry-After": "1"}), "-1003"),
    "418 in HTML": (answer("<html>banned</html>", 418, {"Retry-After": "120"}), "HTTP 418"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_definite_no_is_rejected_and_posted_once(venue: ScriptedVenue, case: str) -> None:
    """The order does not exist, and the venue's own code says why."""
    action, code = REJECTED[case]
    venue.will(action)
    with pytest.raises(OrderRejected) as caught:
        exchange_at(venue).submit(REQUEST)
    assert caught.value.code == code
    assert venue.count("POST") == len(venue.arrived) == 1


def test_the_next_request_is_not_answered_by_the_one_before(venue: ScriptedVenue) -> None:
    """A request that was given up is left behind: neither its answer nor its error is taken for that of the next."""
    exchange = exchange_at(venue, timeout_s=0.5)
    venue.will(silence, answer(YES), reset)
    with pytest.raises(OutcomeUnknown, match=r"no complete answer within 0\.5 s|ReadTimeout"):
        exchange.submit(REQUEST)
    assert exchange.submit(REQUEST).venue_order_id == "28"
    with pytest.raises(OutcomeUnknown, match="NetworkError from ConnectionError"):
        exchange.submit(REQUEST)
    assert venue.count("POST") == 3


def test_an_answer_that_comes_after_the_time_out_is_nobodys(venue: ScriptedVenue) -> None:
    """While a second request of the same order is under way, the first one's yes arrives: it settles neither."""
    second_is_here = threading.Event()

    def late(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not second_is_here.wait(0.05) and not over.is_set():
            connection.sendall(b" ")  # alive enough that no single read of the client times out
        connection.sendall(orjson.dumps(YES))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # returns when the client has read it all and hung up
        first_was_read.set()

    def lost(connection: socket.socket, over: threading.Event) -> None:
        second_is_here.set()
        first_was_read.wait(timeout=10)
        reset(connection, over)

    first_was_read = threading.Event()
    venue.will(late, lost)
    exchange = exchange_at(venue, timeout_s=0.5)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            exchange.submit(REQUEST)
    assert first_was_read.is_set()


def test_an_order_id_of_another_shape_is_never_sent(venue: ScriptedVenue) -> None:
    """An id that the venue would shorten could not be found again."""
    with pytest.raises(InvariantViolation, match="32 hex digits"):
        exchange_at(venue).submit(replace(REQUEST, client_order_id="not-hex"))
    assert not venue.arrived


def test_without_credentials_nothing_signed_is_sent(venue: ScriptedVenue) -> None:
    """The message names what is missing; public reads need none."""
    exchange = CcxtExchange("binance", clock=ManualClock(NOW), base_url=venue.url)
    venue.will(answer({"serverTime": to_ms(NOW)}))
    assert exchange.server_time() == NOW
    with pytest.raises(ConfigurationError, match="expected an API key and secret"):
        exchange.balances()
    assert len(venue.arrived) == 1


def test_no_request_leaves_for_another_host(venue: ScriptedVenue) -> None:
    """A client that was turned to another address, by whatever mistake, sends nothing."""
    exchange = exchange_at(venue)
    with ScriptedVenue() as elsewhere:
        venue.will(answer({"serverTime": to_ms(NOW)}))
        exchange.server_time()
        exchange._wire._client.urls["api"]["private"] = elsewhere.url + "/api/v3"
        with pytest.raises(ConfigurationError, match="nothing was sent"):
            exchange.submit(REQUEST)
        assert (len(venue.arrived), elsewhere.arrived) == (1, [])


def test_no_proxy_of_the_environment_gets_between(venue: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed request passes through nobody whom the settings do not name."""
    with ScriptedVenue() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        venue.will(answer(YES))
        exchange_at(venue).submit(REQUEST)
        assert proxy.arrived == []


def test_every_address_of_ccxt_is_the_given_one(venue: ScriptedVenue) -> None:
    """No endpoint, however exotic, still points at the real venue."""
    venue.will(answer({"serverTime": to_ms(NOW)}))
    exchange = exchange_at(venue)
    exchange.server_time()
    assert set(exchange._wire._client.urls["api"].values()) == {
        venue.url + "/api/v3",
        venue.url + "/sapi/v1",
    }


def test_verbose_is_refused(venue: ScriptedVenue) -> None:
    """ccxt would print the API key."""
    exchange = exchange_at(venue)
    venue.will(answer({"serverTime": to_ms(NOW)}))
    exchange.server_time()
    exchange._wire._client.verbose = True
    with pytest.raises(InvariantViolation, match="verbose"):
        exchange.submit(REQUEST)
    assert venue.count("POST") == 0


def test_no_credential_is_printed_or_logged(
    venue: ScriptedVenue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither repr, messages, output nor logs at DEBUG hold the key or the secret."""
    caplog.set_level(logging.DEBUG)
    exchange = exchange_at(venue)
    venue.will(answer(YES), reset, reset, reset)
    exchange.submit(REQUEST)
    with pytest.raises(ExchangeUnavailable) as caught:
        exchange.cancel("BTC/USDT", REQUEST.client_order_id)
    told = f"{caplog.text}{capfd.readouterr()}{exchange!r}{exchange._wire!r}{caught.value}"
    assert caught.value.args
    assert not [secret for secret in (KEY, SECRET) if secret in told]
