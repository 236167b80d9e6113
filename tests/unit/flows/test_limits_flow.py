"""Limits come into force when a person applies them: a changed or an invalid file changes nothing by itself."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk import Behind, Desk, constant, portfolio, with_limits
from tests.examples import ACCOUNT, BTC, ETH
from trading.domain.alerts import AlertKind
from trading.domain.kill_switch import ControlKind
from trading.domain.limits import ScopedLimits
from trading.domain.order import OrderRequest, Side
from trading.domain.risk import CheckedOrder
from trading.domain.venue_order import VenueOrder
from trading.errors import ConfigurationError, OrderRejected, TradingHalted
from trading.flows.risk_view import Risk, Wish
from trading.flows.strategy_switch import EnableStrategy
from trading.flows.watch import Watch

TIGHT = Decimal(19_000)


def applied(desk: Desk) -> list[str]:
    """Who applied limits, oldest first."""
    history = desk.read(lambda books: books.control.history(ACCOUNT, 100))
    return [event.author for event in reversed(history) if event.kind is ControlKind.LIMITS_APPLIED]


def denied(desk: Desk) -> list[tuple[str, ...]]:
    """The codes of every order that was denied."""
    checks = [desk.read(lambda books, o=o: books.orders.checks(o.client_order_id))[-1] for o in desk.orders()]
    return [check.codes for check in checks if check.verdict == "denied"]


def test_the_first_start_applies_the_file_and_records_it() -> None:
    """Once, with the limits whole and their hash."""
    desk = Desk().open()
    desk.cycle()
    (event,) = [e for e in desk.read(lambda b: b.control.history(ACCOUNT, 9)) if e.kind is ControlKind.LIMITS_APPLIED]
    assert event.detail["limits_hash"] == desk.portfolio.limits.content_hash
    assert event.detail["document"] == desk.portfolio.limits.document


def test_a_changed_file_waits_for_a_person(caplog: pytest.LogCaptureFixture) -> None:
    """Both ways: neither looser nor tighter limits take effect before they are applied, and each run says so."""
    desk = Desk().open()
    desk.portfolio = with_limits(desk.portfolio, max_order_notional=TIGHT)
    desk.cycle()
    assert denied(desk) == []
    assert "limits_unapplied" in caplog.messages
    desk.limit(max_order_notional=TIGHT)
    desk.next_minute()
    desk.decide(sma=(0.1, 0.3))
    desk.cycle()
    assert denied(desk) == [("max_order_notional",)]
    assert len(applied(desk)) == 2


def test_refused_limits_leave_the_recorded_ones_in_force(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk().open()
    desk.limit(max_order_notional=TIGHT)
    desk.portfolio = replace(desk.portfolio, limits_problem="portfolio.toml:60: [limits] unknown key 'x'")
    desk.cycle()
    assert denied(desk) == [("max_order_notional",)]
    assert any("portfolio.toml:60" in str(getattr(r, "reason", "")) for r in caplog.records)
    with pytest.raises(ConfigurationError, match="stay in force"):
        desk.apply_limits().preview()


def test_only_the_file_that_was_shown_is_applied() -> None:
    desk = Desk().open()
    flow = desk.apply_limits()
    with pytest.raises(ConfigurationError, match="another one than was shown"):
        flow.run(desk.run_of("apply"), person="ada", reason="why", expected="ab")
    with pytest.raises(ConfigurationError, match="person and a reason"):
        flow.run(desk.run_of("apply"), person=" ", reason="why", expected="")


def test_who_read_the_old_limits_sends_nothing_after_others_were_applied() -> None:
    """Applying ends the epoch of a placing that is under way: no order passes under limits that are gone."""
    desk = Desk().open()
    desk.lease()
    desk.ingest()
    desk.evaluate()
    desk.reconcile()
    placer = desk.placer()
    send = placer._sender.send

    def applies_first(*args: object, **more: object) -> object:
        desk.limit(max_order_notional=TIGHT)
        return send(*args, **more)  # type: ignore[arg-type]

    placer._sender.send = applies_first  # type: ignore[method-assign,assignment]
    with pytest.raises(TradingHalted, match="newer run"):
        placer.run(desk.run_of("place"), lambda: False)
    assert desk.posts() == []


def test_the_same_order_again_and_again_disables_its_strategy() -> None:
    """The venue refuses it, each decision wants it again: the third is denied, a person looks, and it trades again."""

    def refuse(request: OrderRequest) -> VenueOrder:
        raise OrderRejected("-1013", f"order {request.client_order_id}: refused")

    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.limit(repeated_order_count=3, repeated_order_window_s=3_600)
    desk.venue = Behind(desk.memory_venue, submit=refuse)
    for _ in range(4):
        desk.cycle()
        desk.next_minute()
    assert [str(order.state) for order in desk.orders()] == ["rejected", "rejected", "denied", "planned"]
    assert denied(desk) == [("repeated_order",)]
    assert list(desk.read(lambda books: books.risk.standing(ACCOUNT)).disabled) == ["sma"]
    switch = EnableStrategy(desk.ledger, desk.clock, account=ACCOUNT)
    with pytest.raises(ConfigurationError, match="not disabled"):
        switch.run(desk.run_of("enable"), "calm", person="ada", reason="looked")
    assert switch.run(desk.run_of("enable"), "sma", person="ada", reason="looked").strategy == "sma"
    desk.venue = desk.memory_venue
    desk.cycle()
    assert [str(order.state) for order in desk.orders()][-1] == "filled"


def risk(desk: Desk) -> Risk:
    return Risk(desk.ledger, desk.market, desk.clock, account=ACCOUNT, portfolio=desk.portfolio)


def test_the_view_shows_each_limit_and_how_near_it_is() -> None:
    desk = Desk().open()
    desk.cycle()
    used = {(use.scope, use.name): use for use in risk(desk).show().uses}
    assert used["account", "max_orders_per_minute"].used == 2
    assert Decimal(3_400) < (used["account", "max_gross_exposure_bps"].used or 0) < Decimal(3_600)
    assert used["strategy:sma", "max_drawdown_bps"].share is not None
    assert used["account", "max_order_notional"].used is None


def test_trying_an_order_says_what_would_deny_it_and_sends_nothing() -> None:
    desk = Desk().open()
    desk.limit(max_order_quantity=Decimal(3))

    def codes(quantity: str) -> tuple[str, ...]:
        wish = Wish(strategy="sma", instrument=BTC.symbol, side=Side.BUY, quantity=Decimal(quantity))
        ((_, checked),) = risk(desk).test([wish])
        assert isinstance(checked, CheckedOrder)
        return checked.codes

    assert "max_order_quantity" in codes("3.1")
    assert "max_order_quantity" not in codes("3")
    assert desk.orders() == []
    assert desk.posts() == []


def test_a_cancel_counts_as_a_message() -> None:
    """A limit order that rested is withdrawn, and the withdrawal is written down before it is asked for."""
    desk = Desk(portfolio_=portfolio(order_type="limit", rest_s=30), volume=0.0).open()
    desk.cycle()
    assert desk.posts()
    desk.clock.advance(40)
    desk.reconcile()
    assert desk.read(lambda b: b.risk.cancels_since(ACCOUNT, desk.clock.now() - timedelta(minutes=1))) > 0


def test_the_watcher_of_alerts_goes_by_the_limits_in_force() -> None:
    """By the recorded ones, an instrument's own among them, and not by what the file says meanwhile."""
    desk = Desk().open()
    desk.clock.advance(1_000)
    file = replace(desk.portfolio.limits, max_candle_age_s=2_000)
    watch = Watch(desk.ledger, account=ACCOUNT, watched={"1m": (BTC.symbol, ETH.symbol)}, limits=file)

    def stale() -> list[str]:
        return [one.sentence for one in watch.run() or () if one.kind is AlertKind.STALE_DATA and not one.ended_at]

    (sentence,) = stale()
    assert BTC.symbol in sentence
    assert ETH.symbol in sentence
    desk.limit(max_candle_age_s=2_000)
    assert stale() == []
    desk.limit(instrument={ETH.symbol: ScopedLimits(max_candle_age_s=500)})
    (sentence,) = stale()
    assert BTC.symbol not in sentence
    assert ETH.symbol in sentence
