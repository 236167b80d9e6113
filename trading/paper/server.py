"""The venue over HTTP."""

import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Final

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from trading.clock import Clock
from trading.domain.market import to_ms
from trading.errors import ConfigurationError
from trading.paper.opening import PaperSettings, open_venue
from trading.paper.venue import LARGEST_BODY, Answer, RawRequest, Venue
from trading.paper.wire import error_payload

if TYPE_CHECKING:
    from trading.paper.faults import FaultInjector

_LOG: Final = logging.getLogger(__name__)
_GRACE_S: Final = 3
_BACKLOG: Final = 128
_KEEP_ALIVE_S: Final = 75  # longer than a minute, so that a client that looks once a candle is not cut off


def create_app(venue: Venue, middleware: Sequence[Middleware] = ()) -> Starlette:
    """The venue as an ASGI application, which closes the venue when it shuts down.

    `middleware` stands between the wire and the venue: what loses, delays or doubles requests and answers goes there.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        venue.close()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        received_ms = to_ms(venue.clock.now())
        request = Request(scope, receive)
        try:
            response = _response(await _answer(venue, request, received_ms))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    return Starlette(routes=[Mount("/", app=answer)], middleware=list(middleware), lifespan=lifespan)


async def _answer(venue: Venue, request: Request, received_ms: int) -> Answer:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return Answer(error_payload(-1101, "Too many parameters sent for this endpoint."), status=413)
    raw = RawRequest(
        received_ms=received_ms,
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        body=body.decode("utf-8", errors="replace"),
        api_key=request.headers.get("x-mbx-apikey", ""),
        client=request.client.host if request.client else "",
    )
    try:
        # Nothing is awaited in here: one request at a time is the venue's lock.
        return venue.handle(raw)
    except Exception:  # noqa: BLE001 - logged, and no stack trace may reach a client
        _LOG.exception("request_not_recorded", extra={"event": "request_not_recorded"})
        return Answer(error_payload(-1000, "An unknown error occurred while processing the request."), status=500)


def _response(answer: Answer) -> Response:
    content = orjson.dumps(answer.payload)
    return Response(content, answer.status, answer.headers, media_type="application/json;charset=UTF-8")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ConfigurationError that names a taken port."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as wrong:
        listener.close()
        raise ConfigurationError(
            f"the paper exchange cannot listen on {host}:{port} ({wrong.strerror}): stop what uses that port, "
            "or choose another one"
        ) from None
    return listener


def server_config(
    settings: PaperSettings, clock: Clock, faults: "FaultInjector | None" = None
) -> tuple[Venue, uvicorn.Config]:
    """The venue, opened, and how it is served; with nothing of the faults in either where there are none."""
    venue = open_venue(settings, clock) if faults is None else faults.open_venue(settings, clock)
    config = uvicorn.Config(
        create_app(venue, () if faults is None else faults.middleware()),
        http="auto" if faults is None else faults.protocol,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
        server_header=False,
    )
    return venue, config


def serve(
    settings: PaperSettings,
    clock: Clock,
    host: str,
    port: int,
    announce: Callable[[str], None],
    *,
    faults: "FaultInjector | None" = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and close the book.

    `announce` is told the address. `faults` is what goes wrong on purpose.
    """
    listener = listen(host, port)
    venue, config = server_config(settings, clock, faults)
    # uvicorn raises the signal again once it has stopped; a clean stop is not a death by signal.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    address = f"http://{host}:{listener.getsockname()[1]}"
    _LOG.info(
        "exchange_started",
        extra={"event": "exchange_started", "address": address, "incarnation": venue.replay.incarnation},
    )
    announce(address)
    uvicorn.Server(config).run(sockets=[listener])
    _LOG.info("exchange_stopped", extra={"event": "exchange_stopped"})
