"""Wall clock, sleep and monotonic time: the only place that reads them, and a leaf that anybody may be handed."""

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a flow may know about time."""

    def now(self) -> datetime:
        """The current instant, aware, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current instant, aware, UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to: for tests, simulations and backtests."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"expected an aware datetime, got the naive {start!r}")
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """The instant that this clock was last set to."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on by `seconds` at once."""
        self.advance(seconds)

    def monotonic(self) -> float:
        """Seconds since this clock's start."""
        return (self._now - self._start).total_seconds()

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, which may not be negative."""
        if seconds < 0:
            raise ValueError(f"expected seconds >= 0, got {seconds}")
        self._now += timedelta(seconds=seconds)


def random_id() -> str:
    """32 random hex digits, for what has no business key (a request, a token, a command line's run)."""
    return uuid.uuid4().hex
