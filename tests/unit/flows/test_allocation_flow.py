"""Allocation: shares of the account move between sub-accounts by transfers alone, once a change of the file."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.desk import Behind, Desk, DiedHere, constant, plan, portfolio
from tests.examples import ACCOUNT, BTC
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder


def quote_of(desk: Desk) -> dict[str, Decimal]:
    """USDT by sub-account."""
    balances = desk.read(lambda books: books.entries.balances(ACCOUNT))
    return {owner: amount for (owner, currency), amount in balances.items() if currency == "USDT"}


def with_share(desk: Desk, share: str) -> None:
    desk.portfolio = replace(
        desk.portfolio, strategies=(replace(desk.portfolio.strategies[0], allocation=Decimal(share)),)
    )


def test_each_strategy_gets_its_share_of_the_accounts_equity_once() -> None:
    """20 % and 50 % of 100,000; placing again moves nothing."""
    shares = portfolio(plan("one", allocation=Decimal("0.2")), plan("two", allocation=Decimal("0.5")))
    desk = Desk(portfolio_=shares).open()
    for _ in range(3):
        desk.place()
        assert quote_of(desk) == {"house": Decimal(30_000), "one": Decimal(20_000), "two": Decimal(50_000)}


def test_a_changed_share_moves_the_difference_and_can_come_back() -> None:
    """50 % → 20 % → 50 %: each change is one transfer, and the venue's total never moves."""
    desk = Desk().open()
    for share, expected in (("0.5", 50_000), ("0.2", 20_000), ("0.5", 50_000)):
        with_share(desk, share)
        desk.place()
        assert quote_of(desk) == {"house": Decimal(100_000 - expected), "sma": Decimal(expected)}
    assert desk.totals() == desk.venue_totals()


def test_a_disabled_strategy_gives_back_its_free_quote() -> None:
    """Its positions stay its own."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.cycle()
    desk.portfolio = replace(desk.portfolio, strategies=(replace(desk.portfolio.strategies[0], enabled=False),))
    desk.place()
    assert "sma" not in quote_of(desk)
    assert desk.read(lambda books: books.entries.balances(ACCOUNT))["sma", "BTC"] == Decimal("249.75")


def test_what_a_buy_on_its_way_may_take_is_not_given_back() -> None:
    """A buy of 45,000 was sent and its fate is unknown: at most the other 5,000 leave the sub-account."""
    desk = Desk(weights={"sma": constant(0.9, 0.0)}).open()
    desk.evaluate()

    def dies(request: OrderRequest) -> VenueOrder:
        desk.memory_venue.submit(request)
        raise DiedHere

    desk.venue = Behind(desk.memory_venue, submit=dies)
    with pytest.raises(DiedHere):
        desk.place()
    desk.venue = desk.memory_venue
    with_share(desk, "0.01")
    desk.place()
    assert quote_of(desk)["sma"] == Decimal(45_000)
    desk.reconcile()
    assert desk.orders()[0].intent.instrument == BTC.symbol
    assert desk.totals() == desk.venue_totals()


def test_nothing_moves_before_the_opening_balance() -> None:
    """An account that was never reconciled has nothing to share out."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    desk.place()
    assert quote_of(desk) == {}
