"""Which orders a halt cancels, and what it says of the rest."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.examples import ACCOUNT, BTC, ETH, T0, intent
from trading.domain.halt_effect import halt_effect, is_cancelled
from trading.domain.kill_switch import Halt, HaltLevel
from trading.domain.order import Order, OrderState, Purpose, Side

HALT = Halt(halt_id=1, scope="all", author="ada", reason="test", engaged_at=T0)
PAUSED = replace(HALT, level=HaltLevel.PAUSE_ENTRIES)


def order(state: OrderState = OrderState.ACCEPTED, **changes: Any) -> Order:
    return Order(intent=intent(**changes), state=state, sequence=2, changed_at=T0)


@pytest.mark.parametrize(
    ("purpose", "side", "by_halt", "by_pause"),
    [
        (Purpose.ENTRY, Side.BUY, True, True),
        (Purpose.REBALANCE, Side.BUY, True, True),
        (Purpose.REBALANCE, Side.SELL, True, False),
        (Purpose.PROTECTIVE, Side.SELL, False, False),
        (Purpose.FLATTEN, Side.SELL, False, False),
    ],
)
def test_what_each_word_cancels(purpose: Purpose, side: Side, by_halt: bool, by_pause: bool) -> None:
    """A halt takes entries and rebalances, a pause of entries what buys; neither takes what closes."""
    one = order(purpose=purpose, side=side)
    assert is_cancelled(one, [HALT], account=ACCOUNT, protective_on_halt="keep") is by_halt
    assert is_cancelled(one, [PAUSED], account=ACCOUNT, protective_on_halt="keep") is by_pause
    elsewhere = replace(HALT, scope="strategy:hold")
    assert not is_cancelled(one, [elsewhere], account=ACCOUNT, protective_on_halt="cancel")


def test_protective_orders_go_only_where_the_portfolio_says_so_and_a_halt_stands() -> None:
    one = order(purpose=Purpose.PROTECTIVE, side=Side.SELL)
    assert is_cancelled(one, [HALT], account=ACCOUNT, protective_on_halt="cancel")
    assert not is_cancelled(one, [PAUSED], account=ACCOUNT, protective_on_halt="cancel")


def test_each_thing_is_counted_and_named_before_anything_is_done() -> None:
    """Orders by what becomes of them, positions by who holds them; what is out of scope is not mentioned."""
    orders = [
        order(),
        order(state=OrderState.PLANNED, generation=1),
        order(purpose=Purpose.PROTECTIVE, side=Side.SELL, generation=2),
        order(instrument=ETH.symbol),
    ]
    positions = {("sma", BTC.symbol): Decimal("1.5"), ("sma", ETH.symbol): Decimal(3), ("hold", BTC.symbol): Decimal(0)}
    halt = replace(HALT, scope="instrument:BTC/USDT")
    effect = halt_effect(halt, orders, positions, account=ACCOUNT, protective_on_halt="keep")
    assert effect.lines() == [
        "halt, scope instrument:BTC/USDT: no order is sent, but protective ones for what is held",
        "open orders: 1 (sma buy 0.5 BTC/USDT) cancelled; 0 left at the venue; 1 (sma buy 0.5 BTC/USDT) held back",
        'protective orders: 1 (sma sell 0.5 BTC/USDT) stay at the venue (protective_on_halt = "keep")',
        "positions: 1 (sma 1.5 BTC/USDT) stay open, and nothing closes them but `trading flatten`",
    ]


def test_many_orders_are_counted_and_the_first_few_named() -> None:
    orders = [order(generation=number) for number in range(200)]
    effect = halt_effect(HALT, orders, {}, account=ACCOUNT, protective_on_halt="keep")
    assert effect.lines()[1].startswith("open orders: 200 (sma buy 0.5 BTC/USDT, ")
    assert "and 192 more) cancelled" in effect.lines()[1]
