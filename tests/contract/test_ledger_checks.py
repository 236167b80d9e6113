"""What both ledgers promise of what is kept beside an order: its checks, its fills, and why it was planned."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.desk import DiedHere
from tests.examples import ACCOUNT, BTC, MINUTE, RUN, T0, event, fill, intent
from trading.domain.ledger import fill_transaction
from trading.domain.order import OrderState
from trading.domain.plan import PlanLine
from trading.domain.risk import CheckedOrder
from trading.domain.snapshot import Verdict
from trading.errors import InvariantViolation
from trading.ports.ledger import Ledger


def test_a_check_is_kept_when_it_says_something_new(opened: Ledger) -> None:
    deferred = CheckedOrder(
        client_order_id=intent().client_order_id,
        verdict=Verdict.DEFERRED,
        codes=("stale_data", "clock_skew"),
        at=T0,
        figures={"stale_data.age_s": "61.0"},
    )
    later = replace(deferred, at=T0 + MINUTE, figures={"stale_data.age_s": "121.0"})
    allowed = replace(deferred, verdict=Verdict.ALLOWED, codes=(), figures={})
    with opened.transaction() as books:
        books.orders.plan(intent(), RUN)
        said = [books.orders.record_check(one, RUN) for one in (deferred, later, allowed, allowed, later)]
    assert said == [True, False, True, False, True]
    with opened.transaction() as books:
        kept = books.orders.checks(intent().client_order_id)
    assert kept == [replace(one, run_id=RUN.run_id) for one in (deferred, allowed, later)]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: CheckedOrder(client_order_id="f" * 32, verdict=Verdict.ALLOWED, codes=(), at=T0),
        lambda: CheckedOrder(client_order_id=intent().client_order_id, verdict=Verdict.DENIED, codes=(), at=T0),
    ],
    ids=["of nobody", "without a reason"],
)
def test_a_check_of_nobody_or_without_a_reason_is_refused(opened: Ledger, wrong: Callable[[], CheckedOrder]) -> None:
    with opened.transaction() as books:
        books.orders.plan(intent(), RUN)
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.record_check(wrong(), RUN)


def test_a_runs_planning_lines_come_back_in_their_order(opened: Ledger) -> None:
    lines = [
        PlanLine(
            strategy="sma",
            instrument=symbol,
            as_of=T0,
            outcome="ordered",
            weight=Decimal("0.5"),
            target_quantity=Decimal("0.5"),
            delta=Decimal("-0.1"),
            client_order_id=intent().client_order_id,
        )
        for symbol in ("ETH/USDT", "BTC/USDT")
    ]
    lines.append(PlanLine(strategy="new", instrument="", as_of=None, outcome="no_decision"))
    with opened.transaction() as books:
        books.orders.record_lines(ACCOUNT, lines, RUN)
    with opened.transaction() as books:
        assert books.orders.lines(RUN.run_id) == lines
        assert books.orders.lines("another") == []


def test_a_planning_line_is_news_once_a_decision(opened: Ledger) -> None:
    """The same of the same decision is kept with its run, and is news no more; without a decision all is news."""
    dust = PlanLine(strategy="sma", instrument="BTC/USDT", as_of=T0, outcome="dust", delta=Decimal("0.01"))
    again = replace(dust, delta=Decimal("0.02"))
    others = [
        replace(dust, strategy="other"),
        replace(dust, instrument="ETH/USDT"),
        replace(dust, as_of=T0 + MINUTE),
        replace(dust, outcome="planned"),
        replace(dust, outcome="planned", client_order_id=intent().client_order_id),
    ]
    nothing = PlanLine(strategy="sma", instrument="BTC/USDT", as_of=None, outcome="dust")
    later = replace(RUN, run_id="later")
    with opened.transaction() as books:
        books.accounts.open("other", venue="binance", mode="live", at=T0, run=RUN)
        assert books.orders.record_lines(ACCOUNT, [dust, again, nothing], RUN) == [dust, nothing]
    with opened.transaction() as books:
        assert books.orders.record_lines(ACCOUNT, [again, *others, nothing], later) == [*others, nothing]
        assert books.orders.record_lines("other", [dust], later) == [dust]
    with opened.transaction() as books:
        assert books.orders.record_lines(ACCOUNT, [*others, dust], RUN) == []
        assert books.orders.lines("later") == [again, *others, nothing, dust]


def test_what_was_rolled_back_was_not_said(opened: Ledger) -> None:
    """A planning that dies before its commit leaves the news to the next one."""
    dust = PlanLine(strategy="sma", instrument="BTC/USDT", as_of=T0, outcome="dust")

    def dies() -> None:
        with opened.transaction() as books:
            books.orders.record_lines(ACCOUNT, [dust], RUN)
            raise DiedHere

    with pytest.raises(DiedHere):
        dies()
    with opened.transaction() as books:
        assert books.orders.record_lines(ACCOUNT, [dust], RUN) == [dust]


def test_a_fill_shows_in_every_reading_of_its_order(opened: Ledger) -> None:
    """The order as it stands, among the open ones, among the newest, and as the fold of its next event."""
    with opened.transaction() as books:
        books.instruments.save([BTC], at=T0, run=RUN)
        books.orders.plan(intent(), RUN)
        order = books.orders.get(intent().client_order_id)
        assert order is not None
        order = books.orders.append(order, event(order, OrderState.SUBMITTING))
        order = books.orders.append(order, event(order, OrderState.ACCEPTED))
        one = fill(client_order_id=order.client_order_id)
        books.fills.record(one, fill_transaction(ACCOUNT, "sma", BTC, one), RUN)
        readings = [
            books.orders.get(order.client_order_id),
            books.orders.open(ACCOUNT)[0],
            books.orders.recent(ACCOUNT, 1)[0],
            books.orders.append(order, event(order, OrderState.PARTIALLY_FILLED)),
        ]
    assert [reading.filled_quantity for reading in readings if reading] == [Decimal("0.2")] * 4
    assert readings[3] is not None
    assert readings[3].signed_remainder == Decimal("0.3")
