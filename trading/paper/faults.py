"""Faults put into a paper exchange: what is wrapped around it, and only where somebody asked for faults.

`FaultInjector` gives `trading.paper.server` its four places: the venue's endpoints and clock (`venue_faults`), one ASGI
middleware (`wire_faults`), and the HTTP protocol that lets the middleware reach the connection.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from trading.clock import Clock
from trading.errors import ConfigurationError
from trading.paper.fault_plan import FaultPlan, parse_json
from trading.paper.opening import ENDPOINTS, PaperSettings, open_venue
from trading.paper.venue import LARGEST_BODY, Venue, client_order_id_in
from trading.paper.venue_faults import FAULTS, FaultClock, with_faults
from trading.paper.wire_faults import WireRequest, spoil

CONTROL_PATH: Final = "/paper/v1/faults"
_TRANSPORT: Final = "trading.paper.transport"


class ConnectionProtocol(H11Protocol):
    """Uvicorn's HTTP, which also tells the application its connection: ASGI has no word for a reset."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport into the state of each request of this connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


@dataclass(frozen=True, kw_only=True)
class FaultInjector:
    """A plan, and whether it may be changed over HTTP."""

    plan: FaultPlan = field(default_factory=FaultPlan)
    control: bool = False
    protocol: type[ConnectionProtocol] = ConnectionProtocol

    def open_venue(self, settings: PaperSettings, clock: Clock) -> Venue:
        """The venue, whose endpoints and clock follow the plan."""
        return open_venue(settings, FaultClock(clock), with_faults(ENDPOINTS, self.plan))

    def middleware(self) -> Sequence[Middleware]:
        """What stands between the wire and the venue."""
        return [Middleware(FaultMiddleware, plan=self.plan, control=self.control)]


class FaultMiddleware:
    """Draws the faults of each request, and does to it what they say."""

    def __init__(self, app: ASGIApp, plan: FaultPlan, *, control: bool) -> None:
        self._app = app
        self._plan = plan
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, unless the plan has something else in mind for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return
        transport: asyncio.Transport = scope["state"][_TRANSPORT]
        if self._control and scope["path"] == CONTROL_PATH:
            response = _answer_control(self._plan, Request(scope), body, transport)
            await response(scope, receive, send)
            return
        request = WireRequest(self._app, scope, body, receive, send, transport=transport)
        faults = self._plan.draw((scope["method"], scope["path"]), _client_order_id(scope, body))
        FAULTS.set(tuple(faults))  # for this request alone: the server runs each in a task of its own
        for fault in faults:
            if fault.rule.on_the_wire or fault.rule.kind == "clock_offset":
                self._plan.hit(fault)  # the others count where the venue applies them
        wire = next((fault.rule for fault in faults if fault.rule.on_the_wire), None)
        if wire is not None:
            await spoil(request, wire)
        else:
            await request.execute()
            await request.deliver()


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or one byte more than the venue takes; None where the client is gone."""
    body = b""
    while len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body


def _client_order_id(scope: Scope, body: bytes) -> str | None:
    query = scope["query_string"] + b"&" + body
    return client_order_id_in(query.decode("utf-8", errors="replace"))


def _answer_control(plan: FaultPlan, request: Request, body: bytes, transport: asyncio.Transport) -> Response:
    """POST a plan or one more rule, DELETE the rules, GET both rules and counts; each answers with the latter."""
    if not _is_local(request, transport):
        return _json({"error": f"{CONTROL_PATH} answers this machine alone, asked for by a loopback address"}, 403)
    try:
        if request.method == "POST":
            _follow(plan, request, body)
        elif request.method == "DELETE":
            plan.clear()
        elif request.method != "GET":
            return _json({"error": f"{CONTROL_PATH}: expected GET, POST or DELETE, got {request.method}"}, 405)
    except ConfigurationError as wrong:
        return _json({"error": str(wrong)}, 400)
    return _json(plan.report())


def _follow(plan: FaultPlan, request: Request, body: bytes) -> None:
    source = f"POST {CONTROL_PATH}"
    # A page in a browser may send any other type here without asking.
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ConfigurationError(f"{source}: expected Content-Type application/json")
    document = parse_json(body, source)
    if "kind" in document:
        plan.add(document, source)
    else:
        plan.replace(document, source)


def _is_local(request: Request, transport: asyncio.Transport) -> bool:
    """Whether the connection comes from this machine, and was not talked into it by a page under another name."""
    peer = transport.get_extra_info("peername")
    named = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    return bool(peer) and _is_loopback(peer[0]) and (named == "localhost" or _is_loopback(named))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _json(payload: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(payload, default=float), status, media_type="application/json")
