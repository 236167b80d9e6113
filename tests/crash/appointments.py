"""Simulated time: a clock that keeps appointments, and the workers' own clocks, which may be wrong."""

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from trading.clock import ManualClock


class SimulatedClock(ManualClock):
    """Time that stops at each appointment on its way."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._appointments: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, instant: datetime, action: Callable[[], None]) -> None:
        """Do `action` when the clock passes `instant`."""
        heapq.heappush(self._appointments, (instant, next(self._numbers), action))

    def advance(self, seconds: float) -> None:
        """Move on, and do what was agreed on the way."""
        end = self.now() + timedelta(seconds=seconds)
        while self._appointments and self._appointments[0][0] <= end:
            instant, _, action = heapq.heappop(self._appointments)
            super().advance(max(0.0, (instant - self.now()).total_seconds()))
            action()
        super().advance(max(0.0, (end - self.now()).total_seconds()))


class WorkerClock:
    """The clock of whichever machine runs now: true time and that machine's error."""

    def __init__(self, true: ManualClock, error: Callable[[], timedelta]) -> None:
        self._true = true
        self._error = error

    def now(self) -> datetime:
        """What this machine takes the time for."""
        return self._true.now() + self._error()

    def sleep(self, seconds: float) -> None:
        """Time passes for everybody."""
        self._true.advance(seconds)

    def monotonic(self) -> float:
        """Seconds on a clock that nobody sets."""
        return self._true.monotonic()
