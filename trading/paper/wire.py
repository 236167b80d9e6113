"""The wire's own conventions: parameters in, decimal text out, and Binance's refusals."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from trading.domain.money import plain
from trading.errors import TradingError

_WHOLE: Final = r"^[0-9]{1,20}$"
_DECIMAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ORDER_ID: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_PLACES: Final = 8
_MAX_LIMIT: Final = 1000


class Refusal(TradingError):
    """A definite no to a request: HTTP status, Binance's code and its text."""

    def __init__(self, code: int, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})


def digits(value: Decimal) -> str:
    """A number as Binance writes it: 8 decimals, and all of them where it has more, so that none is lost."""
    text = f"{value:.8f}"
    return text if Decimal(text) == value else plain(value)


def without_signature(text: str) -> str:
    """A query or body as it was signed."""
    return "&".join(part for part in text.split("&") if part and not part.startswith("signature="))


class Params:
    """The parameters of one request, each read once; what nobody read is refused, as on Binance."""

    def __init__(self, query: str, body: str) -> None:
        self._values: dict[str, str] = {}
        self._read: set[str] = set()
        for text in (body, query):  # the query wins
            seen: set[str] = set()
            for name, value in parse_qsl(text, keep_blank_values=True):
                if name in seen:
                    raise Refusal(-1101, "Duplicate values for a parameter detected.")
                seen.add(name)
                self._values[name] = value

    def has(self, name: str) -> bool:
        """Whether it was sent, without counting as a read."""
        return name in self._values

    def peek(self, name: str) -> str | None:
        """Its text, without counting as a read."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """A mandatory text."""
        value = self.optional(name)
        if value is None:
            _missing(name)
        return value

    def optional(self, name: str) -> str | None:
        """A text that may be left out, but not be empty."""
        self._read.add(name)
        value = self._values.get(name)
        if value == "":
            raise Refusal(-1105, f"Parameter '{name}' was empty.")
        return value

    def whole(self, name: str) -> int:
        """A mandatory whole number."""
        value = self.optional_whole(name)
        if value is None:
            _missing(name)
        return value

    def optional_whole(self, name: str) -> int | None:
        """A whole number that may be left out."""
        text = self._matching(name, _WHOLE)
        if text is not None and int(text) >= 2**63:
            raise Refusal(-1108, f"Parameter '{name}' overflowed.")
        return None if text is None else int(text)

    def optional_decimal(self, name: str) -> Decimal | None:
        """An amount that may be left out: digits and a point, at most 8 decimals."""
        text = self._matching(name, _DECIMAL)
        if text is None:
            return None
        if len(text.partition(".")[2]) > _PLACES:
            raise Refusal(-1111, f"Parameter '{name}' has too much precision.")
        return Decimal(text)

    def client_order_id(self, name: str) -> str | None:
        """A client's own id for an order."""
        return self._matching(name, _CLIENT_ORDER_ID)

    def limit(self, default: int = 500, most: int = _MAX_LIMIT) -> int:
        """How many rows at most; more than the venue's maximum means the maximum."""
        value = self.optional_whole("limit")
        if value == 0:
            raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(default if value is None else value, most)

    def not_required(self, *names: str) -> None:
        """Refuse parameters that make no sense together with the others."""
        for name in names:
            if name in self._values:
                raise Refusal(-1106, f"Parameter '{name}' sent when not required.")

    def ignore(self, *names: str) -> None:
        """Count parameters as read that change nothing here."""
        self._read.update(names)

    def done(self) -> None:
        """Refuse what nobody read: a parameter that has no effect is a misunderstanding."""
        unread = self._values.keys() - self._read
        if unread:
            read, sent = len(self._values) - len(unread), len(self._values)
            raise Refusal(
                -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
            )

    def _matching(self, name: str, pattern: str) -> str | None:
        value = self.optional(name)
        if value is not None and not re.fullmatch(pattern, value):
            raise Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")
        return value


def _missing(name: str) -> NoReturn:
    raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def error_payload(code: int, message: str) -> dict[str, Any]:
    """An error as Binance writes it."""
    return {"code": code, "msg": message}
