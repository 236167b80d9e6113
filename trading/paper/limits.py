"""Rate limits as Binance counts them: weight a minute and client; orders in ten seconds, and a day, and account."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from trading.paper.wire import Refusal

_MINUTE_MS: Final = 60_000
_TEN_SECONDS_MS: Final = 10_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimits:
    """The venue's limits, as `exchangeInfo` states them."""

    weight_per_minute: int = 6000
    orders_per_10_seconds: int = 100
    orders_per_day: int = 200_000

    def payload(self) -> list[dict[str, str | int]]:
        """The `rateLimits` of exchangeInfo."""
        kinds: tuple[tuple[str, str, int, int], ...] = (
            ("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute),
            ("ORDERS", "SECOND", 10, self.orders_per_10_seconds),
            ("ORDERS", "DAY", 1, self.orders_per_day),
        )
        return [
            {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
            for kind, interval, number, limit in kinds
        ]


class _Window:
    """Counts that start again at each multiple of the window's length."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._index = -1
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, key: str, count: int, now_ms: int) -> int:
        index = now_ms // self._length_ms
        if index != self._index:
            self._index = index
            self._counts.clear()
        self._counts[key] += count
        return self._counts[key]

    def seconds_left(self, now_ms: int) -> int:
        return (self._length_ms - now_ms % self._length_ms + 999) // 1000


class RateLimiter:
    """Who used how much. In memory: a restart forgives, as moving to another server does."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._weight = _Window(_MINUTE_MS)
        self._ten_seconds = _Window(_TEN_SECONDS_MS)
        self._day = _Window(_DAY_MS)

    def charge(self, client: str, weight: int, now_ms: int) -> dict[str, str]:
        """Count a request; the headers to answer with. Refuses with 429 beyond the limit."""
        used = self._weight.add(client, weight, now_ms)
        headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
        if used > self._limits.weight_per_minute:
            message = (
                f"Too much request weight used; current limit is {self._limits.weight_per_minute} request weight per 1 "
                "MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
            )
            retry_after = str(self._weight.seconds_left(now_ms))
            raise Refusal(-1003, message, status=429, headers={**headers, "Retry-After": retry_after})
        return headers

    def count_order(self, account: str, now_ms: int) -> dict[str, str]:
        """Count a new order; the headers to answer with. Refuses with 429 beyond a limit."""
        windows = (
            (self._ten_seconds, self._limits.orders_per_10_seconds, "10 SECOND", "X-MBX-ORDER-COUNT-10S"),
            (self._day, self._limits.orders_per_day, "1 DAY", "X-MBX-ORDER-COUNT-1D"),
        )
        headers = {}
        for window, limit, name, header in windows:
            count = window.add(account, 1, now_ms)
            headers[header] = str(count)
            if count > limit:
                message = f"Too many new orders; current limit is {limit} orders per {name}."
                retry_after = str(window.seconds_left(now_ms))
                raise Refusal(-1015, message, status=429, headers={**headers, "Retry-After": retry_after})
        return headers
