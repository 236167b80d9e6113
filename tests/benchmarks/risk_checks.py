"""What all pre-trade checks cost together, beside 200 open orders and limits of every scope: a millisecond at most."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from tests.benchmarks.figure import Figure
from tests.benchmarks.stage import LIMITS, PRICE
from tests.examples import ACCOUNT, BTC, MINUTE, T0, intent
from trading.domain.kill_switch import TradingState
from trading.domain.limits import ScopedLimits
from trading.domain.losses import first_mark
from trading.domain.order import Order, OrderState
from trading.domain.risk import check_order
from trading.domain.snapshot import RiskSnapshot

ROUNDS, WARM_UP, OPEN_ORDERS = 2_000, 200, 200
BAR_MS = 1.0


def risk_checks() -> Iterator[Figure]:
    """The median of one `check_order`, in milliseconds."""
    snapshot, times = _snapshot(), []
    for _ in range(WARM_UP + ROUNDS):
        before = time.perf_counter()
        check_order(snapshot)
        times.append((time.perf_counter() - before) * 1000)
    yield Figure(
        name="risk_checks",
        ours=statistics.median(times[WARM_UP:]),
        baseline_name="a millisecond",
        baseline=1.0,
        unit="ms",
        bar=BAR_MS,
        runs=ROUNDS,
    )


def _snapshot() -> RiskSnapshot:
    """An order that every check lets pass, so that each of them is asked to its end."""
    scoped = ScopedLimits(max_order_notional=LIMITS.max_order_notional, max_orders_per_minute=1_000)
    others = tuple(
        Order(
            intent=intent(generation=number, strategy="another"),
            state=OrderState.ACCEPTED,
            sequence=2,
            changed_at=T0,
            signed_at=T0,
        )
        for number in range(OPEN_ORDERS)
    )
    scopes = (f"account:{ACCOUNT}", "strategy:sma")
    return RiskSnapshot(
        at=T0 + timedelta(seconds=5),
        intent=intent(expires_at=T0 + MINUTE),
        instrument=BTC,
        limits=replace(LIMITS, strategy={"sma": scoped}, instrument={BTC.symbol: scoped}),
        state=TradingState.RUNNING,
        expected_price=PRICE,
        newest_close_at=T0,
        held=Decimal(0),
        others=others,
        exposures={BTC.symbol: Decimal(1_000)},
        equity=LIMITS.max_order_notional,
        free_quote=LIMITS.max_order_notional,
        newest_clean_at=T0,
        skew_ms=0.0,
        own_equity=LIMITS.max_order_notional,
        marks={scope: first_mark(scope, equity=Decimal(1_000), at=T0, position=0) for scope in scopes},
    )
