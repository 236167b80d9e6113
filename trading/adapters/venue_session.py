"""The one way out to a venue: which address a request may go to, and how much may come back.

Imported only when a request is about to be made, since `requests` costs a quarter of a second.
"""

import math
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from trading.adapters.ccxt_errors import Reply
from trading.errors import ConfigurationError

#: More than any answer that is asked for: the whole exchangeInfo of Binance is a third of it.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_WAIT_S: Final = 366 * 86_400


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of `url`."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)


class VenueSession(requests.Session):
    """A session that talks to one origin, follows nothing elsewhere, and keeps the last reply as it came."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.trust_env = False  # neither a proxy nor a .netrc of the environment may get between us and the venue
        self._origin = origin(base_url)
        self.sent = False
        self.reply: Reply | None = None

    def forget(self) -> None:
        """Before a request: what came back of the one before is no answer to this one."""
        self.sent, self.reply = False, None

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Send a prepared request; raises ConfigurationError, sending nothing, for any other origin."""
        if origin(request.url) != self._origin:
            scheme, host, port = origin(request.url)
            raise ConfigurationError(
                f"expected requests to {self._origin[0]}://{self._origin[1]}:{self._origin[2]} only, got one to"
                f" {scheme}://{host}:{port}; nothing was sent"
            )
        self.sent = True
        # A redirect could lead a signed request to another host, or send an order twice.
        response = super().send(request, **{**kwargs, "allow_redirects": False, "stream": True})
        body = _read_bounded(response)
        response._content = body
        self.reply = Reply(
            status=response.status_code,
            body=body.decode("utf-8", errors="replace"),
            retry_after_s=_number(response.headers.get("Retry-After")),
            used_weight=_whole(response.headers.get("X-MBX-USED-WEIGHT-1M")),
        )
        return response


def _read_bounded(response: Any) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_content(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            response.close()
            raise requests.exceptions.ContentDecodingError(f"a body of more than {MAX_BODY_BYTES} bytes")
    return b"".join(chunks)


def _number(text: str | None) -> float | None:
    """Seconds to wait; None for anything else, such as a date, which this venue does not send."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return min(value, _LONGEST_WAIT_S) if math.isfinite(value) and value >= 0 else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004
