"""Maintenance, a refused key, a ban and a market that is closed, as they come over the wire."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ccxt_examples import KEY, NOW, REQUEST, SECRET, exchange_at
from paper_exchange import API_KEY, API_SECRET, RunningExchange, account, running_exchange
from scripted_venue import ScriptedVenue, answer, error

from tests.examples import ACCOUNT
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.memory.ledger import MemoryLedger
from trading.clock import ManualClock
from trading.domain.ids import Run
from trading.domain.market import to_ms
from trading.domain.venue_order import Horizon
from trading.errors import CredentialsRefused, DataError, ExchangeUnavailable, OrderRejected, OutcomeUnknown, Trouble
from trading.flows.reconcile import Reconcile
from trading.paper.fault_plan import FaultPlan
from trading.paper.faults import FaultInjector

pytestmark = pytest.mark.usefixtures("no_backoff")
NAMED = "exchange_api_key and exchange_api_secret"
OLD_KEY = "x" * 64


class Faulty:
    """A paper exchange with a fault plan."""

    def __init__(self, running: RunningExchange, plan: FaultPlan) -> None:
        self.running, self.plan, self.clock = running, plan, running.clock

    def will(self, **fault: Any) -> None:
        self.plan.replace({"fault": [fault]}, "test")

    def adapter(self, api_key: str = API_KEY) -> CcxtExchange:
        keys = {"api_key": api_key, "api_secret": API_SECRET, "secrets_named": NAMED}
        return CcxtExchange("binance", clock=self.clock, base_url=self.running.url, **keys)


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Faulty]:
    plan = FaultPlan()
    with running_exchange(tmp_path, faults=FaultInjector(plan=plan), accounts=(account(),)) as running:
        yield Faulty(running, plan)


@pytest.mark.parametrize(("status", "trouble"), [(503, Trouble.MAINTENANCE), (502, Trouble.OTHER)])
def test_maintenance_is_no_broken_gateway(faulty: Faulty, status: int, trouble: Trouble) -> None:
    """503 with a page is maintenance, 502 is not; an order that meets either may exist all the same."""
    faulty.will(kind="html_5xx", endpoint="GET *", status=status)
    with pytest.raises(ExchangeUnavailable) as caught:
        faulty.adapter().server_time()
    assert caught.value.trouble is trouble
    faulty.will(kind="html_5xx", endpoint="POST *", status=status)
    with pytest.raises(OutcomeUnknown, match=f"HTTP {status}"):
        faulty.adapter().submit(replace(REQUEST, signed_at=faulty.clock.now()))


def test_a_refused_key_halts_and_no_sentence_holds_it(faulty: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The paper exchange's own -2015: reads and orders name the secrets, never their content; reconciling halts."""
    refused, clock = faulty.adapter(OLD_KEY), faulty.clock
    ledger = MemoryLedger(clock)
    with ledger.transaction() as books:
        books.accounts.open(ACCOUNT, venue="binance", mode="sandbox", at=clock.now(), run=Run(run_id="open"))
    horizon = Horizon(clock_skew_s=1, api_timeout_s=5, visibility_lag_s=10)
    flow = Reconcile(ledger, refused, clock, account=ACCOUNT, horizon=horizon, rest=timedelta(minutes=1))
    with pytest.raises(CredentialsRefused) as caught:
        flow.run(Run(run_id="reconcile"))
    with pytest.raises(OrderRejected) as rejected:
        refused.submit(replace(REQUEST, signed_at=clock.now()))
    assert (rejected.value.code, rejected.value.trouble) == ("-2015", Trouble.CREDENTIALS)
    with ledger.transaction() as books:
        (halt,) = [halt for halt in books.control.halts(ACCOUNT) if halt.author == "credentials"]
    said = [str(caught.value), str(rejected.value), halt.reason]
    assert all(f"renew the secrets {NAMED}" in sentence for sentence in said)
    assert not any(secret in text for text in (*said, caplog.text) for secret in (OLD_KEY, API_SECRET))


def test_nothing_is_asked_while_a_ban_lasts(faulty: Faulty) -> None:
    """One request meets it; reads and orders of this process wait it out without another one, and then go on."""
    faulty.will(kind="banned", first=1, retry_after_s=120)
    adapter, clock, until = faulty.adapter(), faulty.clock, "until 2026-03-24T00:02:30"
    with pytest.raises(OrderRejected, match=until) as caught:
        adapter.submit(replace(REQUEST, signed_at=clock.now()))
    assert caught.value.trouble is Trouble.BANNED
    clock.advance(119)
    with pytest.raises(ExchangeUnavailable, match=until):
        adapter.balances()
    with pytest.raises(OrderRejected, match=until):
        adapter.submit(replace(REQUEST, signed_at=clock.now()))
    assert faulty.plan.rules[0].seen == 1
    clock.advance(1)
    assert adapter.balances()["USDT"].free > 0


def test_a_closed_market_and_one_that_is_gone_concern_one_instrument(venue: ScriptedVenue) -> None:
    """An order there is a definite no; what is gone is a word of its own, which reconciliation goes on after."""
    venue.will(error(-1013, "Market is closed."), error(-1121, "Invalid symbol."))
    exchange = exchange_at(venue)
    with pytest.raises(OrderRejected, match="Market is closed"):
        exchange.submit(REQUEST)
    with pytest.raises(DataError) as caught:
        exchange.fills("BTC/USDT", since=NOW - timedelta(hours=1), until=NOW)
    assert caught.value.trouble is Trouble.NOT_LISTED


def _row(number: int, at_ms: int) -> dict[str, Any]:
    facts = {"symbol": "BTCUSDT", "orderId": number, "clientOrderId": f"{number:032x}", "side": "BUY"}
    return facts | {"status": "CANCELED", "origQty": "0.1", "executedQty": "0", "time": at_ms}


def test_all_orders_are_read_in_days_and_pages(venue: ScriptedVenue) -> None:
    """At most 24 hours and 1,000 rows a request, each signed and with a deadline; each order once, ascending."""
    since = NOW - timedelta(hours=30)
    page = [_row(number, to_ms(since) + number) for number in range(1, 1_001)]
    last, next_day = _row(1_001, to_ms(since) + 1_001), _row(2_000, to_ms(NOW) - 1)
    venue.will(answer(page), answer([last]), answer([next_day]))
    exchange = CcxtExchange("binance", clock=ManualClock(NOW), base_url=venue.url, api_key=KEY, api_secret=SECRET)
    found = exchange.order_history("BTC/USDT", since=since, until=NOW)
    assert [int(order.venue_order_id) for order in found] == [*range(1, 1_002), 2_000]
    first, second, third = (request.parameters for request in venue.arrived)
    assert {request.path for request in venue.arrived} == {"/api/v3/allOrders"}
    assert (int(first["startTime"]), int(third["endTime"])) == (to_ms(since), to_ms(NOW) - 1)
    assert int(first["endTime"]) - int(first["startTime"]) < 86_400_000
    assert (second["orderId"], second["limit"], "startTime" in second) == ("1001", "1000", False)
    assert all({"timestamp", "recvWindow", "signature"} <= one.keys() for one in (first, second, third))
