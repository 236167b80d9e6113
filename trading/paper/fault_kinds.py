"""What can go wrong with a request, under which name, and which settings say how badly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from trading.paper.opening import ENDPOINTS

Endpoint = tuple[str, str]

#: No request is held for longer than this, whatever a plan says.
LONGEST_HOLD_S: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One key of a rule: what it may be, and what it is when left out. `read` raises ValueError for anything else."""

    expected: str
    default: Any
    read: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of fault. `endpoints` are those that it can happen to."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    endpoints: frozenset[Endpoint] = frozenset(ENDPOINTS)
    on_the_wire: bool = True  # at most one of those can happen to a request


def whole(low: int, high: int) -> Callable[[Any], int]:
    """Reads whole numbers of a range."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError
        return value

    return read


def number(low: Decimal, high: Decimal) -> Callable[[Any], Decimal]:
    """Reads exact numbers of a range."""

    def read(value: Any) -> Decimal:
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            raise ValueError  # noqa: TRY004 - whoever reads a rule catches one class
        exact = Decimal(value)
        if not exact.is_finite() or not low <= exact <= high:
            raise ValueError
        return exact

    return read


def one_of(*allowed: Any) -> Callable[[Any], Any]:
    """Reads what is in a list; true is not 1."""

    def read(value: Any) -> Any:
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            raise ValueError
        return value

    return read


def _seconds(default: int, most: int = LONGEST_HOLD_S) -> Mapping[str, Setting]:
    reader = number(Decimal(0), Decimal(most))
    return {"seconds": Setting(expected=f"a number from 0 to {most}", default=Decimal(default), read=reader)}


def _executed(default: bool) -> Mapping[str, Setting]:
    return {"executed": Setting(expected="true or false", default=default, read=one_of(True, False))}


def _whole(name: str, default: int, low: int, high: int) -> Mapping[str, Setting]:
    return {name: Setting(expected=f"a whole number from {low} to {high}", default=default, read=whole(low, high))}


_STATUSES: Final = (500, 502, 503, 504)
_HTML_STATUS: Final = {"status": Setting(expected="500, 502, 503 or 504", default=502, read=one_of(*_STATUSES))}
_SHARE: Final = {
    "share": Setting(expected="a number from 0 to 1", default=Decimal("0.1"), read=number(Decimal(0), Decimal(1)))
}
_NEW_ORDER: Final = frozenset({("POST", "/api/v3/order")})
_FILLS: Final = frozenset({("GET", "/api/v3/myTrades")})
_PAGES: Final = _FILLS | {("GET", "/api/v3/allOrders")}
_LAGGING: Final = _PAGES | {("GET", f"/api/v3/{name}") for name in ("order", "openOrders", "account")}

#: Every kind by its name in a plan. Those with `executed` stand before or behind the venue, as the plan chooses.
KINDS: Final[Mapping[str, Kind]] = {
    # The venue answers at once, and the answer comes late.
    "delay": Kind(settings=_seconds(5)),
    # The request is held until the client has hung up, and `seconds` more; then it arrives at the venue.
    "late": Kind(settings=_seconds(0)),
    # Executed; the connection is closed without an answer.
    "lost_answer": Kind(),
    # A TCP reset in place of an answer.
    "reset": Kind(settings=_executed(False)),
    # The end of the stream in place of an answer, while the other direction stays open.
    "half_close": Kind(settings=_executed(True)),
    # Executed; the body comes a byte a second for `seconds`, and what is left of it then.
    "drip": Kind(settings=_seconds(30)),
    # Executed; half of the body that Content-Length promises, then the end.
    "truncated": Kind(),
    "html_5xx": Kind(settings={**_HTML_STATUS, **_executed(False)}),
    "error_1006": Kind(settings=_executed(False)),
    "error_1007": Kind(settings=_executed(False)),
    "too_many_requests": Kind(settings=_whole("retry_after_s", 1, 0, 86_400)),
    "banned": Kind(settings=_whole("retry_after_s", 120, 0, 86_400)),
    "html_403": Kind(),
    "empty_200": Kind(settings=_executed(True)),
    # What is asked about is told as it was `seconds` ago.
    "query_lag": Kind(settings=_seconds(10, 3600), endpoints=_LAGGING, on_the_wire=False),
    # A page ends after `rows`, though there are more.
    "page_cut": Kind(settings=_whole("rows", 1, 0, 1000), endpoints=_PAGES, on_the_wire=False),
    "doubled_fills": Kind(endpoints=_FILLS, on_the_wire=False),
    "disordered_fills": Kind(endpoints=_FILLS, on_the_wire=False),
    # A new order is filled beyond its quantity by `share` of it, in the book too.
    "overfill": Kind(settings=_SHARE, endpoints=_NEW_ORDER, on_the_wire=False),
    # The venue's clock, for this request: positive is ahead of ours.
    "clock_offset": Kind(settings=_whole("offset_ms", 2000, -60_000, 60_000), on_the_wire=False),
}


def counted_name(kind: str, settings: Mapping[str, Any]) -> str:
    """The name under which a fault is counted and logged: executed or not is part of it."""
    if "executed" not in settings:
        return kind
    return f"{kind}_executed" if settings["executed"] else f"{kind}_not_executed"


def _counted_names(kind: str) -> list[str]:
    if "executed" not in KINDS[kind].settings:
        return [kind]
    return [counted_name(kind, {"executed": executed}) for executed in (True, False)]


#: Every name that `counted_name` can give.
COUNTED_NAMES: Final = tuple(name for kind in KINDS for name in _counted_names(kind))
