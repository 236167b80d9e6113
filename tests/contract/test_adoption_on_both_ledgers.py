"""Adopting over either ledger: the same preview, the same books, and one transaction."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk import HORIZON, Desk
from tests.examples import ACCOUNT, BTC
from trading.adapters.memory.ledger import MemoryLedger
from trading.adapters.postgres.ledger import PostgresBooks
from trading.domain.adoption import AdoptionRefused
from trading.domain.kill_switch import ControlKind
from trading.domain.ledger import HOUSE
from trading.domain.money import ZERO
from trading.domain.order import OrderRequest, OrderType, Side
from trading.flows.adopt import Adopt
from trading.ports.ledger import Ledger


@pytest.fixture
def desk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk over the ledger, in whose account a person bought and to which a person paid in."""
    desk = Desk()
    monkeypatch.setattr(PostgresBooks, "now", lambda _: desk.clock.now())
    desk.ledger = desk.memory_ledger if isinstance(ledger, MemoryLedger) else ledger  # the former has the desk's clock
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    assert desk.reconcile().clean
    bought = OrderRequest(
        client_order_id="by-hand",
        instrument=BTC.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        limit_price=None,
        signed_at=desk.clock.now(),
        recv_window_ms=2000,
    )
    desk.memory_venue.submit(bought)
    desk.memory_venue.submit(
        replace(bought, client_order_id="rests", order_type=OrderType.LIMIT, limit_price=Decimal(90))
    )
    desk.memory_venue._purse.change("USDT", free=Decimal("250.00000001"))
    desk.memory_venue._purse.change("SHIB", free=Decimal("0.000000000000000001"))
    for _ in range(2):
        desk.reconcile()
        desk.clock.advance(HORIZON.visibility_lag_s + 1)
    return desk


def adopt(desk: Desk) -> Adopt:
    return Adopt(desk.ledger, desk.venue, desk.clock, account=ACCOUNT, horizon=HORIZON)


def house(ledger: Ledger) -> dict[str, Decimal]:
    with ledger.transaction() as books:
        balances = books.entries.balances(ACCOUNT)
    return {currency: amount for (place, currency), amount in balances.items() if place == HOUSE}


def test_what_is_signed_for_is_in_the_books_and_found_no_more(desk: Desk) -> None:
    """Deposit, fill, resting order and an airdrop: to the last digit, in one event, and the next look is clean."""
    flow = adopt(desk)
    shown = flow.preview()
    assert shown.obstacles == ()
    assert [str(one.kind) for one in shown.adoption.findings] == [*["balance"] * 3, "external_fill", "external_order"]
    report = flow.run(desk.run_of("adopt"), person="ada", reason="by hand", expected=shown.adoption.content_hash)
    assert report.counts == {"balances": 3, "acknowledged": 2, "forgotten": 0}
    assert house(desk.ledger) == desk.venue_totals()
    with desk.ledger.transaction() as books:
        assert books.reconciliations.open_discrepancies(ACCOUNT) == []
        event = books.control.history(ACCOUNT, 1)[0]
        assert (event.kind, event.author, dict(event.detail)) == (ControlKind.ADOPTED, "ada", shown.adoption.detail)
        assert len(books.control.halts(ACCOUNT)) == 2  # a fresh installation's, and the disagreement's
        adopted = books.entries.references(ACCOUNT, "adoption:")
    assert adopted == [f"adoption:{event.run_id}"]
    desk.clock.advance(timedelta(minutes=1).total_seconds())
    assert desk.reconcile().clean


def test_what_is_not_signed_for_leaves_no_row(desk: Desk) -> None:
    """Refused for one more unit at the venue: money, notes and findings are as they were."""
    flow, before = adopt(desk), house(desk.ledger)
    expected = flow.preview().adoption.content_hash
    desk.memory_venue._purse.change("BTC", free=Decimal("0.00000001"))
    with pytest.raises(AdoptionRefused):
        flow.run(desk.run_of("adopt"), person="ada", reason="by hand", expected=expected)
    assert house(desk.ledger) == before
    assert before.get("BTC", ZERO) == ZERO
    with desk.ledger.transaction() as books:
        assert books.reconciliations.acknowledged(ACCOUNT) == frozenset()
        assert len(books.reconciliations.open_discrepancies(ACCOUNT)) == 4
        assert books.control.history(ACCOUNT, 1)[0].kind is ControlKind.HALT_ENGAGED
