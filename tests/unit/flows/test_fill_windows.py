"""From when fills are read: before the newest known one and before each open order, never from before the opening."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.examples import ACCOUNT, BTC, ETH, MINUTE, T0, intent
from trading.domain.order import Order, OrderState
from trading.flows.our_side import FILL_OVERLAP, our_side

OPENED = T0 - timedelta(days=1)


def books(*orders: Order, newest: dict[str, datetime], opened_at: datetime = OPENED) -> Any:
    """The books of one account, as far as its side of a comparison reads them; those of another are empty."""

    def of(account: str, rows: Any, otherwise: Any) -> Any:
        return rows if account == ACCOUNT else otherwise

    return SimpleNamespace(
        accounts=SimpleNamespace(lock=lambda _account: SimpleNamespace(opened_at=opened_at, restored_at=None)),
        instruments=SimpleNamespace(all=lambda: {BTC.symbol: BTC, ETH.symbol: ETH}),
        fills=SimpleNamespace(newest_at=lambda account: of(account, newest, {})),
        orders=SimpleNamespace(
            sent_open=lambda account: of(account, list(orders), []), submitted_since=lambda _account, _since: []
        ),
        entries=SimpleNamespace(balances=lambda _account: {}),
    )


def waiting(symbol: str, signed_at: datetime) -> Order:
    return Order(
        intent=intent(instrument=symbol),
        state=OrderState.ACCEPTED,
        sequence=2,
        changed_at=signed_at,
        signed_at=signed_at,
        recv_window_ms=2_000,
    )


def since(found: Any) -> dict[str, datetime]:
    return dict(our_side(found, ACCOUNT, at=T0).fills_since)


def test_without_fills_and_orders_they_are_read_from_the_opening_on() -> None:
    assert since(books(newest={})) == {BTC.symbol: OPENED, ETH.symbol: OPENED}


def test_they_are_read_again_from_before_the_newest_known_one_of_their_own_instrument() -> None:
    assert since(books(newest={BTC.symbol: T0})) == {BTC.symbol: T0 - FILL_OVERLAP, ETH.symbol: OPENED}


def test_nothing_from_before_the_opening_is_read() -> None:
    opened = T0 - MINUTE
    assert since(books(newest={BTC.symbol: T0}, opened_at=opened))[BTC.symbol] == opened


@pytest.mark.parametrize(
    ("symbol", "from_when"),
    [(BTC.symbol, T0 - 3 * MINUTE - FILL_OVERLAP), (ETH.symbol, T0 - FILL_OVERLAP)],
    ids=["of the same instrument", "of another"],
)
def test_an_open_order_that_is_older_than_the_newest_fill_moves_the_window_of_its_instrument(
    symbol: str, from_when: datetime
) -> None:
    """Its fill may have been left out of the page that showed the newer one."""
    orders = waiting(symbol, T0 - 3 * MINUTE), waiting(symbol, T0 - 2 * MINUTE)
    assert since(books(*orders, newest={BTC.symbol: T0}))[BTC.symbol] == from_when


def test_an_open_order_that_is_younger_than_the_newest_fill_moves_nothing() -> None:
    found = books(waiting(BTC.symbol, T0 + MINUTE), newest={BTC.symbol: T0})
    assert since(found)[BTC.symbol] == T0 - FILL_OVERLAP
