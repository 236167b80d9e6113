"""The conformance test of a venue, through ccxt against a paper exchange that behaves, and against ones that do not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paper_exchange import API_KEY, API_SECRET, RunningExchange, account, running_exchange
from scripted_venue import ScriptedVenue, answer

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.memory.ledger import MemoryLedger
from trading.adapters.venue_address import target_at
from trading.adapters.venue_capabilities import capabilities
from trading.domain.conformance import Conformance, Examination, StepVerdict, Target
from trading.domain.ids import Run
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.errors import ConfigurationError, OutcomeUnknown
from trading.flows.certify import Certify
from trading.paper.fault_plan import FaultPlan
from trading.paper.faults import FaultInjector
from trading.ports.ledger import Books

pytestmark = pytest.mark.usefixtures("no_backoff")
RUN = Run(run_id="cli__certify")
STEPS = [
    *("clock", "filters", "fills", "balances", "too late", "place", "found by name", "found among open orders"),
    *("found among all orders", "duplicate", "cancel", "second cancel", "nothing left open"),
]


class Candidate:
    """A paper exchange with a fault plan, and the test of it."""

    def __init__(self, running: RunningExchange, plan: FaultPlan) -> None:
        self.running, self.plan = running, plan
        self.ledger = MemoryLedger(running.clock)
        keys = {"api_key": API_KEY, "api_secret": API_SECRET}
        self.venue = CcxtExchange("binance", clock=running.clock, base_url=running.url, api_timeout_s=1, **keys)

    def test(self, venue: Any = None, **changes: Any) -> Conformance:
        facts: dict[str, Any] = {
            "venue": "binance",
            "target": Target.PAPER,
            "address": self.running.url,
            "instrument": "BTC/USDT",
            "code_version": "1",
            "ccxt_version": "2",
            "recv_window_ms": 2_000,
            "max_clock_skew_ms": 1_000,
            "visibility_lag_s": 10,
            "codes": capabilities("binance").codes,
        }
        examined = venue or self.venue
        shown = []
        flow = Certify(self.ledger, examined, examined, self.running.clock, Examination(**(facts | changes)))
        found = flow.run(RUN, shown.append)
        assert shown == list(found.steps)
        return found

    def read(self, question: Callable[[Books], Any]) -> Any:
        with self.ledger.transaction() as books:
            return question(books)

    def resting(self) -> list[Any]:
        return self.running.rows("SELECT * FROM orders WHERE status = 'NEW'")


@pytest.fixture
def candidate(tmp_path: Path) -> Iterator[Candidate]:
    plan = FaultPlan()
    with running_exchange(tmp_path, faults=FaultInjector(plan=plan), accounts=(account(),)) as running:
        yield Candidate(running, plan)


def test_an_exchange_that_behaves_passes(candidate: Candidate) -> None:
    """Each step, one order that was cancelled by our id, nothing filled, and the result is kept with its run."""
    found = candidate.test()
    assert [(step.name, step.verdict) for step in found.steps] == [(name, StepVerdict.PASSED) for name in STEPS]
    assert found.passed
    (order,) = candidate.running.rows("SELECT status, type, executed_qty FROM orders")
    assert order == {"status": "CANCELED", "type": "LIMIT_MAKER", "executed_qty": "0"}
    assert candidate.read(lambda books: books.conformances.newest("binance", Target.PAPER)) == found
    assert candidate.read(lambda books: books.conformances.newest("binance", Target.SANDBOX)) is None
    (record,) = candidate.read(lambda books: books.runs.get(RUN.run_id))
    assert (record.flow, record.counts) == ("certify", {"passed": 13, "failed": 0, "skipped": 0})


def test_each_test_has_names_of_its_own_and_the_same_instant_has_the_same(candidate: Candidate) -> None:
    """A second test finds nothing of the first; its order has another id."""
    candidate.test()
    candidate.running.clock.advance(1)
    assert candidate.test().passed
    ids = candidate.running.rows("SELECT DISTINCT client_order_id FROM orders")
    assert len(ids) == 2


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("clock", {"kind": "clock_offset", "endpoint": "GET /api/v3/time", "offset_ms": 1_500}, "differ by 1000 ms"),
    ("fills", {"kind": "html_5xx", "endpoint": "GET /api/v3/myTrades"}, "HTTP 502"),
    ("place", {"kind": "lost_answer", "endpoint": "POST /api/v3/order", "calls": [2]}, "only the venue's books"),
    ("place", {"kind": "empty_200", "endpoint": "POST /api/v3/order", "calls": [2]}, "only the venue's books"),
    (
        "too late",
        {"kind": "clock_offset", "endpoint": "POST /api/v3/order", "calls": [1], "offset_ms": -6_000},
        "it became",
    ),
    ("found by name", {"kind": "query_lag", "endpoint": "GET /api/v3/order", "seconds": 60, "first": 21}, "knows none"),
    ("found among all orders", {"kind": "page_cut", "endpoint": "GET /api/v3/allOrders", "rows": 0}, "knows none"),
    ("duplicate", {"kind": "error_1007", "endpoint": "POST /api/v3/order", "calls": [3]}, "expected the venue's -2010"),
    ("cancel", {"kind": "html_403", "endpoint": "DELETE /api/v3/order", "first": 3}, "HTTP 403"),
    ("second cancel", {"kind": "html_5xx", "endpoint": "DELETE /api/v3/order", "calls": [2, 3, 4]}, "HTTP 502"),
]


@pytest.mark.parametrize(("name", "fault", "said"), FAULTS, ids=[f"{name}: {f['kind']}" for name, f, _ in FAULTS])
def test_an_exchange_that_misbehaves_fails_at_that_step(
    candidate: Candidate, name: str, fault: dict[str, Any], said: str
) -> None:
    """The step says what was seen, what rests on it is skipped, the failure is kept, and no order stays open."""
    candidate.plan.replace({"fault": [fault]}, "test")
    found = candidate.test()
    steps = {step.name: step for step in found.steps}
    assert list(steps) == STEPS
    assert found.failed == [name]
    assert said in steps[name].seen
    assert steps["nothing left open"].verdict is StepVerdict.PASSED
    assert candidate.resting() == []
    assert not candidate.read(lambda books: books.conformances.newest("binance", Target.PAPER)).passed


class Replaced:
    """The venue with one of its methods replaced."""

    def __init__(self, venue: CcxtExchange, **replaced: Any) -> None:
        self._venue, self._replaced = venue, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._venue, name)


def test_a_venue_that_takes_an_id_twice_fails(candidate: Candidate) -> None:
    """Both orders are taken back."""

    def twice(request: OrderRequest) -> VenueOrder:
        try:
            return candidate.venue.submit(request)
        except OutcomeUnknown:
            return candidate.venue.order(request.instrument, request.client_order_id)  # type: ignore[return-value]

    found = candidate.test(Replaced(candidate.venue, submit=twice))
    assert found.failed == ["duplicate"]
    assert candidate.resting() == []


def test_a_venue_that_ignores_the_window_fails(candidate: Candidate) -> None:
    """A request that was signed too long ago and became an order is a failure, and the order is taken back."""

    def signs_anew(request: OrderRequest) -> VenueOrder:
        return candidate.venue.submit(replace(request, signed_at=candidate.running.clock.now()))

    found = candidate.test(Replaced(candidate.venue, submit=signs_anew))
    assert found.failed == ["too late"]
    assert "to be refused, it became order" in found.steps[4].seen
    assert candidate.resting() == []


def test_an_order_that_cannot_be_taken_back_is_named(candidate: Candidate) -> None:
    """The last step says which one rests and that a person must cancel it."""

    def nothing(*_: object) -> None:
        return None

    found = candidate.test(Replaced(candidate.venue, cancel=nothing))
    assert found.failed == ["cancel", "nothing left open"]
    (resting,) = candidate.resting()
    assert f"{resting['client_order_id']} does: cancel it at the venue" in found.steps[-1].seen


def test_only_a_sandbox_or_a_paper_exchange_is_tested(candidate: Candidate, tmp_path: Path) -> None:
    """The sandbox by its address, a paper exchange by what it says; the production address and all else are refused."""
    assert target_at("binance", candidate.running.url, timeout_s=5) is Target.PAPER
    assert target_at("binance", "https://testnet.binance.vision/", timeout_s=5) is Target.SANDBOX
    for address in ("https://api.binance.com", "https://api.binance.com:8443", "http://testnet.binance.vision:1"):
        with pytest.raises(ConfigurationError, match=r"not tested at .*nothing was sent: expected its sandbox"):
            target_at("binance", address, timeout_s=0.2)
    with pytest.raises(ConfigurationError, match="not tested at"):
        target_at("binance", "http://127.0.0.1:9", timeout_s=0.2)


def test_no_request_reaches_an_address_that_is_no_paper_exchange(venue: ScriptedVenue) -> None:
    """What answers something else is asked one unsigned question."""
    venue.will(answer({"mode": "live"}))
    with pytest.raises(ConfigurationError, match="not tested at"):
        target_at("binance", venue.url, timeout_s=2)
    (asked,) = venue.arrived
    assert (asked.path, asked.parameters) == ("/paper/v1/status", {})
    assert "x-mbx-apikey" not in asked.headers
