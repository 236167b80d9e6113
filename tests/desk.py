"""A whole desk in memory: a venue, a ledger, two strategies and every flow, under a clock that the test moves."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.examples import ACCOUNT, BTC, ETH, T0
from trading.adapters.memory.ledger import MemoryLedger
from trading.adapters.memory.market import MemoryMarket
from trading.adapters.memory.venue import MemoryVenue, Post
from trading.adapters.memory.witness import MemoryWitness
from trading.clock import Clock, ManualClock
from trading.domain.ids import Run
from trading.domain.kill_switch import HaltLevel
from trading.domain.limits import Limits
from trading.domain.market import CandleSeries, Panel, to_ms
from trading.domain.money import ZERO
from trading.domain.order import Order
from trading.domain.override import Action, Override, sign_override
from trading.domain.portfolio import Portfolio, StrategyPlan
from trading.domain.scope import Scope
from trading.domain.venue_order import Horizon
from trading.flows.apply_limits import ApplyLimits
from trading.flows.enforce_halt import EnforceHalt, EnforceReport
from trading.flows.evaluate import Evaluate, EvaluateReport, Strategy
from trading.flows.flatten import Flatten, FlattenReport
from trading.flows.halt import Halt
from trading.flows.ingest import Ingest, IngestReport, IngestRequest
from trading.flows.lease import RenewLease
from trading.flows.open_account import OpenAccount
from trading.flows.place import Place, PlaceReport
from trading.flows.reconcile import Reconcile, ReconcileReport
from trading.flows.resume import Resume
from trading.flows.send import IsPaused
from trading.ports.ledger import Books, Ledger
from trading.ports.market import MarketData, Venue

KEY = "k" * 32
KEYS = {"a": KEY}
ENVIRONMENT = "replay"
WARMUP = 2
RECV_WINDOW_MS = 2_000
HORIZON = Horizon(clock_skew_s=1, api_timeout_s=5, visibility_lag_s=20)
BALANCES = {"USDT": Decimal(100_000)}
#: Candles begin this long before T0, and go on for as long after it.
HISTORY = timedelta(minutes=30)

LIMITS = Limits(
    max_order_notional=Decimal(100_000),
    max_position_notional=Decimal(100_000),
    max_gross_exposure_bps=Decimal(10_000),
    price_collar_bps=Decimal(150),
    max_orders_per_minute=100,
    max_messages_per_minute=200,
    repeated_order_count=100,
    repeated_order_window_s=600,
    max_daily_loss_bps=Decimal(10_000),
    max_drawdown_bps=Decimal(10_000),
    max_candle_age_s=180,
    max_decision_age_s=300,
    max_reconciliation_age_s=300,
    max_clock_skew_ms=1_000,
)

Weights = Callable[[Panel], NDArray[np.float64]]


def plan(name: str = "sma", **changes: Any) -> StrategyPlan:
    """A strategy of BTC and ETH on 1m with half of the account, that lets changes below 0.5 % of its equity be."""
    values: dict[str, Any] = {
        "name": name,
        "function": "scripted",
        "timeframe": "1m",
        "instruments": (BTC.symbol, ETH.symbol),
        "allocation": Decimal("0.5"),
        "rebalance_threshold_bps": Decimal(50),
    }
    return StrategyPlan(**(values | changes))


def portfolio(*plans: StrategyPlan, **changes: Any) -> Portfolio:
    """Of these strategies, or of one."""
    values: dict[str, Any] = {
        "currency": "USDT",
        "cash_buffer_bps": Decimal(0),
        "instruments": (BTC.symbol, ETH.symbol),
        "strategies": plans or (plan(),),
        "limits": LIMITS,
        "content_hash": "",
    }
    return Portfolio(**(values | changes))


@lru_cache
def flat_candles(price: float, volume: float) -> CandleSeries:
    """One-minute candles around T0 that stay at one price."""
    minutes = int(HISTORY.total_seconds() // 60)
    first = to_ms(T0 - HISTORY)
    return CandleSeries.from_rows(
        [(first + row * 60_000, price, price, price, price, volume) for row in range(2 * minutes)]
    )


def constant(*weights: float) -> Weights:
    """A strategy that always wants the same."""
    return lambda panel: np.tile(np.array(weights), (len(panel), 1))


class Desk:
    """One account, and every flow over the same ports, any of which a test may replace."""

    def __init__(
        self,
        *,
        portfolio_: Portfolio | None = None,
        weights: Mapping[str, Weights] | None = None,
        candles: Mapping[tuple[str, str], CandleSeries] | None = None,
        balances: Mapping[str, Decimal] = BALANCES,
        volume: float = 10_000.0,
        clock: ManualClock | None = None,
        store: Ledger | None = None,
        desk_type: type[MemoryVenue] = MemoryVenue,
    ) -> None:
        self.clock = clock or ManualClock(T0 + timedelta(seconds=2))
        #: What the flows read the time from; a test may let it be wrong.
        self.worker_clock: Clock = self.clock
        self.portfolio = portfolio_ or portfolio()
        self.weights = dict(weights or {})
        series = candles or {
            (BTC.symbol, "1m"): flat_candles(100.0, volume),
            (ETH.symbol, "1m"): flat_candles(10.0, volume),
        }
        self.memory_market = MemoryMarket(series, [BTC, ETH], self.clock)
        self.memory_venue = desk_type(self.memory_market, self.clock, dict(balances))
        self.memory_ledger = MemoryLedger(self.clock)
        #: Where the books are kept; `ledger` is the flows' way to it.
        self.store: Ledger = store or self.memory_ledger
        self.market: MarketData = self.memory_market
        self.venue: Venue = self.memory_venue
        self.ledger: Ledger = self.store
        self.horizon = HORIZON
        self.witness = MemoryWitness()
        self._numbers = itertools.count(1)

    def run_of(self, flow: str) -> Run:
        """A new run."""
        return Run(run_id=f"{flow}__{next(self._numbers)}", dag_id=flow)

    # flows

    def open(self) -> "Desk":
        """Open the account, take over its balances, and let it trade."""
        self.open_account.run(self.run_of("open_account"))
        self.ingest()
        self.reconcile()
        self.resume(self.halts()[0].halt_id)
        self.lease()
        return self

    @property
    def open_account(self) -> OpenAccount:
        return OpenAccount(self.ledger, self.worker_clock, account=ACCOUNT, venue="memory", mode=ENVIRONMENT)

    def ingest(self, **changes: Any) -> IngestReport:
        request: dict[str, Any] = {
            "instruments": self.portfolio.instruments,
            "timeframe": "1m",
            "history": timedelta(minutes=5),
        }
        return Ingest(self.ledger, self.market, self.worker_clock).run(
            self.run_of("ingest"), [IngestRequest(**(request | changes))]
        )

    def evaluate(self) -> EvaluateReport:
        return Evaluate(self.ledger, self.worker_clock, self.strategies()).run(self.run_of("evaluate"))

    def strategies(self) -> list[Strategy]:
        return [
            Strategy(plan=one, warmup=WARMUP, weights=self.weights.get(one.name, constant(0.5, 0.3)))
            for one in self.portfolio.strategies
            if one.enabled
        ]

    def placer(self) -> Place:
        return Place(
            self.ledger,
            self.venue,
            self.market,
            self.worker_clock,
            account=ACCOUNT,
            portfolio=self.portfolio,
            recv_window_ms=RECV_WINDOW_MS,
            witness=self.witness,
        )

    def place(self, is_paused: Callable[[], bool] | None = lambda: False) -> PlaceReport:
        return self.placer().run(self.run_of("place"), is_paused)

    def reconcile(self, *, full: bool = False) -> ReconcileReport:
        flow = Reconcile(
            self.ledger,
            self.venue,
            self.worker_clock,
            account=ACCOUNT,
            horizon=self.horizon,
            rest=timedelta(seconds=self.portfolio.rest_s),
            protective_on_halt=self.portfolio.protective_on_halt,
            witness=self.witness,
        )
        return flow.run(self.run_of("reconcile"), full=full)

    def lease(self) -> None:
        RenewLease(self.ledger, self.market, self.worker_clock, account=ACCOUNT, portfolio=self.portfolio).run(
            self.run_of("lease")
        )

    def limit(self, **changes: Any) -> None:
        """Change the portfolio file's limits, and apply it."""
        self.portfolio = with_limits(self.portfolio, **changes)
        self.apply_limits().run(self.run_of("apply_limits"), person="ada", reason="a test says so", expected="")

    def apply_limits(self) -> ApplyLimits:
        return ApplyLimits(self.ledger, self.worker_clock, account=ACCOUNT, portfolio=self.portfolio)

    def halt(self, reason: str = "a test says so", *, scope: str = "all", level: HaltLevel = HaltLevel.HALT) -> int:
        flow = Halt(self.ledger, self.worker_clock, account=ACCOUNT)
        run = self.run_of("halt")
        return flow.run(run, author="ada", reason=reason, scope=Scope.parse(scope), level=level).halt_id

    @property
    def enforcer(self) -> EnforceHalt:
        return EnforceHalt(
            self.ledger,
            self.venue,
            self.worker_clock,
            account=ACCOUNT,
            horizon=self.horizon,
            protective_on_halt=self.portfolio.protective_on_halt,
        )

    def enforce(self) -> EnforceReport:
        return self.enforcer.run(self.run_of("enforce_halt"))

    def sweep(self) -> EnforceReport:
        return self.enforcer.sweep(self.run_of("sweep_halt"))

    def flatten(self, scope: str = "all", is_paused: IsPaused | None = lambda: False) -> FlattenReport:
        flow = Flatten(
            self.ledger,
            self.venue,
            self.market,
            self.worker_clock,
            account=ACCOUNT,
            portfolio=self.portfolio,
            recv_window_ms=RECV_WINDOW_MS,
            reconcile=lambda _: self.reconcile(),
        )
        return flow.run(self.run_of("flatten"), scope=Scope.parse(scope), is_paused=is_paused)

    def grant(self, halt_id: int, *, scope: str = "all", largest: str = "1000000", minutes: float = 10) -> None:
        """Leave to close positions under this halt, by a signed reduce_only override."""
        until = self.clock.now().replace(microsecond=0) + timedelta(minutes=minutes)
        self.resume(
            halt_id, action=Action.REDUCE_ONLY, scope=scope, largest_notional=Decimal(largest), expires_at=until
        )

    def resume(self, halt_id: int, **changes: Any) -> None:
        flow = Resume(self.ledger, self.worker_clock, account=ACCOUNT, environment=ENVIRONMENT, keys=KEYS)
        flow.run(self.run_of("resume"), self.token(halt_id, **changes))

    def token(self, halt_id: int, *, key: str = KEY, **changes: Any) -> str:
        issued = self.clock.now().replace(microsecond=0)
        values: dict[str, Any] = {
            "halt_id": halt_id,
            "action": "resume",
            "scope": "all",
            "environment": ENVIRONMENT,
            "subject": "ada",
            "key_id": "a",
            "token_id": f"token-{next(self._numbers)}",
            "issued_at": issued,
            "expires_at": issued + timedelta(minutes=10),
            "reason": "a test says so",
        }
        return sign_override(Override(**(values | changes)), key)

    def decide(self, **weights: float) -> None:
        """Let strategies want this from now on: decide(sma=(0.5, 0.3)) by keyword and tuple."""
        self.weights |= {name: constant(*row) for name, row in weights.items()}  # type: ignore[misc]

    def cycle(self) -> PlaceReport:
        """Candles to reconciled fills."""
        self.lease()
        self.ingest()
        self.evaluate()
        self.reconcile()
        report = self.place()
        self.reconcile()
        return report

    def next_minute(self) -> None:
        """Two seconds past the next close."""
        self.clock.advance(60 - self.clock.now().second + 2)

    # what became of it

    def read(self, question: Callable[[Books], Any]) -> Any:
        """Ask the books."""
        with self.store.transaction() as books:
            return question(books)

    def halts(self) -> Sequence[Any]:
        return self.read(lambda books: books.control.halts(ACCOUNT))

    def orders(self) -> list[Order]:
        """Every order, oldest first."""
        return self.read(lambda books: books.orders.recent(ACCOUNT, 10_000))[::-1]

    def states(self) -> dict[tuple[str, str], list[str]]:
        """The states of every order by strategy and instrument, oldest first."""
        found: dict[tuple[str, str], list[str]] = {}
        for order in self.orders():
            found.setdefault((order.intent.strategy, order.intent.instrument), []).append(str(order.state))
        return found

    def posts(self) -> list[Post]:
        return self.memory_venue.posts

    def totals(self) -> dict[str, Decimal]:
        """What our ledger holds, by currency."""
        totals: dict[str, Decimal] = {}
        for (_, currency), amount in self.read(lambda books: books.entries.balances(ACCOUNT)).items():
            totals[currency] = totals.get(currency, ZERO) + amount
        return {currency: total for currency, total in totals.items() if total}

    def venue_totals(self) -> dict[str, Decimal]:
        return {currency: balance.total for currency, balance in self.memory_venue.balances().items()}


def with_limits(base: Portfolio, **changes: Any) -> Portfolio:
    """The portfolio with other limits."""
    return replace(base, limits=replace(base.limits, **changes))


class Behind:
    """A port with some of its methods replaced: Behind(venue, submit=lost)."""

    def __init__(self, inner: Any, **replaced: Callable[..., Any]) -> None:
        self._inner = inner
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._inner, name)


class DiedHere(BaseException):
    """The process ended here, as by kill -9."""
