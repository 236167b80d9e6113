"""Lost rows: how they are recognised, and numbers that no second restore brings back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.examples import T0, intent, override
from trading.domain.ids import is_name_of_ours
from trading.domain.order import Order, OrderState, Side
from trading.domain.override import OverrideRefused, require_after_restore
from trading.domain.restore import Mark, forgotten_run, incarnation_of, is_lost, lost_order, lost_rows
from trading.domain.venue_order import VenueOrder, VenueOrderStatus

MARK = Mark(run_id="r1", dag_id="reconcile_orders", flow="reconcile", started_at=T0, incarnation=7)
OURS = intent()
PLANNED = Order(intent=OURS, state=OrderState.PLANNED, sequence=0, changed_at=T0)
OVERRIDE = override()


def at_venue(name: str) -> VenueOrder:
    return VenueOrder(
        venue_order_id="12",
        client_order_id=name,
        instrument="BTC/USDT",
        side=Side.BUY,
        status=VenueOrderStatus.FILLED,
        quantity=OURS.quantity,
        filled_quantity=OURS.quantity,
        created_at=T0,
    )


def test_without_a_mark_nothing_is_lost() -> None:
    """A fresh machine is no alarm."""
    assert not lost_rows(None, [], incarnation=1)


def test_a_ledger_that_holds_the_run_lost_nothing() -> None:
    others = [replace(MARK, flow="reconcile_before"), MARK]
    assert not lost_rows(MARK, others, incarnation=7)


@pytest.mark.parametrize(
    "known",
    [
        [],
        [replace(MARK, flow="reconcile_before")],
        [replace(MARK, dag_id="place_orders")],
        [replace(MARK, started_at=T0 + timedelta(microseconds=1))],
        [replace(MARK, run_id="r2")],
    ],
)
def test_a_ledger_without_exactly_that_run_was_restored_or_replaced(known: list[Mark]) -> None:
    """Its id alone proves nothing: a cleared run starts again under the same one, at another instant."""
    assert lost_rows(MARK, known, incarnation=7)
    assert lost_rows(MARK, known, incarnation=6)


def test_a_mark_from_before_a_restore_that_was_told_is_past() -> None:
    """Other machines keep marks of their own: they need not be told one by one."""
    assert not lost_rows(MARK, [], incarnation=8)


def test_the_alarm_has_both_sides_figures_and_the_command() -> None:
    newest = replace(MARK, run_id="r0", started_at=T0 - timedelta(hours=1))
    said = forgotten_run(MARK, newest)
    assert str(MARK) in said
    assert str(newest) in said
    assert "incarnation 7" in said
    assert "trading db restored --why" in said
    assert "no run before this one" in forgotten_run(MARK, None)


def test_our_names_are_known_by_their_form() -> None:
    """Every id that is made has it; those of other clients do not."""
    assert is_name_of_ours(OURS.client_order_id)
    others = ["", "by-hand", "x-TKT5PX2F1234567890", "web_9f8e", "0" * 32, OURS.client_order_id.upper()]
    assert not any(is_name_of_ours(name) for name in [*others, f"{OURS.client_order_id}0"])


def test_a_name_of_ours_without_a_sent_intent_is_proof() -> None:
    """No intent, or one that was never signed; one that was signed, and anybody else's order, prove nothing."""
    ours = at_venue(OURS.client_order_id)
    assert is_lost(ours, None)
    assert is_lost(ours, PLANNED)
    assert not is_lost(ours, replace(PLANNED, signed_at=T0))
    assert not is_lost(at_venue("by-hand"), None)
    assert "carries a name of ours, but the ledger has no intent" in lost_order(ours)
    assert OURS.client_order_id in lost_order(ours)


def test_an_incarnation_after_a_restore_is_above_all_before_it() -> None:
    """The minute's number: a second restore of one backup, a minute later, begins another incarnation."""
    assert incarnation_of(T0) == int(T0.timestamp()) // 60
    assert incarnation_of(T0 + timedelta(minutes=1)) == incarnation_of(T0) + 1
    assert incarnation_of(T0) < 2**31 > incarnation_of(T0 + timedelta(days=365 * 1000))


def test_an_override_from_before_a_restore_is_worth_nothing() -> None:
    """Halts are numbered anew after it, and its use may have been lost."""
    require_after_restore(OVERRIDE, None)
    require_after_restore(OVERRIDE, OVERRIDE.issued_at)
    with pytest.raises(OverrideRefused) as caught:
        require_after_restore(OVERRIDE, OVERRIDE.issued_at + timedelta(microseconds=1))
    assert "signed before the restore" in caught.value.cause
