"""A position is the fold of its fills."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import BTC, fill
from trading.domain.ledger import Fill
from trading.domain.order import Side
from trading.domain.position import Position, apply_fill, fold_fills

quantities = st.decimals(min_value="0.00001", max_value=1000, places=5)
prices = st.decimals(min_value="0.01", max_value=100000, places=2)
fills = st.builds(
    lambda side, price, quantity, fee, currency: fill(
        side=side, price=price, quantity=quantity, fee=fee, fee_currency=currency
    ),
    st.sampled_from(Side),
    prices,
    quantities,
    st.decimals(min_value=0, max_value=1, places=8),
    st.sampled_from(["BTC", "USDT", "BNB"]),
)


@given(st.lists(fills, max_size=12))
def test_the_quantity_is_the_exact_sum_of_the_fills_net_of_fees_in_base(history: list[Fill]) -> None:
    expected = sum(
        (one.side.sign * one.quantity - (one.fee if one.fee_currency == "BTC" else 0) for one in history), Decimal(0)
    )
    assert fold_fills(BTC, history).quantity == expected


@given(st.lists(fills, max_size=12))
def test_realised_result_less_cost_is_the_money_that_moved(history: list[Fill]) -> None:
    moved = sum(
        (-one.side.sign * one.price * one.quantity - (one.fee if one.fee_currency == "USDT" else 0) for one in history),
        Decimal(0),
    )
    position = fold_fills(BTC, history)
    assert abs(position.realised - position.cost - moved) < Decimal("1E-30")


def test_the_average_cost_by_hand() -> None:
    """Buy 1 at 100 and 1 at 200 (fees 1 in quote each), sell 1 at 250 (fee 2), sell the rest at 90."""
    history = [
        fill(price=Decimal(100), quantity=Decimal(1), fee=Decimal(1), fee_currency="USDT"),
        fill(price=Decimal(200), quantity=Decimal(1), fee=Decimal(1), fee_currency="USDT"),
        fill(side=Side.SELL, price=Decimal(250), quantity=Decimal(1), fee=Decimal(2), fee_currency="USDT"),
        fill(side=Side.SELL, price=Decimal(90), quantity=Decimal(1), fee=Decimal(0)),
    ]
    held = fold_fills(BTC, history[:2])
    assert (held.quantity, held.cost, held.average_price) == (2, 302, 151)  # 100 + 1 + 200 + 1
    after_sale = fold_fills(BTC, history[:3])
    assert (after_sale.quantity, after_sale.cost, after_sale.realised) == (1, 151, 97)  # 250 - 2 - 151
    closed = fold_fills(BTC, history)
    assert closed == Position(quantity=Decimal(0), cost=Decimal(0), realised=Decimal(36))  # 97 + 90 - 151


def test_a_fee_in_base_shrinks_what_was_bought_and_raises_its_average_price() -> None:
    bought = apply_fill(Position(), BTC, fill(price=Decimal(100), quantity=Decimal(1), fee=Decimal("0.5")))
    assert (bought.quantity, bought.cost, bought.average_price) == (Decimal("0.5"), 100, 200)


def test_a_fee_in_a_third_currency_leaves_the_position_alone() -> None:
    bought = apply_fill(
        Position(), BTC, fill(price=Decimal(100), quantity=Decimal(1), fee=Decimal(3), fee_currency="BNB")
    )
    assert bought == Position(quantity=Decimal(1), cost=Decimal(100))


@pytest.mark.parametrize("quantity", ["1", "3"])
def test_selling_all_or_more_releases_the_whole_cost(quantity: str) -> None:
    held = Position(quantity=Decimal(1), cost=Decimal(100))
    sale = fill(side=Side.SELL, price=Decimal(10), quantity=Decimal(quantity), fee=Decimal(0))
    after = apply_fill(held, BTC, sale)
    assert (after.quantity, after.cost) == (1 - Decimal(quantity), 0)


def test_nothing_held_has_no_average_price() -> None:
    assert Position().average_price == 0
