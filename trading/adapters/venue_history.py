"""What a venue tells of the past in windows and pages: orders and fills, each once, in the order of its own numbers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from trading.adapters import binance_answers as answers
from trading.adapters.venue_wire import VenueWire
from trading.domain.market import to_ms
from trading.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing(Generic[T]):
    """One of the venue's lists: `place` is a row's number and time, `cursor` the parameter to go on from a number."""

    name: str
    endpoint: str
    cursor: str
    rows_per_call: int
    window_s: int
    parse: Callable[[Any], T]
    place: Callable[[T], tuple[int, datetime]]

    def read(self, wire: VenueWire, symbol: Mapping[str, str], since: datetime, until: datetime) -> list[T]:
        """Rows with since ≤ time < until, window by window."""
        found: dict[int, T] = {}
        start = since
        while start < until:
            end = min(start + timedelta(seconds=self.window_s), until)
            for page in self._pages(wire, symbol, start, end):
                found |= {number: row for number, at, row in page if since <= at < until}
            start = end
        return [found[number] for number in sorted(found)]

    def _pages(
        self, wire: VenueWire, symbol: Mapping[str, str], start: datetime, end: datetime
    ) -> Iterator[list[tuple[int, datetime, T]]]:
        """The pages of one window: the first by time, since time may repeat; those after it by the rows' numbers."""
        common = {**symbol, "limit": self.rows_per_call}
        last_instant = end - timedelta(microseconds=1)  # the venue's end is inclusive, and in whole milliseconds
        parameters = common | {"startTime": to_ms(start), "endTime": to_ms(last_instant)}
        newest = -1
        while True:
            payload = wire.read(self.endpoint, parameters)
            with answers.reading(self.name):
                rows = [self.parse(row) for row in payload]
                page = [(*self.place(row), row) for row in rows]
            yield page
            if len(page) < self.rows_per_call or max(at for _, at, _ in page) >= end:
                return
            before, newest = newest, max(number for number, _, _ in page)
            if newest <= before:
                raise DataError(f"{self.name}: the page after {before} ends with {newest}")
            parameters = common | {self.cursor: newest + 1}
