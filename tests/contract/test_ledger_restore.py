"""What a restore leaves in either ledger."""

from datetime import timedelta

import pytest

from tests.examples import ACCOUNT, BTC, MINUTE, RUN, T0, fill, intent
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.ledger import fill_transaction
from trading.domain.reconciliation import ReconciliationResult
from trading.errors import InvariantViolation
from trading.ports.ledger import Ledger


def test_an_incarnation_begins_at_least_at_the_number_that_is_asked_for(opened: Ledger) -> None:
    """And is always a new one."""
    with opened.transaction() as books:
        books.accounts.lock(ACCOUNT)
        assert books.accounts.next_incarnation(ACCOUNT, at_least=29_000_000) == 29_000_000
        assert books.accounts.next_incarnation(ACCOUNT, at_least=5) == 29_000_001
        assert books.accounts.next_incarnation(ACCOUNT) == 29_000_002


def test_a_restore_is_noted_and_never_taken_back(opened: Ledger) -> None:
    """The newest one counts, whatever the clock says later."""
    with opened.transaction() as books:
        assert books.accounts.lock(ACCOUNT).restored_at is None
        books.accounts.note_restored(ACCOUNT, T0 + MINUTE)
        books.accounts.note_restored(ACCOUNT, T0)
    with opened.transaction() as books:
        account = books.accounts.get(ACCOUNT)
        assert account is not None
        assert account.restored_at == T0 + MINUTE
        assert books.accounts.lock(ACCOUNT) == account


def test_noting_a_restore_needs_the_lock(opened: Ledger) -> None:
    with pytest.raises(InvariantViolation, match="lock"), opened.transaction() as books:
        books.accounts.note_restored(ACCOUNT, T0)


def test_a_restore_is_a_control_event_of_its_kind(opened: Ledger) -> None:
    event = ControlEvent(
        kind=ControlKind.RESTORED,
        author="ada",
        reason="disk failed",
        at=T0,
        run_id=RUN.run_id,
        dag_id=RUN.dag_id,
        detail={"incarnation": "7"},
    )
    with opened.transaction() as books:
        books.control.record(ACCOUNT, event)
        assert books.control.history(ACCOUNT, 1) == [event]


@pytest.mark.parametrize("full", [False, True])
def test_a_clean_look_at_everything_is_told_from_a_short_one(opened: Ledger, full: bool) -> None:
    """A full one is a clean one too; a short one says nothing of the full history."""
    agreed = ReconciliationResult(at=T0, compared=True, discrepancies=(), unknown_orders=0, full_history=full)
    with opened.transaction() as books:
        books.reconciliations.record(ACCOUNT, agreed, RUN)
        assert books.reconciliations.newest_clean_at(ACCOUNT) == T0
        assert books.reconciliations.newest_clean_at(ACCOUNT, full_history=True) == (T0 if full else None)


def test_a_full_look_that_was_not_clean_is_none(opened: Ledger) -> None:
    unknown = ReconciliationResult(at=T0, compared=True, discrepancies=(), unknown_orders=1, full_history=True)
    with opened.transaction() as books:
        books.reconciliations.record(ACCOUNT, unknown, RUN)
        assert books.reconciliations.newest_clean_at(ACCOUNT, full_history=True) is None


def test_fills_since_an_instant_include_it_and_are_ascending(opened: Ledger) -> None:
    """Booked in another order, and at one instant by the venue's numbers."""
    wish = intent()
    with opened.transaction() as books:
        books.instruments.save([BTC], at=T0, run=RUN)
        books.orders.plan(wish, RUN)
        for number, second in (("12", 5), ("9", 5), ("3", 1), ("20", 9)):
            one = fill(
                client_order_id=wish.client_order_id, venue_fill_id=number, filled_at=T0 + timedelta(seconds=second)
            )
            books.fills.record(one, fill_transaction(ACCOUNT, "sma", BTC, one), RUN)

        def told(second: int) -> list[str]:
            return [one.venue_fill_id for one in books.fills.since(ACCOUNT, T0 + timedelta(seconds=second))]

        assert told(0) == ["3", "9", "12", "20"]
        assert told(5) == ["9", "12", "20"]
        assert told(6) == ["20"]
        assert told(10) == []
        assert books.fills.since("nobody", T0) == []
