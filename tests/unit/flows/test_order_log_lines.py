"""The lines that a user greps for: each event's name, its level, and every field that it promises."""

import logging
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import HORIZON, RECV_WINDOW_MS, Behind, Desk, constant
from tests.examples import ACCOUNT, BTC
from trading.domain.order import OrderRequest, OrderType, Side
from trading.errors import OrderRejected, OutcomeUnknown

_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "event", "correlation_id"}
Line = tuple[str, dict[str, Any]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def lines(log: pytest.LogCaptureFixture, event: str) -> list[Line]:
    """Level and fields of each line of `event`, whose message is its name."""
    found = [record for record in log.records if getattr(record, "event", None) == event]
    assert all(record.getMessage() == event for record in found)
    return [
        (record.levelname, {k: v for k, v in record.__dict__.items() if k not in _OF_EVERY_RECORD}) for record in found
    ]


def ready() -> Desk:
    """One wish of 250 BTC, about to be placed."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    return desk


def naming(desk: Desk, **fields: Any) -> dict[str, Any]:
    """What every line about the desk's one order says."""
    order = desk.orders()[0].client_order_id
    return {"client_order_id": order, "strategy": "sma", "symbol": BTC.symbol} | fields


def test_an_order_is_signed_accepted_and_filled(log: pytest.LogCaptureFixture) -> None:
    """Three lines, once each; the venue's id from its answer on."""
    desk = ready()
    desk.place()
    desk.reconcile()
    venue_id = desk.memory_venue.orders()[0].venue_order_id
    assert lines(log, "order_signed") == [("INFO", naming(desk, venue_order_id=None, reason=None))]
    accepted = naming(desk, venue_order_id=venue_id, reason="the venue's answer")
    assert lines(log, "order_accepted") == [("INFO", accepted)]
    assert lines(log, "order_filled") == [("INFO", naming(desk, venue_order_id=venue_id, reason="venue says filled"))]


def test_a_fill_is_told_with_its_price_and_fee(log: pytest.LogCaptureFixture) -> None:
    """Figures as plain text, as the ledger holds them."""
    desk = ready()
    desk.place()
    desk.reconcile()
    (fill,) = desk.read(lambda books: books.fills.recent(ACCOUNT, 5))
    figures = {"side": Side.BUY, "price": "100.02", "quantity": "250", "fee": "0.25", "fee_currency": "BTC"}
    assert lines(log, "fill_recorded") == [("INFO", naming(desk, trade_id=fill.venue_fill_id, **figures))]


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [
        (OutcomeUnknown("timed out"), "order_outcome_unknown", "timed out"),
        (OrderRejected("-2010", "Market is closed."), "order_rejected", "-2010: Market is closed."),
    ],
)
def test_what_the_venue_did_not_take_is_loud(
    log: pytest.LogCaptureFixture, error: Exception, event: str, reason: str
) -> None:
    """A warning with the venue's own words."""
    desk = ready()

    def submit(_: OrderRequest) -> Any:
        raise error

    desk.venue = Behind(desk.memory_venue, submit=submit)
    desk.place()
    assert lines(log, event) == [("WARNING", naming(desk, venue_order_id=None, reason=reason))]


def test_a_deferral_is_told_once_however_often_it_is_tried(log: pytest.LogCaptureFixture) -> None:
    """Ours and the venue's clock differ by 1.5 s."""
    desk = ready()
    desk.market = Behind(desk.memory_market, server_time=lambda: desk.clock.now() + timedelta(seconds=1.5))
    desk.place()
    desk.place()
    why = "clock_skew (clock_skew.limit_ms=1000, clock_skew.skew_ms=1500)"
    assert lines(log, "order_deferred") == [("WARNING", naming(desk, reason=why))]


def test_what_may_be_sent_is_not_called_deferred(log: pytest.LogCaptureFixture) -> None:
    desk = ready()
    desk.place()
    assert lines(log, "order_deferred") == []


def test_the_opening_balance_is_told_with_what_was_held(log: pytest.LogCaptureFixture) -> None:
    """Nobody had traded before it."""
    Desk(balances={"USDT": Decimal("123.450"), "BTC": Decimal(1)}).open()
    told = {"account": ACCOUNT, "balances": {"USDT": "123.45", "BTC": "1"}, "fills_in_it": None}
    assert lines(log, "opening_balance_posted") == [("INFO", told)]


def test_an_opening_balance_says_how_many_fills_are_in_it(log: pytest.LogCaptureFixture) -> None:
    """Somebody traded a minute before the account was taken over."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.memory_venue.submit(
        OrderRequest(
            client_order_id="somebody-else",
            instrument=BTC.symbol,
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=Decimal(1),
            limit_price=None,
            signed_at=desk.clock.now(),
            recv_window_ms=RECV_WINDOW_MS,
        )
    )
    desk.clock.advance(60)
    desk.ingest()
    desk.reconcile()
    ((_, told),) = lines(log, "opening_balance_posted")
    assert told["fills_in_it"] == 1


def test_a_difference_warns_and_is_an_error_once_it_is_confirmed(log: pytest.LogCaptureFixture) -> None:
    """Both figures each time; the halt that follows names its number and its reason."""
    desk = ready()
    balances = desk.memory_venue.balances
    fewer = replace(balances()["USDT"], free=Decimal("99999.5"))
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"USDT": fewer})
    for _ in range(2):
        desk.reconcile()
        desk.clock.advance(HORIZON.visibility_lag_s + 1)
    told = {"kind": "balance", "key": "USDT", "ours": "100000", "theirs": "99999.5"}
    assert lines(log, "discrepancy_found") == [
        ("WARNING", told | {"confirmed": False}),
        ("ERROR", told | {"confirmed": True}),
    ]
    (halt,) = desk.halts()
    assert lines(log, "halt_engaged")[-1] == ("ERROR", {"halt_id": halt.halt_id, "reason": halt.reason})
