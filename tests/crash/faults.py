"""Faults: which there are, when they strike, and how often they did."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tests.crash.appointments import SimulatedClock

#: Every fault that a schedule may draw; a suite in which one never happened proves nothing about it.
FAULTS: Final = (
    "answer_lost",
    "cancel_answer_lost",
    "cancel_lost",
    "cancel_too_late",
    "canceled",
    "clock_jumped",
    "clock_skewed",
    "commit_answer_lost",
    "commit_failed",
    "fills_lagged",
    "halted",
    "halted_past_the_flag",
    "incarnation_changed",
    "late_acceptance",
    "maker_fill",
    "order_lagged",
    "overtaken",
    "partial_fill",
    "paused",
    "read_failed",
    "rejected",
    "request_lost",
    "resume_refused",
    "resumed",
    "stalled",
    "stalled_in_flight",
    "too_late_refused",
    "unpaused",
    "zombie_request",
)
#: Where a process must have died at least once: (flow function, port call).
CRASH_POINTS: Final = (
    "_plan.begin",
    "_plan.before_commit",
    "_plan.after_commit",
    "_authorise.begin",
    "_authorise.before_commit",
    "_authorise.after_commit",
    "send.submit.before",
    "send.submit.after",
    "_record.begin",
    "_record.before_commit",
    "_record.after_commit",
    "_reconcile.begin",
    "_reconcile.before_commit",
    "_reconcile.after_commit",
    "look.order.before",
    "look.order.after",
    "_fills.fills.before",
    "_fills.fills.after",
    "look.balances.before",
    "look.balances.after",
    "look.open_orders.before",
    "look.open_orders.after",
    "withdraw_rested.cancel.before",
    "withdraw_rested.cancel.after",
    "_engage.before_commit",
    "_engage.after_commit",
    "_resume.before_commit",
    "_resume.after_commit",
    "_one.before_commit",
    "_one.after_commit",
)
#: Around the one line that can lose money, faults are drawn more often; where nothing is at stake, less.
_WEIGHT: Final = {
    "_authorise": 4.0,
    "_record": 5.0,
    "send": 3.0,
    "withdraw_rested": 3.0,
    "_engage": 4.0,
    "_resume": 4.0,
    "recorded": 0.2,
    "_fills": 0.4,
    "market": 0.4,
}
#: How long a stopped process sleeps, in seconds: just within a request's window, just past it, past every horizon.
_PAUSES_S: Final = (0.0, 0.5, 1.9, 2.1, 5.0, 15.0, 45.0, 45.0, 120.0, 300.0)
#: What a clock is set to where it was set wrong, in seconds off the truth.
_JUMPS_S: Final = (-300.0, -30.0, -5.0, 5.0, 30.0, 30.0, 60.0, 300.0)


class Crash(BaseException):
    """kill -9: not an error that anything may handle."""


@dataclass
class Process:
    """One chain of flows, on a machine whose clock may be off. Once dead, no port answers it."""

    dead: bool = False
    clock_error: timedelta = timedelta(0)
    sends: int = 0  # how often it holds the sending fence


@dataclass
class Faults:
    """Draws faults, and counts those that happened."""

    rng: random.Random
    clock: SimulatedClock
    intensity: float
    enabled: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    process: Process = field(default_factory=Process)
    depth: int = 0
    meanwhile: Callable[[], None] = lambda: None
    stepped: Callable[[], None] = lambda: None

    def drawn(self, probability: float, where: str = "") -> bool:
        """Whether a fault of this probability, scaled by the schedule's intensity and the place, happens now."""
        return self.enabled and self.rng.random() < probability * (self.intensity * _WEIGHT.get(where, 1.0))

    def new_process(self) -> Process:
        """A process on some machine: most clocks are right, some are off by what is allowed, few were set wrong."""
        process = Process()
        if self.drawn(0.04):
            self.counts["clock_jumped"] += 1
            process.clock_error = timedelta(seconds=self.rng.choice(_JUMPS_S))
        elif self.drawn(0.2):
            self.counts["clock_skewed"] += 1
            process.clock_error = timedelta(seconds=self.rng.uniform(-0.9, 0.9))
        return process

    def crash(self, point: str) -> None:
        """Die here."""
        self.process.dead = True
        self.counts[f"crash {point}"] += 1
        raise Crash(point)

    def point(self, point: str, *, may_stall: bool = True) -> None:
        """A moment outside any transaction: the process may die, be stopped for a while, or have its clock set."""
        if self.process.dead:
            raise Crash(point)
        if not self.enabled:
            return
        where = point.split(".", 1)[0]
        if self.drawn(0.01, where):
            self.crash(point)
        if self.drawn(0.002):
            self.counts["clock_jumped"] += 1
            self.process.clock_error = timedelta(seconds=self.rng.choice(_JUMPS_S))
        if may_stall and self.depth == 0 and self.drawn(0.02, "" if where in ("look", "_fills") else where):
            self._stall(point)

    def _stall(self, point: str) -> None:
        """SIGSTOP, time passes and others run, SIGCONT."""
        self.counts["stalled"] += 1
        self.counts["stalled_in_flight"] += point == "send.submit.before"
        process, self.depth = self.process, self.depth + 1
        try:
            for _ in range(self.rng.randint(1, 3)):
                self.clock.advance(self.rng.choice(_PAUSES_S))
                self.meanwhile()
        finally:
            self.process, self.depth = process, self.depth - 1
