"""The table of ids against the unmodified ccxt classes, whose requests are recorded before they leave the machine."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import ccxt
import orjson
import pytest
import requests
from ccxt_examples import NOW, REQUEST, YES, exchange_at
from requests.adapters import BaseAdapter
from scripted_venue import ScriptedVenue, answer

from trading.adapters.venue_capabilities import VenueCapabilities, capabilities
from trading.adapters.venue_order_calls import ORDER_CALLS, Call, IdOnCall, Listing
from trading.domain.market import to_ms
from trading.errors import ConfigurationError

OURS, THEIRS = REQUEST.client_order_id, "4711"
SINCE_MS = to_ms(NOW)
SYMBOL = "BTC/USDT"
#: The calls that are about one order, by our id and by the venue's.
ASK: dict[Call, Any] = {
    Call.CREATE: lambda client, _, params: client.create_order(SYMBOL, "limit", "buy", 0.01, 100, params),
    Call.FETCH: lambda client, order_id, params: client.fetch_order(order_id, SYMBOL, params),
    Call.CANCEL: lambda client, order_id, params: client.cancel_order(order_id, SYMBOL, params),
}
#: So that no client asks for the kind of its account first.
SPOT = {"uta": False, "unifiedAccount": False, "enableUnifiedMargin": False, "enableUnifiedAccount": True}


class Recorder(BaseAdapter):
    """A transport that keeps what would have been sent, and answers with an empty object."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        self.requests.append(request)
        response = requests.Response()
        response.status_code, response._content, response.request = 200, b"{}", request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        """Nothing is open."""


def recorded(venue: str) -> tuple[Any, Recorder]:
    """ccxt's own class of this venue, with a market and no network."""
    recorder, session = Recorder(), requests.Session()
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, recorder)
    keys = {"apiKey": "k" * 20, "secret": "c" * 44, "password": "p", "uid": "u"}
    client = getattr(ccxt, venue)({**keys, "session": session, "enableRateLimit": False, "options": SPOT})
    kinds = dict.fromkeys(("margin", "swap", "future", "option", "contract"), False)
    unset = dict.fromkeys(("linear", "inverse", "settle"))
    market = {
        "id": "BTCUSDT",
        "symbol": SYMBOL,
        "wsId": SYMBOL,
        "type": "spot",
        "spot": True,
        "active": True,
        "base": "BTC",
        "quote": "USDT",
        "baseId": "BTC",
        "quoteId": "USDT",
        **kinds,
        **unset,
        "precision": {"amount": 1e-5, "price": 0.01},
        "limits": {"amount": {}, "price": {}, "cost": {}},
        "info": {"orderTypes": ["LIMIT", "MARKET"]},
    }
    client.set_markets([market], {code: {"id": code, "code": code, "precision": 1e-8} for code in ("BTC", "USDT")})
    return client, recorder


def asked(venue: str, call: Call | Listing, *, ours: bool = True) -> "Wire":
    """What one unified call puts on the wire; an answer that cannot be parsed does not matter here."""
    client, recorder = recorded(venue)
    with contextlib.suppress(ccxt.BaseError, TypeError):
        if isinstance(call, Listing):
            getattr(client, call.value)(SYMBOL, SINCE_MS, 1000)
        else:
            ASK[call](client, None if ours else THEIRS, {"clientOrderId": OURS} if ours else {})
    return Wire([request for request in recorder.requests if not urlsplit(request.url or "").path.endswith("/detail")])


class Wire:
    """The requests of one call, as (name, value) parameters, headers and paths."""

    def __init__(self, sent: list[requests.PreparedRequest]) -> None:
        self.sent = sent
        self.parameters = [parameter for request in sent for parameter in _parameters(request)]
        self.paths = [unquote(urlsplit(request.url or "").path) for request in sent]
        self.headers = {name.lower() for request in sent for name in request.headers}

    def carries(self, template: str, order_id: str) -> bool:
        """Whether the id stands exactly where the template says."""
        text = template.replace("{}", order_id)
        if template.startswith("/"):
            return any(path.endswith(text) for path in self.paths)
        return tuple(text.split("=", 1)) in self.parameters

    def mentions(self, order_id: str) -> bool:
        """Whether the id stands anywhere at all."""
        return any(order_id in value for _, value in self.parameters) or any(order_id in path for path in self.paths)


def _parameters(request: requests.PreparedRequest) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(urlsplit(request.url or "").query)
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
    with contextlib.suppress(orjson.JSONDecodeError):
        yield from _flat("", orjson.loads(body))
        return
    yield from parse_qsl(body)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(key, item)
    elif isinstance(value, list):
        for item in value:
            yield from _flat(name, item)
    else:
        yield name, str(value)


def differences(venue: str, call: Call, row: IdOnCall) -> list[str]:
    """Where the wire is not what the row says."""
    wire, found = asked(venue, call), []
    if row.ours and not wire.carries(row.ours, OURS):
        found.append(f"our id is not sent as {row.ours}: {wire.parameters} {wire.paths}")
    if not row.ours and wire.mentions(OURS):
        found.append(f"our id is sent, and the row says that it is not: {wire.parameters} {wire.paths}")
    if call is not Call.CREATE:
        wire = asked(venue, call, ours=False)
        if row.theirs and not wire.carries(row.theirs, THEIRS):
            found.append(f"the venue's id is not sent as {row.theirs}: {wire.parameters} {wire.paths}")
        if not row.theirs and wire.mentions(THEIRS):
            found.append(f"the venue's id is sent, and the row says that it is not: {wire.parameters} {wire.paths}")
    return found


CELLS = [(venue, call) for venue in ORDER_CALLS for call in Call]


@pytest.mark.parametrize(("venue", "call"), CELLS)
def test_ids_stand_on_the_wire_where_the_table_says(venue: str, call: Call) -> None:
    """Our id and the venue's, under exactly these names, or nowhere."""
    assert differences(venue, call, ORDER_CALLS[venue].calls[call]) == []


@pytest.mark.parametrize(("venue", "call"), CELLS)
def test_a_wrong_row_is_found(venue: str, call: Call) -> None:
    """With another name, with the id left out, or with one that is not sent, the comparison above fails."""
    row = ORDER_CALLS[venue].calls[call]
    wrong = [replace(row, ours="someOtherName={}"), replace(row, ours="" if row.ours else "clientOrderId={}")]
    if call is not Call.CREATE:
        wrong += [replace(row, theirs="someOtherName={}"), replace(row, theirs="" if row.theirs else "orderId={}")]
    assert all(differences(venue, call, one) for one in wrong)


@pytest.mark.parametrize("venue", ORDER_CALLS)
def test_an_id_works_where_every_call_sends_it_under_a_name_that_the_venue_knows(venue: str) -> None:
    """`works` follows from the wire: the unified name handed on as it is, nothing sent, or another id, does not work.

    A venue knows our id under the name that its own answers use, or as a part of the path; binance and mexc alone
    have one name for a new order and another for one that exists.
    """
    known = {ORDER_CALLS[venue].shown_as}
    if venue in ("binance", "mexc"):
        known = {"newClientOrderId", "origClientOrderId"}
    for call, row in ORDER_CALLS[venue].calls.items():
        assert row.works == (row.ours.startswith("/") or row.ours.split("=")[0] in known), call


@pytest.mark.parametrize("venue", ORDER_CALLS)
def test_answers_show_our_id_under_the_name_of_the_table(venue: str) -> None:
    """ccxt reads it there, and not from a name that no venue uses."""
    client, _ = recorded(venue)

    def told(name: str) -> Any:
        return client.parse_order({name: OURS, "symbol": "BTCUSDT"}, client.market(SYMBOL))["clientOrderId"]

    assert told(ORDER_CALLS[venue].shown_as) == OURS
    assert told("someOtherName") != OURS


@pytest.mark.parametrize("venue", ORDER_CALLS)
def test_a_deadline_is_sent_where_the_table_says(venue: str) -> None:
    """As a parameter or header of each request about an order, or not at all under any such name."""
    for call in Call:
        wire = asked(venue, call)
        names = {name for name, _ in wire.parameters} | wire.headers
        deadline = ORDER_CALLS[venue].deadline
        if deadline:
            assert not wire.sent or {deadline, deadline.lower()} & names
        else:
            assert not {name for name in names if "recvwindow" in name.lower() or "exp" in name.lower()}


@pytest.mark.parametrize("venue", ORDER_CALLS)
def test_the_ways_to_list_are_those_of_the_table(venue: str) -> None:
    """A way that ccxt lacks sends nothing."""
    assert {listing for listing in Listing if asked(venue, listing).sent} == ORDER_CALLS[venue].lists


@pytest.mark.parametrize("venue", sorted(ORDER_CALLS.keys() - {"binance"}))
def test_a_venue_without_a_row_of_limits_says_why(venue: str) -> None:
    """One sentence, which names what is missing and the venue that can be used."""
    with pytest.raises(ConfigurationError, match=rf"{venue}.*market data at most, since .*expected one of binance"):
        capabilities(venue)


# binance: what our own adapter sends, which asks ccxt for the venue's own endpoints


CAN: VenueCapabilities = capabilities("binance")
NOTHING = {"-2013": {"code": -2013, "msg": "Order does not exist."}, "-2011": {"code": -2011, "msg": "Unknown order."}}


def sent_by_the_adapter(venue: ScriptedVenue, call: Call) -> dict[str, str]:
    """The parameters of one call of ours."""
    exchange = exchange_at(venue)
    if call is Call.CREATE:
        venue.will(answer(YES))
        exchange.submit(REQUEST)
    elif call is Call.FETCH:
        venue.will(answer(NOTHING["-2013"], 400))
        assert exchange.order(SYMBOL, OURS) is None
    else:
        venue.will(answer({}))
        exchange.cancel(SYMBOL, OURS)
    return venue.arrived[-1].parameters


@pytest.mark.parametrize("call", Call)
def test_our_adapter_names_an_order_as_the_table_says(venue: ScriptedVenue, call: Call) -> None:
    """The parameter of the row holds our id, no other parameter does, and the deadline goes with it."""
    row = ORDER_CALLS["binance"].calls[call]
    sent = sent_by_the_adapter(venue, call)
    assert [name for name, value in sent.items() if value == OURS] == [row.ours.removesuffix("={}")]
    assert int(sent[ORDER_CALLS["binance"].deadline]) <= CAN.max_recv_window_ms
    assert sent["timestamp"]
