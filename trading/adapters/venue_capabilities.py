"""What each venue can do for us, as one literal table: checked facts, not what a library promises.

An order is only safe where the venue takes our id, gives it back, and refuses a request that arrives too late. A venue
that fails one of these cannot be traded, and `_UNFIT` says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trading.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueCapabilities:
    """The limits of one venue's spot API. Counts a call, weights a minute and address, times as their names say."""

    base_url: str
    api_path: str
    client_order_id_digits: int  # the longest lower-case hex id that it takes and gives back
    max_recv_window_ms: int  # it refuses what arrives later than this after signing
    candles_per_call: int
    fills_per_call: int  # and orders, when it tells of the past
    fills_window_s: int
    weight_per_minute: int


_VENUES: Final[Mapping[str, VenueCapabilities]] = MappingProxyType(
    {
        "binance": VenueCapabilities(
            base_url="https://api.binance.com",
            api_path="/api/v3",
            client_order_id_digits=32,
            max_recv_window_ms=60_000,
            candles_per_call=1_000,
            fills_per_call=1_000,
            fills_window_s=86_400,
            weight_per_minute=6_000,
        ),
    }
)

_UNFIT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bybit": "ccxt cannot look up an order by our id there",
        "coinbase": "ccxt drops our order id silently",
        "cryptocom": "ccxt drops our order id silently",
        "gate": "ccxt cannot cancel by our order id there",
        "kraken": "ccxt looks orders up by another id than ours",
    }
)


def capabilities(venue: str) -> VenueCapabilities:
    """The row of `venue`. Raises ConfigurationError that says why it cannot be used, and which can."""
    try:
        return _VENUES[venue]
    except KeyError:
        reason = f" ({_UNFIT[venue]})" if venue in _UNFIT else ""
        raise ConfigurationError(
            f"venue {venue!r} cannot be used{reason}: expected one of {', '.join(_VENUES)}"
        ) from None
