"""A deterministic world in which anything may die at any moment: the real flows over ports that fail.

One `random.Random(seed)` decides everything. A *process* is one chain of flows; when it crashes, every further call of
a port raises too, as after kill -9, and what was not committed is gone. A *stall* is a process that is stopped in the
middle of a call while time passes and others run, and then goes on as if nothing had been. Requests can stay behind in
the network after their process died, and arrive later; the venue refuses those that are too old. The judge looks after
every commit and at every POST that the venue takes. Two phases: faults, then healed, until all must have ended.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.crash.appointments import SimulatedClock, WorkerClock
from tests.crash.checkers import Judge, WitnessedVenue
from tests.crash.faults import Crash, Faults
from tests.crash.faulty_ports import FaultyLedger, FaultyMarket, FaultyVenue
from tests.crash.ledger_truth import LedgerTruth, MemoryTruth
from tests.desk import HISTORY, HORIZON, LIMITS, RECV_WINDOW_MS, Desk, plan, portfolio
from tests.examples import ACCOUNT, BTC, ETH, T0
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.market import CandleSeries, Panel, to_ms
from trading.domain.portfolio import Portfolio
from trading.errors import InvariantViolation, TradingError
from trading.ports.ledger import Ledger

#: Simulated seconds in which everything must have ended once the faults are healed.
LIVENESS_S: Final = RECV_WINDOW_MS / 1000 + HORIZON.clock_skew_s + HORIZON.api_timeout_s + HORIZON.visibility_lag_s + 60
#: How long a limit order rests in these schedules.
REST_S: Final = 30
#: What a process dies of without being killed: the flow fails, and is recorded as failed.
_SURVIVABLE: Final = (TradingError, ConnectionError)
_PRICES: Final = {BTC.symbol: Decimal(100), ETH.symbol: Decimal(10)}
_STRATEGIES: Final = ("one", "two")
#: Minutes of market: more than stalls can make a schedule last.
_CANDLES: Final = 300

#: Where a schedule keeps its books: the ledger, and the judge's own way to what it committed.
Store = Callable[[SimulatedClock, Faults], tuple[Ledger, LedgerTruth]]


class World:
    """One seeded schedule: a desk of two strategies, its faults, its judge, and what happened."""

    def __init__(self, seed: int, store: Store | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)  # noqa: S311 — repeatable on purpose
        self.clock = SimulatedClock(T0 + timedelta(seconds=2))
        self.faults = Faults(rng=self.rng, clock=self.clock, intensity=self.rng.choice((0.3, 1.0, 1.0, 2.0)))
        ledger, truth = store(self.clock, self.faults) if store else (None, None)
        self.portfolio = _portfolio(self.rng)
        desk = Desk(
            portfolio_=self.portfolio,
            weights={name: self._weights(number) for number, name in enumerate(_STRATEGIES)},
            candles=_candles(self.rng.choice((20_000.0, 20_000.0, 1_500.0))),
            clock=self.clock,
            store=ledger,
            desk_type=WitnessedVenue,
        )
        self.desk = desk.open()
        self.paused = False
        self.broken: list[str] = []
        self.judge = Judge(truth or MemoryTruth(desk.memory_ledger), desk.memory_venue, self.portfolio.limits, _PRICES)
        self._put_faults_between()

    def _put_faults_between(self) -> None:
        desk, faults = self.desk, self.faults
        desk.memory_venue.judge = self.judge  # type: ignore[attr-defined]
        faults.meanwhile = self._meanwhile
        faults.stepped = self.judge.step
        desk.worker_clock = WorkerClock(self.clock, lambda: faults.process.clock_error)
        desk.ledger = FaultyLedger(desk.store, faults)
        desk.venue = FaultyVenue(desk.memory_venue, faults)
        desk.market = FaultyMarket(desk.memory_market, faults)

    def run(self, minutes: int = 3) -> None:
        """Faulty minutes, then healed ones until everything must have ended."""
        self.faults.enabled = True
        for _ in range(minutes):
            self.desk.next_minute()
            self._minute()
        self.faults.enabled = False
        self.paused = False
        end = self.clock.now() + timedelta(seconds=LIVENESS_S)
        while self.clock.now() < end:
            self._chain(self.desk.lease, self.desk.reconcile)
            self._release_all()
            self._chain(self._place, self.desk.reconcile)
            if not self.judge.open_intents() and self.clock.now() + timedelta(seconds=30) < end:
                break  # quiet: nothing is left that time could change but a wish of the newest decision
            self.clock.advance(min(11.0, max(0.1, (end - self.clock.now()).total_seconds())))
        self.clock.advance(30)  # every lag is over
        self._chain(self.desk.lease, self.desk.reconcile)

    def verdict(self) -> list[str]:
        """Everything that is wrong with a schedule that has ended."""
        self.judge.require_agreement()
        self.judge.verify_chain()
        self.faults.counts["maker_fill"] += self.judge.counts["maker_fill"]
        broken = self.broken + self.judge.broken
        waiting = self.judge.open_intents()
        return broken + ([f"liveness: {waiting} did not end within the horizon and 60 s"] if waiting else [])

    # what happens

    def _minute(self) -> None:
        """What the scheduler would start in one minute, what people do, and what goes wrong with it."""
        desk = self.desk
        self._chain(desk.lease)
        if self.rng.random() < 0.9:
            self._chain(desk.ingest, desk.evaluate)
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            self._people()
            self._chain(desk.reconcile, self._place, desk.reconcile)
            self.clock.advance(self.rng.choice((0.0, 1.0, 5.0, 12.0, 31.0)))

    def _people(self) -> None:
        """Somebody stops, pauses, releases or wipes."""
        if self.judge.open_halts():
            if self.rng.random() < 0.7:
                self._chain(self.desk.reconcile, self._resume)
            if self.paused and self.rng.random() < 0.7:
                self._unpause()
        elif self.rng.random() < 0.06:
            self._chain(self._halt)
        elif self.rng.random() < 0.03:
            self._pause()
        elif self.rng.random() < 0.03:
            self._chain(self._change_incarnation)

    def _meanwhile(self) -> None:
        """What other workers and people do while one process is stopped."""
        chains: tuple[tuple[Callable[[], Any], ...], ...] = (
            (),
            (self.desk.reconcile,),
            (self._place,),
            (self.desk.reconcile, self._place, self.desk.reconcile),
            (self.desk.lease, self.desk.ingest, self.desk.evaluate, self._place),
            (self._halt,),
        )
        weights = (4, 4, 4, 4, 4, 0 if self.judge.open_halts() else 1)
        self._chain(*self.rng.choices(chains, weights)[0])

    def _chain(self, *flows: Callable[[], Any]) -> None:
        """One process that runs flows until one fails, or until it dies."""
        before, self.faults.process = self.faults.process, self.faults.new_process()
        try:
            for flow in flows:
                flow()
        except Crash:
            pass
        except InvariantViolation as violation:
            self.broken.append(f"raised: {violation}")
        except _SURVIVABLE as error:
            self.faults.counts["overtaken"] += str(error).startswith("a newer run places")
        finally:
            self.faults.process = before

    def _place(self) -> None:
        self.desk.place(lambda: self.paused)

    def _halt(self) -> None:
        self.desk.halt()
        self.faults.counts["halted"] += 1
        self.faults.counts["halted_past_the_flag"] += self._somebody_sends()

    def _somebody_sends(self) -> bool:
        senders = getattr(self.desk.store, "senders", None)
        return bool(senders and senders(ACCOUNT))

    def _pause(self) -> None:
        """Somebody pauses the DAG: the latch engages in the transaction that pauses it."""
        self.paused = True
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author="airflow:pause",
            reason="the DAG kill_switch was paused",
            at=self.clock.now(),
            run_id="",
            dag_id="kill_switch",
        )
        with self.desk.store.transaction() as books:
            books.control.engage(ACCOUNT, event)
        self.faults.counts["paused"] += 1
        self.judge.step()

    def _unpause(self) -> None:
        self.paused = False
        self.faults.counts["unpaused"] += 1

    def _resume(self) -> None:
        """A signed override for the oldest halt."""
        halt_id = min(self.judge.open_halts())
        try:
            self.desk.resume(halt_id)
        except TradingError:
            self.faults.counts["resume_refused"] += 1
            raise
        self.faults.counts["resumed"] += 1

    def _release_all(self) -> None:
        for _ in self.judge.open_halts():
            self._chain(self._resume)

    def _change_incarnation(self) -> None:
        """A wipe or a restore: from now on the same facts give other ids."""
        with self.desk.ledger.transaction() as books:
            books.accounts.lock(ACCOUNT)
            books.accounts.next_incarnation(ACCOUNT)
        self.faults.counts["incarnation_changed"] += 1

    def _weights(self, number: int) -> Callable[[Panel], NDArray[np.float64]]:
        """Random targets, a pure function of seed, strategy and close."""

        def weights(panel: Panel) -> NDArray[np.float64]:
            rng = random.Random(self.seed * 1_000_003 + int(panel.open_ms[-1]) // 60_000 * 7 + number)  # noqa: S311
            row = [rng.choice((0.0, 0.1, 0.25, 0.45)) for _ in panel.instruments]
            return np.tile(np.array(row), (len(panel), 1))

        return weights


def _portfolio(rng: random.Random) -> Portfolio:
    """Market or resting limit orders, under generous limits or under caps that two strategies together would pass."""
    caps: Mapping[str, Any] = rng.choice(
        ({}, {}, {"max_position_notional": Decimal(25_000)}, {"max_orders_per_minute": 4})
    )
    return portfolio(
        *(plan(name, allocation=Decimal("0.45"), rebalance_threshold_bps=Decimal(0)) for name in _STRATEGIES),
        order_type=rng.choice(("market", "market", "limit")),
        rest_s=REST_S,
        limits=replace(LIMITS, **caps),
    )


@lru_cache
def _candles(volume: float) -> dict[tuple[str, str], CandleSeries]:
    """Candles that stay at one price, with wicks that resting orders meet."""
    minutes, first = _CANDLES, to_ms(T0 - HISTORY)
    return {
        (symbol, "1m"): CandleSeries.from_rows(
            [
                (first + row * 60_000, float(price), float(price) * 1.005, float(price) * 0.995, float(price), volume)
                for row in range(minutes)
            ]
        )
        for symbol, price in _PRICES.items()
    }


def simulate(seed: int, store: Store | None = None) -> World:
    """One whole schedule. Its world is the evidence."""
    logging.disable(logging.CRITICAL)
    try:
        world = World(seed, store)
        world.run()
    finally:
        logging.disable(logging.NOTSET)
    return world
