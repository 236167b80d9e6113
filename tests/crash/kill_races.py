"""Kill races: somebody halts at a random instant while senders send, on a real PostgreSQL, and the halt is enforced.

Three senders, each a thread with a connection of its own, send without a break; some lose their connection, and with it
the fence, between their row and their POST, and go on as zombies. The venue takes what arrives within recvWindow.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import trading.flows.send
from tests.benchmarks.stage import LIMITS, RUN, BenchAccount, market_view, open_account, pause
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import SystemClock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.order import OrderRequest, OrderState
from trading.domain.override import Override
from trading.domain.venue_order import Horizon, Step, VenueOrder, VenueOrderStatus
from trading.errors import OrderRejected, TradingError
from trading.flows.enforce_halt import EnforceHalt
from trading.flows.order_steps import append_step
from trading.flows.risk_snapshot import traffic_question
from trading.flows.send import Outcome, Sender

SENDERS = 3
RECV_WINDOW_MS = 60
HORIZON = Horizon(clock_skew_s=0.02, api_timeout_s=0, visibility_lag_s=0)
#: One sender in so many POSTs loses its fence before it.
_ZOMBIES = 0.15
_STRATEGIES = tuple(f"s{number}" for number in range(SENDERS))
_reading = threading.local()


@dataclass
class Races:
    """What became of them. Seconds; a violation is a sentence."""

    races: int = 0
    accepted: int = 0
    after_commit: int = 0  # accepted between the halt's commit and its effect: their flag was read before
    refused_late: int = 0  # zombies that the venue refused
    cancelled: int = 0
    visible_s: list[float] = field(default_factory=list)
    effective_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def percentile(self, seconds: list[float], share: float = 0.99) -> float:
        """In milliseconds."""
        return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] * 1000


class RacingVenue:
    """Takes what arrives in time, after a moment on the wire; what it took rests until it is cancelled."""

    def __init__(self, chance: random.Random) -> None:
        self.lock = threading.Lock()
        self.arrivals: list[tuple[float, float, str]] = []  # arrived, flag read from, name
        self.resting: dict[str, VenueOrder] = {}
        self.late = 0
        self._chance = chance

    def submit(self, request: OrderRequest) -> VenueOrder:
        """The POST: a while on the wire, for a zombie a long one, and then the venue's own look at the clock."""
        with self.lock:
            wire_s, is_zombie = self._chance.uniform(0, 0.008), self._chance.random() < _ZOMBIES
            slept_s = self._chance.uniform(0, 3 * RECV_WINDOW_MS / 1000) if is_zombie else wire_s
        if is_zombie:
            _reading.ledger.close()  # the fence is gone with it
        time.sleep(slept_s)
        with self.lock:
            if datetime.now(UTC) > request.signed_at + timedelta(milliseconds=request.recv_window_ms):
                self.late += 1
                raise OrderRejected("-1021", "Timestamp for this request is outside of the recvWindow.")
            self.arrivals.append((time.monotonic(), _reading.began, request.client_order_id))
            seen = VenueOrder(
                venue_order_id=request.client_order_id,
                client_order_id=request.client_order_id,
                instrument=request.instrument,
                side=request.side,
                status=VenueOrderStatus.OPEN,
                quantity=request.quantity,
                filled_quantity=Decimal(0),
                created_at=datetime.now(UTC),
            )
            self.resting[request.client_order_id] = seen
            return seen

    def cancel(self, instrument: str, client_order_id: str) -> None:
        with self.lock:
            if self.resting.pop(client_order_id, None) is None:
                raise OrderRejected("-2011", "Unknown order sent.")

    def open_orders(self) -> list[VenueOrder]:
        with self.lock:
            return list(self.resting.values())


class _WatchedEnforcer(EnforceHalt):
    """Notes when the halt became effective, from before it is written down."""

    effective_at = float("inf")

    def _take_effect(self, run: Run, kind: ControlKind, *arguments: Any, **facts: Any) -> None:
        if kind is ControlKind.HALT_EFFECTIVE:
            self.effective_at = time.monotonic()
        super()._take_effect(run, kind, *arguments, **facts)


@contextmanager
def _noted_flags() -> Iterator[None]:
    """Each sender's thread knows when it began to read the flag: right before it reads all in one round trip."""

    def noted(*arguments: Any, **facts: Any) -> Any:
        _reading.began = time.monotonic()
        return traffic_question(*arguments, **facts)

    trading.flows.send.traffic_question = noted  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trading.flows.send.traffic_question = traffic_question  # type: ignore[attr-defined]


def run_races(url: str, count: int, seed: int) -> Races:
    """`count` races on the database at `url`, which is migrated and empty; the first violation ends them."""
    account, found = open_account(url, "races", _STRATEGIES), Races()
    try:
        with _noted_flags():
            for number in range(count):
                _race(url, account, number, random.Random(f"{seed}:{number}"), found)  # noqa: S311
                if found.violations:
                    break
    finally:
        account.ledger.close()
    return found


def _race(url: str, account: BenchAccount, number: int, chance: random.Random, found: Races) -> None:
    venue, stop = RacingVenue(chance), threading.Event()
    errors: list[str] = []
    senders = [
        threading.Thread(target=_send, args=(PostgresLedger(url), account, venue, (strategy, number), stop, errors))
        for strategy in _STRATEGIES
    ]
    for sender in senders:
        sender.start()
    while len(venue.arrivals) < SENDERS and not errors:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))
    began = time.monotonic()
    with account.ledger.transaction() as books:
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author="race",
            reason=f"race {number}",
            at=books.now(),
            run_id=RUN.run_id,
            dag_id="race",
        )
        halt_id = books.control.engage(account.name, event)
    committed = time.monotonic()
    enforcer = _WatchedEnforcer(
        account.ledger,
        venue,  # type: ignore[arg-type]
        SystemClock(),
        account=account.name,
        horizon=HORIZON,
        protective_on_halt="keep",
    )
    enforcer.run(RUN)
    time.sleep(chance.uniform(0, 4 * RECV_WINDOW_MS / 1000))  # time for a zombie to break the promise
    stop.set()
    for sender in senders:
        sender.join(60)
    _judge(venue, committed, enforcer.effective_at, found, f"race {number}")
    found.violations += errors
    found.visible_s.append(committed - began)
    found.effective_s.append(enforcer.effective_at - committed)
    _tidy_up(account, halt_id)


def _send(  # noqa: PLR0917 - a thread's target
    ledger: PostgresLedger,
    account: BenchAccount,
    venue: RacingVenue,
    part: tuple[str, int],
    stop: threading.Event,
    errors: list[str],
) -> None:
    """One sender: plans and sends until it is told of the halt, and asks once more after it was told to stop."""
    strategy, race = part
    _reading.ledger = ledger
    mine = BenchAccount(ledger=ledger, name=account.name, portfolio=account.portfolio, epoch=account.epoch)
    sender = Sender(
        ledger,
        venue,  # type: ignore[arg-type]
        SystemClock(),
        account=account.name,
        portfolio=account.portfolio,
        recv_window_ms=RECV_WINDOW_MS,
    )
    try:
        for turn in range(10_000):
            last = stop.is_set()
            order = mine.planned(race * 10_000 + turn, strategy)
            outcome, why = sender.send(order, market_view(), RUN, limits=LIMITS, epoch=account.epoch, pause=pause())
            if outcome not in (Outcome.SENT, Outcome.REJECTED, Outcome.HALTED):
                errors.append(f"race {race}: {outcome} {why}")
            if last or errors:
                return
            if outcome is Outcome.HALTED:
                stop.wait(60)
    except TradingError as error:
        errors.append(f"race {race}: {error}")
    finally:
        ledger.close()


def _judge(venue: RacingVenue, committed: float, effective: float, found: Races, name: str) -> None:
    """Nothing arrives after the effect; what arrives after the commit had read the flag before it."""
    found.races += 1
    found.accepted += len(venue.arrivals)
    found.refused_late += venue.late
    for arrived, flag_read, client_order_id in venue.arrivals:
        if arrived > effective:
            found.violations.append(
                f"{name}: {client_order_id} was accepted {arrived - effective:.4f} s after effective"
            )
        if arrived > committed:
            found.after_commit += 1
            if flag_read > committed:
                found.violations.append(f"{name}: {client_order_id} read the flag after the halt, and was sent")
    if venue.resting:
        found.violations.append(f"{name}: {len(venue.resting)} orders rest after the halt was verified")


def _tidy_up(account: BenchAccount, halt_id: int) -> None:
    """Every order ends, and the halt is released, so that the next race begins as this one did."""
    now = datetime.now(UTC)
    override = Override(
        halt_id=halt_id,
        action="resume",
        scope="all",
        environment="replay",
        subject="race",
        key_id="race",
        token_id=f"race-{halt_id}",
        issued_at=now,
        expires_at=now + timedelta(minutes=1),
        reason="the next race",
    )
    ends = {
        OrderState.PLANNED: (OrderState.EXPIRED,),
        OrderState.SUBMITTING: (OrderState.REJECTED,),
        OrderState.ACCEPTED: (OrderState.CANCELED,),
    }
    with account.ledger.transaction() as books:
        books.accounts.lock(account.name)
        for order in books.orders.open(account.name):
            for state in ends[order.state]:
                append_step(books, order, Step(state=state, reason="the race is over"), at=now, run=RUN)
        books.control.release(account.name, override, at=now, run=RUN)
