"""Faults between the wire and the venue: requests held, answers lost, cut, dripped, or given by somebody else."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading.paper.fault_kinds import LONGEST_HOLD_S
from trading.paper.fault_plan import Rule
from trading.paper.wire import error_payload

_HALF_OPEN_S: Final = 10
_DRIP_S: Final = 1.0
_JSON: Final = "application/json;charset=UTF-8"


class WireRequest:
    """A request that was read whole, and the connection that its answer may or may not take."""

    def __init__(
        self, app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send, *, transport: asyncio.Transport
    ) -> None:
        self._app = app
        self._scope = scope
        self._request_body = body
        self._receive = receive
        self._send = send
        self.transport = transport
        self.start: Message = {}
        self.body = b""

    async def execute(self) -> None:
        """Let the venue have it, and keep its answer."""
        await self._app(self._scope, self._again, self._keep)

    async def deliver(self) -> None:
        """Send the answer that the venue gave."""
        await self.send_head()
        await self.send_body(self.body, more=False)

    async def answer(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        """Answer in the venue's place."""
        named = {"content-type": content_type, "content-length": str(len(body)), **headers}
        pairs = [(name.lower().encode(), value.encode()) for name, value in named.items()]
        self.start = {"type": "http.response.start", "status": status, "headers": pairs}
        self.body = body
        await self.deliver()

    async def send_head(self) -> None:
        """Status and headers, as the venue gave them."""
        await self._send(self.start)

    async def send_body(self, part: bytes, *, more: bool) -> None:
        """A part of the body."""
        await self._send({"type": "http.response.body", "body": part, "more_body": more})

    async def hung_up(self, within_s: float) -> bool:
        """Wait until the connection is gone, at most `within_s`; whether it is."""
        try:
            async with asyncio.timeout(within_s):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    async def end(self, *, abort: bool = False) -> None:
        """Close the connection, after what was sent, or at once; the server counts it as hung up."""
        if abort:
            self.transport.abort()
        else:
            self.transport.close()
        await self.hung_up(_HALF_OPEN_S)

    async def _again(self) -> Message:
        return {"type": "http.request", "body": self._request_body, "more_body": False}

    async def _keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")


async def _delay(request: WireRequest, settings: Mapping[str, Any]) -> None:
    await request.execute()
    await request.hung_up(float(settings["seconds"]))
    await request.deliver()


async def _late(request: WireRequest, settings: Mapping[str, Any]) -> None:
    await request.hung_up(LONGEST_HOLD_S)
    await asyncio.sleep(float(settings["seconds"]))
    await request.execute()
    await request.deliver()  # to nobody, or to a client of uncommon patience


async def _lost_answer(request: WireRequest, _: Mapping[str, Any]) -> None:
    await request.execute()
    await request.end()


async def _reset(request: WireRequest, settings: Mapping[str, Any]) -> None:
    if settings["executed"]:
        await request.execute()
    # With no time to linger, closing sends RST where it would send FIN.
    at_once = struct.pack("ii", 1, 0)
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    await request.end(abort=True)


async def _half_close(request: WireRequest, settings: Mapping[str, Any]) -> None:
    if settings["executed"]:
        await request.execute()
    request.transport.write_eof()
    if not await request.hung_up(_HALF_OPEN_S):
        await request.end(abort=True)


async def _drip(request: WireRequest, settings: Mapping[str, Any]) -> None:
    await request.execute()
    await request.send_head()
    dripped = min(int(settings["seconds"] / int(_DRIP_S)), len(request.body))
    for place in range(dripped):
        await request.send_body(request.body[place : place + 1], more=True)
        if await request.hung_up(_DRIP_S):
            return
    await request.send_body(request.body[dripped:], more=False)


async def _truncated(request: WireRequest, _: Mapping[str, Any]) -> None:
    await request.execute()
    await request.send_head()
    await request.send_body(request.body[: len(request.body) // 2], more=True)
    await request.end()


async def _html_5xx(request: WireRequest, settings: Mapping[str, Any]) -> None:
    await _in_its_place(
        request, settings, settings["status"], _page("The upstream server did not answer."), "text/html"
    )


async def _html_403(request: WireRequest, settings: Mapping[str, Any]) -> None:
    await _in_its_place(request, settings, 403, _page("Request blocked."), "text/html")


async def _error_1006(request: WireRequest, settings: Mapping[str, Any]) -> None:
    text = "An unexpected response was received from the message bus. Execution status unknown."
    await _in_its_place(request, settings, 500, _error(-1006, text))


async def _error_1007(request: WireRequest, settings: Mapping[str, Any]) -> None:
    text = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    await _in_its_place(request, settings, 504, _error(-1007, text))


async def _too_many_requests(request: WireRequest, settings: Mapping[str, Any]) -> None:
    text = "Too many requests; please use the websocket for live updates."
    await _in_its_place(request, settings, 429, _error(-1003, text))


async def _banned(request: WireRequest, settings: Mapping[str, Any]) -> None:
    text = "Way too many requests; IP banned. Please use the websocket for live updates to avoid bans."
    await _in_its_place(request, settings, 418, _error(-1003, text))


async def _empty_200(request: WireRequest, settings: Mapping[str, Any]) -> None:
    await _in_its_place(request, settings, 200, b"")


async def _in_its_place(
    request: WireRequest, settings: Mapping[str, Any], status: int, body: bytes, content_type: str = _JSON
) -> None:
    if settings.get("executed"):
        await request.execute()
    headers = {"retry-after": str(settings["retry_after_s"])} if "retry_after_s" in settings else {}
    await request.answer(status, body, content_type, headers)


def _error(code: int, text: str) -> bytes:
    return orjson.dumps(error_payload(code, text))


def _page(text: str) -> bytes:
    return f"<html><head><title>Error</title></head><body><h1>{text}</h1></body></html>".encode()


_ACTIONS: Final[Mapping[str, Callable[[WireRequest, Mapping[str, Any]], Awaitable[None]]]] = {
    "delay": _delay,
    "late": _late,
    "lost_answer": _lost_answer,
    "reset": _reset,
    "half_close": _half_close,
    "drip": _drip,
    "truncated": _truncated,
    "html_5xx": _html_5xx,
    "error_1006": _error_1006,
    "error_1007": _error_1007,
    "too_many_requests": _too_many_requests,
    "banned": _banned,
    "html_403": _html_403,
    "empty_200": _empty_200,
}


async def spoil(request: WireRequest, rule: Rule) -> None:
    """Do to a request what the rule says."""
    await _ACTIONS[rule.kind](request, rule.settings)
