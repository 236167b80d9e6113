"""What a venue's answer means, judged by its raw code and HTTP status alone.

ccxt's own exception classes are not used: they differ by base URL, and one class holds both "no" and "who knows".
A definite no is a short list; everything that is neither on it nor a clear yes is an unknown outcome.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from trading.errors import (
    CredentialsRefused,
    DataError,
    ExchangeUnavailable,
    OrderRejected,
    OutcomeUnknown,
    TradingError,
    Trouble,
)

UNKNOWN_SYMBOL: Final = -1121
CANCEL_REJECTED: Final = -2011
NO_SUCH_ORDER: Final = -2013

_CLOCK_OFF: Final = -1021
_ORDER_REFUSED: Final = -2010
_WRONG_SIGNATURE: Final = -1022
_BAD_CREDENTIALS: Final = frozenset({_WRONG_SIGNATURE, -2014, -2015})
_KEY_FAULTS: Final = "it expired, lacks the right to trade, or is not allowed from this address"
_OUT_OF_SERVICE: Final = -1016
#: The order does not exist: the venue looked at the request and refused it before it reached the book.
_DEFINITE_NO: Final = frozenset({-1013, -1015, _CLOCK_OFF})
#: The venue's own trouble, whatever HTTP status it wears.
_VENUE_TROUBLE: Final = frozenset({-1000, -1001, -1003, -1004, -1006, -1007, -1008, -1015, _OUT_OF_SERVICE})
_TOO_MANY_REQUESTS: Final = 429
BANNED: Final = 418
_SERVICE_UNAVAILABLE: Final = 503


class VenueUnavailable(ExchangeUnavailable):
    """A read failed; `retry_after_s` is how long the venue asked us to stay away, where it did."""

    def __init__(self, message: str, retry_after_s: float | None = None, *, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.trouble = trouble


class VenueRefused(DataError):
    """The venue understood a read and refused it; `code` is its own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.trouble = Trouble.NOT_LISTED if code == UNKNOWN_SYMBOL else Trouble.OTHER


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back of one request. Without a status nothing complete did, and `failure` names the reason."""

    status: int | None = None
    body: str = ""
    retry_after_s: float | None = None
    used_weight: int | None = None
    failure: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the venue answered with a 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    @property
    def refused(self) -> bool:
        """Whether the venue answered with a 4xx: it blames the request."""
        return self.status is not None and 400 <= self.status < 500  # noqa: PLR2004 - HTTP's own numbers

    def payload(self) -> Any:
        """The body as JSON; None where it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def error(self) -> tuple[int, str] | None:
        """The venue's own code and text; None where the body holds none."""
        payload = self.payload()
        code = payload.get("code") if isinstance(payload, dict) else None
        if not isinstance(code, int) or isinstance(code, bool):
            return None
        return code, str(payload.get("msg", ""))

    def describe(self) -> str:
        """The answer in a few words, for a message."""
        if self.status is None:
            return self.failure or "no answer"
        error = self.error()
        if error is not None:
            return f"HTTP {self.status}, code {error[0]}, {error[1][:120]!r}"
        return f"HTTP {self.status} with the body {self.body[:80]!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Who was asked, when, and with which secrets: what a sentence about a refusal names. No content of theirs."""

    venue: str
    at: datetime
    secrets: str = "of the exchange"


def refusal(reply: Reply, asked: Asked) -> OrderRejected | None:
    """A definite no to an order; None where the answer is anything else."""
    code, text = reply.error() or (0, "")
    if reply.status in (_TOO_MANY_REQUESTS, BANNED):
        trouble = Trouble.BANNED if reply.status == BANNED else Trouble.OTHER
        return OrderRejected(str(code or f"HTTP {reply.status}"), str(_asked_to_wait(reply, asked)), trouble)
    if reply.refused and code in _BAD_CREDENTIALS:
        return OrderRejected(str(code), str(_key_refused(code, text, asked)), Trouble.CREDENTIALS)
    # "Duplicate order sent." shares this code and says the opposite: an order of this id does exist.
    no_funds = code == _ORDER_REFUSED and "insufficient balance" in text
    if reply.refused and (code in _DEFINITE_NO or no_funds):
        return OrderRejected(str(code), f"the venue refused the order: {reply.describe()}")
    return None


def unknown_outcome(client_order_id: str, reason: str, *, code: str = "") -> OutcomeUnknown:
    """The order may or may not exist, and `reason` says why nobody can tell."""
    return OutcomeUnknown(
        f"order {client_order_id}: expected a clear yes or no, got {reason}; only the venue's books can tell", code=code
    )


def read_failure(reply: Reply, asked: Asked) -> TradingError:
    """Why a read (or a cancel) gave no answer: unavailable, refused, or our settings."""
    code, text = reply.error() or (0, "")
    venue = asked.venue
    if reply.status in (_TOO_MANY_REQUESTS, BANNED):
        return _asked_to_wait(reply, asked)
    if reply.refused and code in _BAD_CREDENTIALS:
        return _key_refused(code, text, asked)
    if code == _OUT_OF_SERVICE or (reply.status == _SERVICE_UNAVAILABLE and not code):
        return VenueUnavailable(
            f"{venue} is in maintenance ({reply.describe()}): nothing is sent, nothing is lost, and it is asked again"
            " at each run; its status page says until when",
            trouble=Trouble.MAINTENANCE,
        )
    if code == _CLOCK_OFF:
        return VenueUnavailable(f"{venue} says that our time is off ({reply.describe()}): check this machine's clock")
    if reply.refused and code and code not in _VENUE_TROUBLE:
        return VenueRefused(code, f"{venue} refused the request: {reply.describe()}")
    return VenueUnavailable(f"{venue}: expected an answer in JSON, got {reply.describe()}")


def _key_refused(code: int, text: str, asked: Asked) -> CredentialsRefused:
    why = "it does not sign as this key's secret would" if code == _WRONG_SIGNATURE else _KEY_FAULTS
    return CredentialsRefused(
        f"{asked.venue} refused the API key or its signature (code {code}, {text[:120]!r}): {why}; renew the secrets"
        f" {asked.secrets}, then end the halt (docs/CONTROLS.md)"
    )


def _asked_to_wait(reply: Reply, asked: Asked) -> VenueUnavailable:
    is_banned = reply.status == BANNED
    what = "banned this address" if is_banned else "got too many requests"
    trouble = Trouble.BANNED if is_banned else Trouble.OTHER
    if reply.retry_after_s is None:
        return VenueUnavailable(
            f"{asked.venue} {what} (HTTP {reply.status}) and does not say until when", trouble=trouble
        )
    until = (asked.at + timedelta(seconds=reply.retry_after_s)).isoformat(timespec="seconds")
    return VenueUnavailable(
        f"{asked.venue} {what} (HTTP {reply.status}) until {until}: nothing is sent before",
        reply.retry_after_s,
        trouble=trouble,
    )
