"""What both ledgers promise of transactions, the sending fence and the clock."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.examples import ACCOUNT, BTC, MINUTE, RUN, T0, candles, decision, fill, intent, override, submitting
from trading.domain.candles import RejectedCandle
from trading.domain.ledger import fill_transaction, opening_transaction
from trading.domain.market import to_ms
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, ReconciliationResult
from trading.domain.risk import CheckedOrder
from trading.domain.snapshot import Verdict
from trading.errors import InvariantViolation
from trading.ports.ledger import Books, Ledger

DIFFERENCE = Discrepancy(kind=DiscrepancyKind.BALANCE, key="USDT", ours=Decimal(1), theirs=Decimal(2), first_seen_at=T0)
WISH = intent()


def write_everything(books: Books) -> None:
    """One row in each store, on top of an opened account with a planned order and a halt."""
    books.instruments.save([BTC], at=T0, run=RUN)
    books.candles.upsert(BTC.symbol, "1m", candles(to_ms(T0), [1.0, 2.0]), at=T0, run=RUN)
    rejected = RejectedCandle(open_ms=0, values=(1.0, 1.0, 1.0, 1.0, 1.0), reason="off the grid")
    books.candles.quarantine(BTC.symbol, "1m", [rejected], at=T0, run=RUN)
    books.decisions.record(decision(as_of=T0 + MINUTE, decided_at=T0 + MINUTE), RUN)
    books.accounts.lock(ACCOUNT)
    books.accounts.advance_epoch(ACCOUNT)
    order = books.orders.get(WISH.client_order_id)
    assert order is not None
    books.orders.append(order, submitting(order))
    books.orders.plan(intent(generation=1), RUN)
    books.orders.record_check(
        CheckedOrder(client_order_id=WISH.client_order_id, verdict=Verdict.ALLOWED, codes=(), at=T0), RUN
    )
    one = fill(client_order_id=WISH.client_order_id)
    books.fills.record(one, fill_transaction(ACCOUNT, "sma", BTC, one), RUN)
    opening = opening_transaction(ACCOUNT, {"USDT": Decimal(5)}, T0)
    assert opening is not None
    books.entries.post(opening, RUN)
    (halt,) = books.control.halts(ACCOUNT)
    books.control.release(ACCOUNT, override(halt_id=halt.halt_id), at=T0, run=RUN)
    books.control.renew_lease(ACCOUNT, T0 + MINUTE, RUN)
    agreed = ReconciliationResult(at=T0, compared=True, discrepancies=(), unknown_orders=0)
    books.reconciliations.record(ACCOUNT, agreed, RUN)
    found = ReconciliationResult(at=T0, compared=True, discrepancies=(DIFFERENCE,), unknown_orders=0)
    books.reconciliations.record(ACCOUNT, found, RUN)
    books.reconciliations.acknowledge(ACCOUNT, [replace(DIFFERENCE, kind=DiscrepancyKind.EXTERNAL_FILL)], RUN)
    books.runs.start(RUN, "place", T0)
    books.runs.finish(RUN, "place", T0 + MINUTE, outcome="done", message="", counts={"orders": 1})


def read_everything(books: Books) -> dict[str, object]:
    """All that can be read of the account."""
    reads: dict[str, Callable[[], object]] = {
        "instruments": books.instruments.all,
        "candles": books.candles.count,
        "newest": lambda: books.candles.newest_open_ms([BTC.symbol], "1m"),
        "decision": lambda: books.decisions.newest("sma"),
        "decisions": lambda: books.decisions.by_run(RUN.run_id),
        "account": lambda: books.accounts.get(ACCOUNT),
        "open": lambda: books.orders.open(ACCOUNT),
        "sent": lambda: books.orders.sent_open(ACCOUNT),
        "orders": lambda: books.orders.recent(ACCOUNT, 10),
        "events": lambda: books.orders.events(WISH.client_order_id),
        "checks": lambda: books.orders.checks(WISH.client_order_id),
        "signed": lambda: books.orders.submitted_since(ACCOUNT, T0),
        "fills": lambda: books.fills.recent(ACCOUNT, 10),
        "newest fills": lambda: books.fills.newest_at(ACCOUNT),
        "positions": lambda: books.fills.positions(ACCOUNT),
        "references": lambda: books.entries.references(ACCOUNT, ""),
        "balances": lambda: books.entries.balances(ACCOUNT),
        "halts": lambda: books.control.halts(ACCOUNT),
        "history": lambda: books.control.history(ACCOUNT, 10),
        "lease": lambda: books.control.lease_expires_at(ACCOUNT),
        "clean": lambda: books.reconciliations.newest_clean_at(ACCOUNT),
        "discrepancies": lambda: books.reconciliations.open_discrepancies(ACCOUNT),
        "acknowledged": lambda: books.reconciliations.acknowledged(ACCOUNT),
        "runs": lambda: books.runs.recent(None, 10),
    }
    return {name: read() for name, read in reads.items()}


def write_and_fail(ledger: Ledger, error: BaseException) -> dict[str, object]:
    """What could be read inside a transaction that wrote everything and then failed."""
    try:
        with ledger.transaction() as books:
            write_everything(books)
            changed = read_everything(books)
            raise error
    except type(error):
        return changed


def write_and_contradict(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        books.runs.start(RUN, "place", T0)
        books.orders.plan(intent(quantity=Decimal(9)), RUN)


@pytest.fixture
def planned(opened: Ledger) -> Ledger:
    with opened.transaction() as books:
        books.orders.plan(WISH, RUN)
    return opened


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_raises_leaves_nothing_in_any_store(planned: Ledger, error: type[BaseException]) -> None:
    with planned.transaction() as books:
        before = read_everything(books)
    changed = write_and_fail(planned, error())
    assert [name for name, value in changed.items() if value == before[name]] == []
    with planned.transaction() as books:
        assert read_everything(books) == before


def test_after_a_rollback_the_same_writes_succeed_and_stay(planned: Ledger) -> None:
    write_and_fail(planned, RuntimeError())
    with planned.transaction() as books:
        write_everything(books)
        within = read_everything(books)
    with planned.transaction() as books:
        assert read_everything(books) == within
        assert len(books.orders.open(ACCOUNT)) == 2


def test_a_refused_write_spoils_the_transaction_that_lets_it_escape_and_no_other(planned: Ledger) -> None:
    with pytest.raises(InvariantViolation):
        write_and_contradict(planned)
    with planned.transaction() as books:
        assert books.runs.recent(None, 10) == []


def test_one_transaction_inside_another_is_refused(planned: Ledger) -> None:
    with planned.transaction(), pytest.raises(InvariantViolation), planned.transaction():
        pass


def test_the_ledgers_clock_is_aware_and_never_goes_back(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        first, second = books.now(), books.now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second


def test_the_fence_is_entered_again_by_whoever_holds_it_and_given_back(ledger: Ledger) -> None:
    with ledger.sending(ACCOUNT), ledger.sending(ACCOUNT), ledger.transaction() as books:
        books.now()
    with ledger.draining(ACCOUNT), ledger.transaction() as books:
        books.now()
    with pytest.raises(RuntimeError), ledger.sending(ACCOUNT):
        raise RuntimeError
    with ledger.draining(ACCOUNT):
        pass


def test_accounts_have_fences_of_their_own(ledger: Ledger) -> None:
    with ledger.sending("one"), ledger.draining("two"):
        pass
