"""What every HTTP answer of this project goes through; plain ASGI, so that importing it costs nothing."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from trading.clock import random_id
from trading.logging.log_context import LogContext

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_HEADER: Final = b"x-request-id"
_ACCEPTED: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIDMiddleware:
    """Gives each request an id, or keeps the client's; the answer and every line that is logged on the way carry it.

    The client's id becomes `request_id` only: the correlation id is ours, so that nobody can write into a run's trace.
    """

    def __init__(self, app: Application, prefix: str = "web") -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request; what is not HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = random_id()
        given = [value for name, value in scope.get("headers", ()) if name.lower() == _HEADER]
        request_id = given[0].decode() if len(given) == 1 and _ACCEPTED.fullmatch(given[0]) else own

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [header for header in message.get("headers", ()) if header[0].lower() != _HEADER]
                message = {**message, "headers": [*others, (_HEADER, request_id.encode())]}
            await send(message)

        with LogContext(correlation_id=f"{self._prefix}__{own}", request_id=request_id):
            await self._app(scope, receive, send_with_id)
