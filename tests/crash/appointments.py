"""A clock that keeps appointments: what was agreed for an instant happens when time passes it."""

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
