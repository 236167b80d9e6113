"""What each venue can do for us, as one literal table: checked facts, not what a library promises.

An order is only safe where the venue takes our id, gives it back, and refuses a request that arrives too late. Which
id works on which call stands in `venue_order_calls`; whether a venue keeps to it all, `trading doctor --venue` tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trading.adapters.venue_order_calls import ORDER_CALLS
from trading.domain.conformance import RefusalCodes
from trading.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueCapabilities:
    """The limits of one venue's spot API. Counts a call, weights a minute and address, times as their names say."""

    base_url: str
    sandbox_url: str
    api_path: str
    client_order_id_digits: int  # of the lower-case hex id that we send
    client_order_id_pattern: str  # what it takes at all
    client_order_id_unique: str  # among which orders it keeps an id to one order: no key for sending twice
    max_recv_window_ms: int  # it refuses what arrives later than this after signing
    candles_per_call: int
    fills_per_call: int
    fills_window_s: int
    orders_per_call: int
    orders_window_s: int
    weight_per_minute: int
    codes: RefusalCodes


_VENUES: Final[Mapping[str, VenueCapabilities]] = MappingProxyType(
    {
        "binance": VenueCapabilities(
            base_url="https://api.binance.com",
            sandbox_url="https://testnet.binance.vision",
            api_path="/api/v3",
            client_order_id_digits=32,
            client_order_id_pattern=r"[a-zA-Z0-9-_.:/]{1,36}",
            client_order_id_unique="open orders",
            max_recv_window_ms=60_000,
            candles_per_call=1_000,
            fills_per_call=1_000,
            fills_window_s=86_400,
            orders_per_call=1_000,
            orders_window_s=86_400,
            weight_per_minute=6_000,
            codes=RefusalCodes(too_late="-1021", duplicate="-2010", nothing_to_cancel="-2011"),
        ),
    }
)


def capabilities(venue: str) -> VenueCapabilities:
    """The row of `venue`. Raises ConfigurationError that says why it cannot be used, and which can."""
    try:
        return _VENUES[venue]
    except KeyError:
        raise ConfigurationError(
            f"venue {venue!r} takes no orders of ours{_why_not(venue)}: expected one of {', '.join(_VENUES)}"
        ) from None


def _why_not(venue: str) -> str:
    """What speaks against it, as far as anybody looked."""
    if venue not in ORDER_CALLS:
        return ""
    wanting = ORDER_CALLS[venue].shortcomings() or ["its conformance was never tested"]
    return f", market data at most, since {' and '.join(wanting)}"
