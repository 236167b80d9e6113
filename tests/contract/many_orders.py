"""200 orders that rest at a real paper exchange, in a process of its own, whose cancels fail as a plan says.

Run as a module it serves; imported it starts itself.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import requests

from tests.benchmarks.paper_process import _wait_for, adapter
from tests.examples import BTC, intent
from tests.free_ports import free_port
from tests.paper_exchange import account
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import SystemClock
from trading.domain.ids import Run
from trading.domain.order import OrderState, OrderType, request_for
from trading.domain.venue_order import Horizon, Step
from trading.flows.enforce_halt import EnforceHalt, EnforceReport
from trading.flows.halt import Halt
from trading.flows.order_steps import append_step, submission
from trading.paper.fault_plan import FaultPlan
from trading.paper.faults import CONTROL_PATH, FaultInjector
from trading.paper.limits import RateLimits
from trading.paper.opening import PaperSettings
from trading.paper.server import serve

ORDERS = 200
ACCOUNT = "many"
RUN = Run(run_id="halt_trading__1", dag_id="halt_trading")
HORIZON = Horizon(clock_skew_s=1, api_timeout_s=10, visibility_lag_s=10)
#: A tenth of the cancels fails, in each way that a venue has; one in thirty is told to wait for a second.
FAULTS = [
    {"kind": "error_1007", "endpoint": "DELETE /api/v3/order", "probability": 0.03, "executed": False},
    {"kind": "html_5xx", "endpoint": "DELETE /api/v3/order", "probability": 0.04, "status": 503},
    {"kind": "too_many_requests", "endpoint": "DELETE /api/v3/order", "probability": 0.03, "retry_after_s": 1},
    {"kind": "too_many_requests", "endpoint": "GET /api/v3/openOrders", "first": 1, "retry_after_s": 1},
]
_PLENTY = 10_000_000


@dataclass(frozen=True, slots=True)
class Enforced:
    """What enforcing came to, the seconds that it took, and the faults that happened by kind."""

    report: EnforceReport
    seconds: float
    left: int
    faults: dict[str, int]


@contextmanager
def _exchange(folder: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.contract.many_orders", str(folder / "exchange.sqlite"), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def enforce_many(folder: Path, database_url: str) -> Enforced:
    """Let ORDERS rest, halt, let cancels fail, enforce."""
    with _exchange(folder) as url:
        ledger, venue = PostgresLedger(database_url), adapter(url)
        try:
            _rest(ledger, url)
            Halt(ledger, SystemClock(), account=ACCOUNT).run(RUN, author="test", reason="200 orders")
            requests.post(f"{url}{CONTROL_PATH}", json={"seed": 7, "fault": FAULTS}, timeout=10).raise_for_status()
            enforcer = EnforceHalt(
                ledger,
                venue,
                SystemClock(),
                account=ACCOUNT,
                horizon=HORIZON,
                protective_on_halt="keep",
                another=lambda: adapter(url),
            )
            began = SystemClock().monotonic()
            report = enforcer.run(RUN)
            seconds = SystemClock().monotonic() - began
            told = requests.get(f"{url}{CONTROL_PATH}", timeout=10).json()
            requests.delete(f"{url}{CONTROL_PATH}", timeout=10)
            faults = {f"{each['kind']} of {each['endpoint']}": each["hits"] for each in told["fault"]}
            return Enforced(report=report, seconds=seconds, left=len(venue.open_orders()), faults=faults)
        finally:
            ledger.close()


def _rest(ledger: PostgresLedger, url: str) -> None:
    """Orders far below the market, planned, signed, accepted and on record, as a sender leaves them."""
    venue, now = adapter(url), datetime.now(UTC)
    (btc,) = venue.instruments([BTC.symbol])
    price = (venue.best_prices([BTC.symbol])[BTC.symbol].bid * Decimal("0.9")).quantize(Decimal(1))
    with ledger.transaction() as books:
        books.accounts.open(ACCOUNT, venue="binance", mode="replay", at=now, run=RUN)
        books.instruments.save([btc], at=now, run=RUN)
    for number in range(ORDERS):
        wish = intent(
            account=ACCOUNT,
            generation=number,
            order_type=OrderType.LIMIT,
            limit_price=price,
            quantity=Decimal("0.001"),
            planned_at=now,
            expires_at=now + timedelta(hours=1),
        )
        request = request_for(wish, datetime.now(UTC), 2_000)
        with ledger.transaction() as books:
            books.accounts.lock(ACCOUNT)
            books.orders.plan(wish, RUN)
            order = books.orders.get(wish.client_order_id)
            assert order is not None
            signed = submission(order, request, at=request.signed_at, run=RUN, epoch=0)
            order = books.orders.append(order, signed)
            seen = venue.submit(request)
            step = Step(state=OrderState.ACCEPTED, reason="")
            append_step(books, order, step, at=datetime.now(UTC), run=RUN, venue_order_id=seen.venue_order_id)


if __name__ == "__main__":
    os.umask(0o077)
    limits = RateLimits(weight_per_minute=_PLENTY, orders_per_10_seconds=_PLENTY, orders_per_day=_PLENTY)
    settings = PaperSettings(state=Path(sys.argv[1]), accounts=(account(USDT="10000000"),), limits=limits)
    faults = FaultInjector(plan=FaultPlan(), control=True)
    serve(settings, SystemClock(), "127.0.0.1", int(sys.argv[2]), announce=lambda _: None, faults=faults)
