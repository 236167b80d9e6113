"""The book as it was, rebuilt later, is the book that was seen then."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paper_exchange import START, account

from tests.unit.paper.test_paper_venue import ANY_NUMBER, send, steps
from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.paper.book import Book
from trading.paper.opening import PaperSettings, open_venue
from trading.paper.past_book import PastBook
from trading.paper.venue import Venue

ACCOUNT, SYMBOL = "default", "SOLUSDT"


def open_at(folder: Path) -> Venue:
    accounts = (account(USDT="100000", SOL="500"),)
    chosen = PaperSettings(state=folder / "book.sqlite", accounts=accounts, shift_weeks=0, limits=ANY_NUMBER)
    return open_venue(chosen, ManualClock(START))


def seen(book: Book) -> dict[str, Any]:
    """Everything that the five queries tell."""
    held = {asset: both for asset, both in book.balances(ACCOUNT).items() if any(both)}
    orders = book.orders(ACCOUNT, SYMBOL)
    return {
        "balances": held,
        "orders": [comparable(row) for row in orders],
        "open": [comparable(row) for row in book.open_orders(ACCOUNT, SYMBOL)],
        "fills": book.fills(ACCOUNT, SYMBOL),
        "single": [comparable(book.order(ACCOUNT, SYMBOL, row.order_id)) for row in orders],
        "by name": [comparable(book.order_by_client_id(ACCOUNT, SYMBOL, row.client_order_id)) for row in orders],
    }


def comparable(row: Any) -> tuple[Any, ...]:
    return row.order_id, row.status, row.executed_qty, row.cumulative_quote, row.updated_at_ms


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(steps, min_size=1, max_size=12))
def test_what_was_seen_is_what_is_rebuilt(tmp_path_factory: pytest.TempPathFactory, plan: Any) -> None:
    """After any orders, cancels and candles, each earlier instant tells again what it told."""
    venue = open_at(tmp_path_factory.mktemp("past"))
    told = []
    for what, details in plan:
        if what == "wait":
            venue.clock.sleep(details)
        elif what == "cancel":
            send(venue, "DELETE", "openOrders", {"symbol": SYMBOL})
        else:
            unused = {"MARKET": ("price", "timeInForce"), "LIMIT_MAKER": ("timeInForce",), "LIMIT": ()}[details["type"]]
            chosen = {name: value for name, value in details.items() if name not in unused}
            send(venue, "POST", "order", {"symbol": SYMBOL, "side": what, **chosen})
        venue.settle()
        told.append((to_ms(venue.clock.now()), seen(venue.book)))
        venue.clock.sleep(1)  # two things at one instant cannot be told apart
    venue.clock.sleep(3600)
    venue.settle()
    for at_ms, then in told:
        assert seen(PastBook(venue.book, venue.markets, at_ms)) == then
    venue.close()


def test_a_page_of_the_past_is_full(tmp_path: Path) -> None:
    """What came later takes no place of a page that is limited."""
    venue = open_at(tmp_path)
    times = []
    for _ in range(4):
        send(venue, "POST", "order", {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"})
        times.append(to_ms(venue.clock.now()))
        venue.clock.sleep(1)
    past = PastBook(venue.book, venue.markets, times[1])
    assert [row.time_ms for row in past.fills(ACCOUNT, SYMBOL, limit=2)] == times[:2]
    assert [row.time_ms for row in past.orders(ACCOUNT, SYMBOL, limit=2)] == times[:2]
    assert past.balances(ACCOUNT)["SOL"] == (Decimal("501.998"), Decimal(0))
    venue.close()
