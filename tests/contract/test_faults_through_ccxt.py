"""Every fault of the paper exchange through the real adapter: what it is taken for, and that the book stays right."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from paper_exchange import (
    API_KEY,
    API_SECRET,
    START,
    RunningExchange,
    account,
    assert_balances_follow_from_fills,
    running_exchange,
)

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.venue_order import VenueOrderStatus
from trading.errors import ExchangeUnavailable, OrderRejected, OutcomeUnknown
from trading.paper.fault_kinds import COUNTED_NAMES, counted_name
from trading.paper.fault_plan import FaultPlan
from trading.paper.faults import FaultInjector

pytestmark = pytest.mark.usefixtures("no_backoff")

ID = "0123456789abcdef0123456789abcdef"
BUY = OrderRequest(
    client_order_id=ID,
    instrument="SOL/USDT",
    side=Side.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal(10),
    limit_price=None,
    signed_at=START,
    recv_window_ms=2_000,
)
PATIENCE_S = 0.4  # of the client, in the cases where it gives up


@dataclass
class Faulty:
    """A paper exchange that goes wrong as the test says, and the adapter in front of it."""

    running: RunningExchange
    plan: FaultPlan

    def will(self, kind: str, endpoint: str, **details: Any) -> None:
        """Follow one rule from now on."""
        self.plan.replace({"fault": [{"kind": kind, "endpoint": endpoint, **details}]}, "test")

    def adapter(self, timeout_s: float = 5) -> CcxtExchange:
        """A fresh adapter, which gives up after `timeout_s`."""
        return CcxtExchange(
            "binance",
            clock=self.running.clock,
            base_url=self.running.url,
            api_key=API_KEY,
            api_secret=API_SECRET,
            api_timeout_s=timeout_s,
        )

    def buys(self, count: int) -> list[str]:
        """Buy some times, a second apart; the numbers of the fills."""
        for number in range(count):
            self.adapter().submit(replace(BUY, client_order_id=f"{number:032x}", signed_at=self.running.clock.now()))
            self.running.clock.advance(1)
        return [str(row["trade_id"]) for row in self.running.rows("SELECT trade_id FROM fills ORDER BY trade_id")]

    def fills(self) -> list[str]:
        """The numbers of the fills as the adapter reports them."""
        until = self.running.clock.now() + timedelta(seconds=1)
        found = self.adapter().fills("SOL/USDT", since=START, until=until)
        return [fill.venue_fill_id for fill in found]

    def posts(self) -> int:
        """How many orders reached the venue."""
        return len(self.running.rows("SELECT id FROM request_log WHERE method = 'POST'"))


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Faulty]:
    """A paper exchange whose plan is empty at first, with a book that must add up at the end."""
    plan = FaultPlan()
    accounts = (account(USDT="100000", SOL="500"),)
    with running_exchange(tmp_path, faults=FaultInjector(plan=plan), accounts=accounts) as running:
        yield Faulty(running, plan)
        assert_balances_follow_from_fills(running.state)


def eventually(condition: Callable[[], bool]) -> None:
    """Look until it holds; fails after ten seconds."""
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")


#: Kind, its settings, what the adapter makes of an order, and whether the order is in the book.
ORDERS: list[tuple[str, dict[str, Any], type[Exception], bool]] = [
    ("delay", {"seconds": 60}, OutcomeUnknown, True),
    ("late", {}, OutcomeUnknown, True),
    ("lost_answer", {}, OutcomeUnknown, True),
    ("reset", {"executed": False}, OutcomeUnknown, False),
    ("reset", {"executed": True}, OutcomeUnknown, True),
    ("half_close", {"executed": False}, OutcomeUnknown, False),
    ("half_close", {"executed": True}, OutcomeUnknown, True),
    ("drip", {}, OutcomeUnknown, True),
    ("truncated", {}, OutcomeUnknown, True),
    ("html_5xx", {"status": 502, "executed": False}, OutcomeUnknown, False),
    ("html_5xx", {"status": 503, "executed": True}, OutcomeUnknown, True),
    ("error_1006", {"executed": False}, OutcomeUnknown, False),
    ("error_1006", {"executed": True}, OutcomeUnknown, True),
    ("error_1007", {"executed": False}, OutcomeUnknown, False),
    ("error_1007", {"executed": True}, OutcomeUnknown, True),
    ("too_many_requests", {"retry_after_s": 1}, OrderRejected, False),
    ("banned", {"retry_after_s": 120}, OrderRejected, False),
    ("html_403", {}, OutcomeUnknown, False),
    ("empty_200", {"executed": False}, OutcomeUnknown, False),
    ("empty_200", {"executed": True}, OutcomeUnknown, True),
    ("clock_offset", {"offset_ms": 3000}, OrderRejected, False),
    ("clock_offset", {"offset_ms": -3000}, OrderRejected, False),
]
GIVES_UP = ("delay", "late", "drip")
ELSEWHERE = {"query_lag", "page_cut", "doubled_fills", "disordered_fills", "overfill"}


def named(case: tuple[str, dict[str, Any], type[Exception], bool]) -> str:
    return " ".join([case[0], *(f"{name}={value}" for name, value in case[1].items())])


def test_no_fault_is_missing_here() -> None:
    """Each kind, executed and not where it has both, is driven by a test of this file."""
    driven = {counted_name(kind, settings) for kind, settings, _, _ in ORDERS}
    assert driven | ELSEWHERE == set(COUNTED_NAMES)


@pytest.mark.parametrize("case", ORDERS, ids=named)
def test_an_order_is_posted_once_and_taken_for_what_it_may_be(faulty: Faulty, case: Any) -> None:
    """The right error, one POST, a book as if nothing had happened to the answer, and the next look tells the truth."""
    kind, settings, error, executed = case
    faulty.will(kind, "POST /api/v3/order", first=1, **settings)
    adapter = faulty.adapter(PATIENCE_S if kind in GIVES_UP else 5)
    with pytest.raises(error) as caught:
        adapter.submit(BUY)
    if kind == "clock_offset":
        assert caught.value.code == "-1021"  # type: ignore[attr-defined]
    eventually(lambda: len(faulty.running.rows("SELECT order_id FROM orders")) == int(executed))
    (rule,) = faulty.plan.rules
    assert (rule.seen, rule.hits, faulty.plan.counts[rule.name]) == (1, 1, 1)
    assert faulty.posts() == int(executed or kind == "clock_offset")
    seen = faulty.adapter().order("SOL/USDT", ID)
    assert (seen is not None) == executed
    if seen is not None:
        assert (seen.status, seen.filled_quantity) == (VenueOrderStatus.FILLED, BUY.quantity)
        assert faulty.adapter().balances()["SOL"].total == Decimal("509.99")  # 10 bought, 0.01 of them as fee


READS = [case for case in ORDERS if case[0] not in ("banned", "clock_offset")]


@pytest.mark.parametrize("case", READS, ids=named)
def test_a_read_is_repeated_and_succeeds_once_the_fault_has_healed(faulty: Faulty, case: Any) -> None:
    """Two attempts go wrong, the third one answers."""
    faulty.will(case[0], "GET /api/v3/account", first=2, **case[1])
    balances = faulty.adapter(PATIENCE_S if case[0] in GIVES_UP else 5).balances()
    assert balances["USDT"].free == Decimal(100000)
    (rule,) = faulty.plan.rules
    assert (rule.seen, rule.hits) == (3, 2)


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "html_403", "html_5xx", "too_many_requests", "truncated"])
def test_a_read_gives_up_after_three_attempts(faulty: Faulty, kind: str) -> None:
    """A fault that stays is an outage, and the next call after it is answered."""
    faulty.will(kind, "GET *")
    with pytest.raises(ExchangeUnavailable):
        faulty.adapter().balances()
    assert faulty.plan.rules[0].seen == 3
    faulty.plan.clear()
    assert faulty.adapter().balances()["SOL"].free == Decimal(500)


def test_a_ban_is_respected(faulty: Faulty) -> None:
    """What is longer than a read may take is not waited for, and nothing more is asked."""
    faulty.will("banned", "GET /api/v3/account", retry_after_s=120)
    with pytest.raises(ExchangeUnavailable, match=r"banned this address .* until 2026-03-24T00:02:30"):
        faulty.adapter().balances()
    assert faulty.plan.rules[0].seen == 1


def test_the_exchange_says_its_own_time(faulty: Faulty) -> None:
    """A clock that is off shows in the time that the exchange tells, and heals."""
    faulty.will("clock_offset", "GET /api/v3/time", calls=[2], offset_ms=-1500)
    told = [faulty.adapter().server_time() - START for _ in range(3)]
    assert told == [timedelta(0), timedelta(seconds=-1.5), timedelta(0)]


def test_a_late_order_is_refused_where_its_window_has_passed(faulty: Faulty) -> None:
    """recvWindow is the fence: what arrives after it is not executed, at any delay."""
    faulty.will("late", "POST /api/v3/order")
    with pytest.raises(OutcomeUnknown):
        faulty.adapter(PATIENCE_S).submit(replace(BUY, signed_at=START - timedelta(seconds=3)))
    eventually(lambda: faulty.posts() == 1)
    assert faulty.running.rows("SELECT code FROM request_log WHERE method = 'POST'") == [{"code": -1021}]
    assert faulty.adapter().order("SOL/USDT", ID) is None


def test_a_client_that_waits_gets_a_delayed_answer(faulty: Faulty) -> None:
    """Late, not lost."""
    faulty.will("delay", "POST /api/v3/order", seconds=Decimal("0.2"))
    assert faulty.adapter().submit(BUY).filled_quantity == BUY.quantity


def test_queries_lag_behind_the_book(faulty: Faulty) -> None:
    """For ten seconds an order, its fill and its balance are unknown to every query; then all are there."""
    faulty.plan.replace({"fault": [{"kind": "query_lag", "seconds": 10}]}, "test")
    before = faulty.adapter().balances()
    assert before == {}  # not even the deposits are that old
    faulty.running.clock.advance(10)
    before = faulty.adapter().balances()
    faulty.adapter().submit(replace(BUY, signed_at=faulty.running.clock.now()))
    faulty.running.clock.advance(9.999)
    assert faulty.adapter().order("SOL/USDT", ID) is None
    assert (faulty.adapter().open_orders(), faulty.fills(), faulty.adapter().balances()) == ([], [], before)
    faulty.running.clock.advance(0.001)
    found = faulty.adapter().order("SOL/USDT", ID)
    assert found is not None
    assert (found.status, len(faulty.fills())) == (VenueOrderStatus.FILLED, 1)
    assert faulty.adapter().balances()["SOL"].total == Decimal("509.99")


def test_a_page_that_is_cut_short_misses_fills_until_it_heals(faulty: Faulty) -> None:
    """A short page looks like the last one: what is missing is found by the next look."""
    numbers = faulty.buys(3)
    faulty.will("page_cut", "GET /api/v3/myTrades", rows=2)
    assert faulty.fills() == numbers[:2]
    faulty.plan.clear()
    assert faulty.fills() == numbers


@pytest.mark.parametrize("kind", ["doubled_fills", "disordered_fills"])
def test_confused_fills_are_told_once_and_in_order(faulty: Faulty, kind: str) -> None:
    """By their numbers, whatever the page looks like."""
    numbers = faulty.buys(4)
    faulty.will(kind, "GET /api/v3/myTrades")
    raw = [str(row["id"]) for row in faulty.running.ccxt().privateGetMyTrades({"symbol": "SOLUSDT"})]
    assert raw != numbers
    assert set(raw) == set(numbers)
    assert faulty.fills() == numbers
    assert faulty.plan.counts[kind] == 2


LIMIT = replace(BUY, order_type=OrderType.LIMIT, limit_price=Decimal("90.00"))


@pytest.mark.parametrize(
    "request_", [BUY, replace(BUY, side=Side.SELL), LIMIT], ids=["market buy", "market sell", "resting buy"]
)
def test_an_overfill_is_in_the_answer_the_book_and_the_balances(faulty: Faulty, request_: OrderRequest) -> None:
    """11 instead of 10, and nothing stays locked."""
    faulty.will("overfill", "POST /api/v3/order", share=Decimal("0.1"))
    order = faulty.adapter().submit(request_)
    assert (order.status, order.quantity, order.filled_quantity) == (VenueOrderStatus.FILLED, 10, 11)
    assert faulty.adapter().order("SOL/USDT", ID) == order
    held = faulty.adapter().balances()["SOL"]
    assert (held.total, held.locked) == ((Decimal("510.989"), 0) if request_.side is Side.BUY else (Decimal(489), 0))
    assert len(faulty.fills()) == (1 if request_ is LIMIT else 2)


def test_an_overfill_that_the_account_cannot_pay_is_none(tmp_path: Path) -> None:
    """The order stays as it was, and no fault is counted."""
    plan = FaultPlan({"fault": [{"kind": "overfill"}]})
    with running_exchange(tmp_path, faults=FaultInjector(plan=plan), accounts=(account(USDT="915"),)) as running:
        assert Faulty(running, plan).adapter().submit(BUY).filled_quantity == BUY.quantity
        assert_balances_follow_from_fills(running.state)
    assert (plan.rules[0].seen, plan.counts["overfill"]) == (1, 0)
