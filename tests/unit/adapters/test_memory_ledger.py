"""What the ledger in memory keeps beyond what its port can read: the audit chain, the fence, what was replaced."""

import pytest

from tests.examples import ACCOUNT, BTC, MINUTE, RUN, T0, candles, decision, event, intent
from trading.adapters.memory.ledger import MemoryLedger
from trading.clock import ManualClock
from trading.domain.candles import RejectedCandle
from trading.domain.ids import chain_hash
from trading.domain.market import to_ms
from trading.domain.order import OrderState
from trading.errors import InvariantViolation
from trading.ports.ledger import Ledger


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger(ManualClock(T0))
    with ledger.transaction() as books:
        books.accounts.open(ACCOUNT, venue="binance", mode="replay", at=T0, run=RUN)
    return ledger


def test_it_is_a_ledger(ledger: MemoryLedger) -> None:
    """The type says so, and mypy with it."""
    port: Ledger = ledger
    assert port is ledger


def test_each_order_event_is_chained_to_the_one_before_across_orders(ledger: MemoryLedger) -> None:
    with ledger.transaction() as books:
        for number in range(2):
            wish = intent(generation=number)
            books.orders.plan(wish, RUN)
            order = books.orders.get(wish.client_order_id)
            assert order is not None
            books.orders.append(order, event(order, OrderState.SUBMITTING))
        chain = books.orders.chain(ACCOUNT)
    assert [(link.event.client_order_id, link.event.sequence) for link in chain] == [
        (intent(generation=number).client_order_id, sequence) for number in range(2) for sequence in range(2)
    ]
    previous = ""
    for link in chain:
        assert link.previous == previous
        assert link.hash == chain_hash(previous, link.event.facts)
        previous = link.hash


def plan_one_wish_under_two_names(ledger: MemoryLedger) -> None:
    with ledger.transaction() as books:
        books.orders.plan(intent(generation=1), RUN)
        books.orders.plan(intent(generation=1, client_order_id="f" * 32), RUN)


def test_a_rollback_takes_back_the_chain_too(ledger: MemoryLedger) -> None:
    with ledger.transaction() as books:
        books.orders.plan(intent(), RUN)
        head = books.orders.chain(ACCOUNT)
    with pytest.raises(InvariantViolation):
        plan_one_wish_under_two_names(ledger)
    with ledger.transaction() as books:
        assert books.orders.chain(ACCOUNT) == head


def test_books_are_written_inside_a_transaction_only(ledger: MemoryLedger) -> None:
    with ledger.transaction() as books:
        pass
    with pytest.raises(InvariantViolation, match="it has ended"):
        books.control.renew_lease(ACCOUNT, T0 + MINUTE, RUN)


def test_nobody_drains_past_a_sender_and_nobody_sends_into_a_drain(ledger: MemoryLedger) -> None:
    with ledger.sending(ACCOUNT):
        assert ledger.senders(ACCOUNT) == 1
        with pytest.raises(InvariantViolation, match="expected no sender"), ledger.draining(ACCOUNT):
            pass
    with ledger.draining(ACCOUNT), pytest.raises(InvariantViolation, match="drained"), ledger.sending(ACCOUNT):
        pass
    assert ledger.senders(ACCOUNT) == 0


def test_what_was_replaced_or_refused_is_kept_once(ledger: MemoryLedger) -> None:
    rejected = RejectedCandle(open_ms=1, values=(1.0, 1.0, 1.0, 1.0, 1.0), reason="off the grid")
    with ledger.transaction() as books:
        books.candles.upsert(BTC.symbol, "1m", candles(to_ms(T0), [10.0]), at=T0, run=RUN)
        books.candles.upsert(BTC.symbol, "1m", candles(to_ms(T0), [11.0]), at=T0, run=RUN)
        for _ in range(2):
            books.candles.quarantine(BTC.symbol, "1m", [rejected], at=T0, run=RUN)
            books.decisions.record(decision(), RUN)
            books.decisions.record(decision(input_hash="other"), RUN)
            books.instruments.save([BTC], at=T0, run=RUN)
            books.runs.start(RUN, "place", T0)
        assert [values[3] for *_, values in books.candles.revised()] == [10.0]
        assert books.candles.quarantined() == [(BTC.symbol, "1m", rejected)]
        assert [one.input_hash for one in books.decisions.revisions()] == ["other"]
        assert [one.valid_from for one in books.instruments.versions(BTC.symbol)] == [T0]
        assert books.runs.attempts(RUN, "place") == 2
