"""Where orders leave the house, the venue has to have passed its conformance test with this very ccxt."""

from dataclasses import replace

import pytest

from tests.desk import RECV_WINDOW_MS, Desk
from tests.examples import ACCOUNT, T0
from trading.domain.conformance import Conformance, ConformanceRequired, ConformanceStep, StepVerdict, Target
from trading.errors import ConfigurationError
from trading.flows.place import Place, PlaceReport

PASSED = Conformance(
    venue="binance",
    target=Target.SANDBOX,
    address="https://testnet.binance.vision",
    at=T0,
    code_version="0.1.0",
    ccxt_version="4.5.90",
    steps=(ConformanceStep("place", StepVerdict.PASSED, "order 1"),),
)


def place(desk: Desk) -> PlaceReport:
    flow = Place(
        desk.ledger,
        desk.venue,
        desk.market,
        desk.clock,
        account=ACCOUNT,
        portfolio=desk.portfolio,
        recv_window_ms=RECV_WINDOW_MS,
        required=ConformanceRequired(venue="binance", mode="sandbox", ccxt_version="4.5.90"),
    )
    return flow.run(desk.run_of("place"), lambda: False)


def record(desk: Desk, conformance: Conformance) -> None:
    with desk.store.transaction() as books:
        books.conformances.record(conformance, desk.run_of("certify"))


def ready() -> Desk:
    """A desk with a decision that wants two orders."""
    desk = Desk().open()
    desk.next_minute()
    desk.lease()
    desk.ingest()
    desk.evaluate()
    desk.reconcile()
    return desk


@pytest.mark.parametrize(
    "newest", [None, replace(PASSED, ccxt_version="4.5.91"), replace(PASSED, target=Target.PAPER)], ids=str
)
def test_without_a_passed_test_nothing_is_planned_or_sent(newest: Conformance | None) -> None:
    """The run failed with the sentence that names the command, which is what `trading why` shows of it."""
    desk = ready()
    if newest is not None:
        record(desk, newest)
    with pytest.raises(ConfigurationError, match="trading doctor --venue binance"):
        place(desk)
    assert (desk.posts(), desk.orders()) == ([], [])
    (run,) = desk.read(lambda books: books.runs.recent("place", 1))
    assert run.outcome == "failed"
    assert "no order may go to binance in mode sandbox" in run.message


def test_with_one_orders_go_out() -> None:
    desk = ready()
    record(desk, PASSED)
    assert place(desk).outcomes["sent"] == 2


def test_a_later_failure_takes_it_back() -> None:
    """The newest test counts."""
    desk = ready()
    record(desk, PASSED)
    record(desk, replace(PASSED, steps=(ConformanceStep("cancel", StepVerdict.FAILED, "HTTP 502"),)))
    with pytest.raises(ConfigurationError, match=r"failed its newest test .*\(cancel\)"):
        place(desk)
    assert desk.posts() == []
