"""A deterministic world in which anything may die at any moment: the real flows over in-memory ports that fail.

One `random.Random(seed)` decides everything. A *process* is one chain of flows; when it crashes, every further call of
a port raises too, as after kill -9, and what was not committed is gone. A *stall* is a process that is stopped in the
middle of a call while time passes and others run, and then goes on as if nothing had been. Requests can stay behind in
the network after their process died, and arrive later; the venue refuses those that are too old.
"""

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.crash.appointments import SimulatedClock
from tests.crash.faults import Crash, Faults, FaultyLedger, FaultyMarket, FaultyVenue, Process
from tests.desk import HORIZON, RECV_WINDOW_MS, Desk, plan, portfolio
from tests.examples import T0
from trading.domain.market import Panel
from trading.domain.order import OPEN
from trading.errors import InvariantViolation, TradingError

#: Simulated seconds in which everything must have ended once the faults are healed.
LIVENESS_S: Final = RECV_WINDOW_MS / 1000 + HORIZON.clock_skew_s + HORIZON.api_timeout_s + HORIZON.visibility_lag_s + 60
#: What a process dies of without being killed: the flow fails, and is recorded as failed.
_SURVIVABLE: Final = (TradingError, ConnectionError)


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
