"""A deterministic world in which anything may die at any moment: the real flows over in-memory ports that fail.

One `random.Random(seed)` decides everything. A *process* is one chain of flows; when it crashes, every further call of
a port raises too, as after kill -9, and what was not committed is gone. A *stall* is a process that is stopped in the
middle of a call while time passes and others run, and then goes on as if nothing had been. Requests can stay behind in
the network after their process died, and arrive later; the venue refuses those that are too old.
"""

import heapq
import itertools
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from tests.desk import HORIZON, RECV_WINDOW_MS, Desk, plan, portfolio
from tests.examples import T0
from trading.adapters.memory.ledger import MemoryLedger
from trading.adapters.memory.venue import MemoryVenue
from trading.clock import ManualClock
from trading.domain.ledger import Balance, Fill
from trading.domain.market import CandleSeries, Instrument, Panel
from trading.domain.order import OPEN, OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.errors import ExchangeUnavailable, InvariantViolation, OrderRejected, OutcomeUnknown, TradingError
from trading.ports.ledger import Books
from trading.ports.market import BestPrices, MarketData

T = TypeVar("T")

#: Simulated seconds in which everything must have ended once the faults are healed.
LIVENESS_S: Final = RECV_WINDOW_MS / 1000 + HORIZON.clock_skew_s + HORIZON.api_timeout_s + HORIZON.visibility_lag_s + 60
#: Every fault that a schedule may draw; a suite in which one never happened proves nothing about it.
FAULTS: Final = (
    "answer_lost",
    "commit_failed",
    "commit_answer_lost",
    "fills_lagged",
    "late_acceptance",
    "partial_fill",
    "read_failed",
    "rejected",
    "request_lost",
    "order_lagged",
    "stalled",
    "too_late_refused",
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
    "_one.before_commit",
    "_one.after_commit",
)
#: Around the one line that can lose money, faults are drawn more often; where nothing is at stake, less.
_WEIGHT: Final = {"_authorise": 4.0, "_record": 5.0, "send": 3.0, "recorded": 0.2, "_fills": 0.4, "market": 0.4}
#: What a process dies of without being killed: the flow fails, and is recorded as failed.
_SURVIVABLE: Final = (TradingError, ConnectionError)


class Crash(BaseException):
    """kill -9: not an error that anything may handle."""


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


@dataclass
class Process:
    """One chain of flows. Once dead, no port answers it."""

    dead: bool = False


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

    def drawn(self, probability: float, where: str = "") -> bool:
        """Whether a fault of this probability, scaled by the schedule's intensity and the place, happens now."""
        weight = self.intensity * _WEIGHT.get(where, 1.0)
        return self.enabled and self.rng.random() < probability * weight

    def crash(self, point: str) -> None:
        """Die here."""
        self.process.dead = True
        self.counts[f"crash {point}"] += 1
        raise Crash(point)

    def point(self, point: str, *, may_stall: bool = True) -> None:
        """A moment outside any transaction: the process may die, or be stopped for a while."""
        if self.process.dead:
            raise Crash(point)
        where = point.split(".", 1)[0]
        if self.drawn(0.01, where):
            self.crash(point)
        if may_stall and self.depth == 0 and self.drawn(0.02, "" if where in ("look", "_fills") else where):
            self._stall()

    def _stall(self) -> None:
        """SIGSTOP, time passes and others run, SIGCONT."""
        self.counts["stalled"] += 1
        process, self.depth = self.process, self.depth + 1
        try:
            for _ in range(self.rng.randint(1, 3)):
                self.clock.advance(self.rng.choice((0.0, 1.0, 5.0, 15.0, 45.0)))
                self.process = Process()
                self.meanwhile()
        finally:
            self.process, self.depth = process, self.depth - 1


def _caller() -> str:
    """The flow's function that called a port."""
    frame = sys._getframe(2)
    while frame.f_back is not None and not frame.f_globals.get("__name__", "").startswith("trading.flows"):
        frame = frame.f_back
    while frame.f_back is not None and frame.f_code.co_name.startswith("<"):
        frame = frame.f_back
    return frame.f_code.co_name


class FaultyLedger:
    """Ledger whose process may die, or lose the database, around each commit."""

    def __init__(self, inner: MemoryLedger, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        faults, where = self._faults, _caller()
        faults.point(f"{where}.begin")
        with self._inner.transaction() as books:
            yield books
            if faults.drawn(0.01, where):
                faults.crash(f"{where}.before_commit")
            if faults.drawn(0.01, where):
                faults.counts["commit_failed"] += 1
                raise ConnectionError("the database went away before COMMIT")
        if faults.drawn(0.01, where):
            faults.crash(f"{where}.after_commit")
        if faults.drawn(0.01, where):
            faults.counts["commit_answer_lost"] += 1
            raise ConnectionError("the database went away during COMMIT, which it had done")

    def sending(self, account: str) -> AbstractContextManager[None]:
        return self._inner.sending(account)

    def draining(self, account: str) -> AbstractContextManager[None]:
        return self._inner.draining(account)

    def close(self) -> None:
        self._inner.close()


class FaultyVenue:
    """Venue behind a bad network: it shows orders and fills late, and requests and answers get lost."""

    def __init__(self, inner: MemoryVenue, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults
        self._shown_at: dict[str, datetime] = {}

    def submit(self, request: OrderRequest) -> VenueOrder:
        faults = self._faults
        if faults.drawn(0.04):  # the process dies, its request lives on
            faults.counts["zombie_request"] += 1
            self._later(request, faults.rng.uniform(0.0, 2.5 * RECV_WINDOW_MS / 1000))
            faults.crash("send.submit.before")
        faults.point("send.submit.before")
        if faults.drawn(0.05):
            faults.counts["rejected"] += 1
            raise OrderRejected("-2010", "Account has insufficient balance for requested action.")
        if faults.drawn(0.05):
            faults.counts["request_lost"] += 1
            raise OutcomeUnknown("connection reset before the request arrived")
        if faults.drawn(0.08):
            faults.counts["late_acceptance"] += 1
            self._later(request, faults.rng.uniform(0.0, 1.2 * RECV_WINDOW_MS / 1000))
            faults.clock.advance(faults.rng.uniform(0.0, HORIZON.api_timeout_s))
            raise OutcomeUnknown("timed out")
        faults.clock.advance(0.05)
        answer = self._deliver(request)
        faults.point("send.submit.after")
        if faults.drawn(0.08):
            faults.counts["answer_lost"] += 1
            raise OutcomeUnknown("the answer was cut")
        return answer

    def cancel(self, instrument: str, client_order_id: str) -> None:
        self._inner.cancel(instrument, client_order_id)

    def order(self, instrument: str, client_order_id: str) -> VenueOrder | None:
        seen = self._read("order", lambda: self._inner.order(instrument, client_order_id))
        if seen is not None and self._hidden(f"order {seen.venue_order_id}", seen.created_at):
            self._faults.counts["order_lagged"] += 1
            return None
        return seen

    def open_orders(self) -> list[VenueOrder]:
        rows = self._read("open_orders", self._inner.open_orders)
        return [row for row in rows if not self._hidden(f"order {row.venue_order_id}", row.created_at)]

    def fills(self, instrument: str, *, since: datetime, until: datetime) -> list[Fill]:
        rows = self._read("fills", lambda: self._inner.fills(instrument, since=since, until=until))
        shown = [row for row in rows if not self._hidden(f"fill {row.venue_fill_id}", row.filled_at)]
        self._faults.counts["fills_lagged"] += len(shown) < len(rows)
        return shown

    def balances(self) -> dict[str, Balance]:
        return self._read("balances", self._inner.balances)

    def _read(self, name: str, question: Callable[[], T]) -> T:
        faults, where = self._faults, _caller()
        faults.point(f"{where}.{name}.before")
        if faults.drawn(0.01):
            faults.counts["read_failed"] += 1
            raise ExchangeUnavailable("HTTP 503")
        answer = question()
        faults.point(f"{where}.{name}.after")
        return answer

    def _hidden(self, name: str, happened_at: datetime) -> bool:
        """Whether queries do not show it yet: they lag the matching engine by up to the visibility lag."""
        if name not in self._shown_at:
            lagged = self._faults.drawn(0.3)
            lag_s = self._faults.rng.uniform(0.0, 0.99 * HORIZON.visibility_lag_s) if lagged else 0.0
            self._shown_at[name] = happened_at + timedelta(seconds=lag_s)
        return self._faults.clock.now() < self._shown_at[name]

    def _later(self, request: OrderRequest, delay_s: float) -> None:
        """The request arrives when nobody waits for its answer."""
        self._faults.clock.at(self._faults.clock.now() + timedelta(seconds=delay_s), lambda: self._arrive(request))

    def _arrive(self, request: OrderRequest) -> None:
        try:
            self._deliver(request)
        except OrderRejected as refused:
            self._faults.counts["too_late_refused"] += refused.code == "-1021"

    def _deliver(self, request: OrderRequest) -> VenueOrder:
        answer = self._inner.submit(request)
        self._faults.counts["partial_fill"] += 0 < answer.filled_quantity < answer.quantity
        return answer


class FaultyMarket:
    """MarketData whose reads fail now and then."""

    def __init__(self, inner: MarketData, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def server_time(self) -> datetime:
        return self._read("server_time", self._inner.server_time)

    def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        return self._read("instruments", lambda: self._inner.instruments(symbols))

    def candles(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        return self._read(
            "candles", lambda: self._inner.candles(instrument, timeframe, since_ms=since_ms, until_ms=until_ms)
        )

    def best_prices(self, symbols: Sequence[str]) -> dict[str, BestPrices]:
        return self._read("best_prices", lambda: self._inner.best_prices(symbols))

    def _read(self, name: str, question: Callable[[], T]) -> T:
        self._faults.point(f"market.{name}", may_stall=False)
        if self._faults.drawn(0.01):
            self._faults.counts["read_failed"] += 1
            raise ExchangeUnavailable("HTTP 503")
        return question()


class World:
    """One seeded schedule: a desk of two strategies, its faults, and what happened."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)  # noqa: S311 — repeatable on purpose
        self.clock = SimulatedClock(T0 + timedelta(seconds=2))
        names = ("one", "two")
        volume = self.rng.choice((20_000.0, 20_000.0, 1_500.0))
        share = Decimal("0.45")
        desk = Desk(
            portfolio_=portfolio(*(plan(name, allocation=share, rebalance_threshold_bps=Decimal(0)) for name in names)),
            weights={name: self._weights(number) for number, name in enumerate(names)},
            volume=volume,
            clock=self.clock,
        )
        self.desk = desk.open()
        intensity = self.rng.choice((0.3, 1.0, 1.0, 2.0))
        self.faults = Faults(rng=self.rng, clock=self.clock, intensity=intensity)
        self.faults.meanwhile = self._meanwhile
        desk.ledger = FaultyLedger(desk.memory_ledger, self.faults)
        desk.venue = FaultyVenue(desk.memory_venue, self.faults)
        desk.market = FaultyMarket(desk.memory_market, self.faults)
        self.broken: list[str] = []

    def run(self, minutes: int = 3) -> None:
        """Faulty minutes, then healed ones until everything must have ended."""
        self.faults.enabled = True
        for _ in range(minutes):
            self.desk.next_minute()
            self._minute()
        self.faults.enabled = False
        end = self.clock.now() + timedelta(seconds=LIVENESS_S)
        while self.clock.now() < end:
            self._chain(self.desk.lease, self.desk.reconcile, self.desk.place, self.desk.reconcile)
            if not self.open_intents() and self.clock.now() + timedelta(seconds=30) < end:
                break  # quiet: nothing is left that time could change but a wish of the newest decision
            self.clock.advance(min(11.0, max(0.1, (end - self.clock.now()).total_seconds())))
        self.clock.advance(30)  # every lag is over
        self._chain(self.desk.lease, self.desk.reconcile)

    def open_intents(self) -> list[str]:
        """Intents that are not terminal."""
        return [order.client_order_id for order in self.desk.orders() if order.state in OPEN]

    def _minute(self) -> None:
        """What the scheduler would start in one minute, and what goes wrong with it."""
        desk = self.desk
        self._chain(desk.lease)
        if self.rng.random() < 0.9:
            self._chain(desk.ingest, desk.evaluate)
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            self._chain(desk.reconcile, desk.place, desk.reconcile)
            self.clock.advance(self.rng.choice((0.0, 1.0, 5.0, 12.0)))

    def _meanwhile(self) -> None:
        """What other workers do while one is stopped."""
        chains: tuple[tuple[Callable[[], Any], ...], ...] = (
            (),
            (self.desk.reconcile,),
            (self.desk.place,),
            (self.desk.reconcile, self.desk.place, self.desk.reconcile),
            (self.desk.lease, self.desk.ingest, self.desk.evaluate, self.desk.place),
        )
        self._chain(*self.rng.choice(chains))

    def _chain(self, *flows: Callable[[], Any]) -> None:
        """One process that runs flows until one fails, or until it dies."""
        before, self.faults.process = self.faults.process, Process()
        try:
            for flow in flows:
                flow()
        except Crash:
            pass
        except InvariantViolation as violation:
            self.broken.append(f"raised: {violation}")
        except _SURVIVABLE:
            pass
        finally:
            self.faults.process = before

    def _weights(self, number: int) -> Callable[[Panel], NDArray[np.float64]]:
        """Random targets, a pure function of seed, strategy and close."""

        def weights(panel: Panel) -> NDArray[np.float64]:
            rng = random.Random(self.seed * 1_000_003 + int(panel.open_ms[-1]) // 60_000 * 7 + number)  # noqa: S311
            row = [rng.choice((0.0, 0.1, 0.25, 0.45)) for _ in panel.instruments]
            return np.tile(np.array(row), (len(panel), 1))

        return weights


def simulate(seed: int) -> World:
    """One whole schedule. Its world is the evidence: the checkers judge it."""
    logging.disable(logging.CRITICAL)
    try:
        world = World(seed)
        world.run()
    finally:
        logging.disable(logging.NOTSET)
    return world
