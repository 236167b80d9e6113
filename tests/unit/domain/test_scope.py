"""A scope is spelled in one way, and covers what it names."""

import pytest

from trading.domain.scope import Scope
from trading.errors import ConfigurationError


@pytest.mark.parametrize("text", ["all", "account:replay", "strategy:sma", "instrument:BTC/USDT"])
def test_a_scope_is_read_and_written_alike(text: str) -> None:
    assert str(Scope.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "ALL", "all ", "all:", "strategy", "strategy:", "strategy: sma", "coin:BTC", "strategy:a:b", "a" * 999]
)
def test_what_is_no_scope_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected all, account:NAME, strategy:NAME or instrument:SYMBOL"):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("all", True),
        ("account:replay", True),
        ("account:other", False),
        ("strategy:sma", True),
        ("strategy:sm", False),
        ("instrument:BTC/USDT", True),
        ("instrument:ETH/USDT", False),
    ],
)
def test_a_scope_covers_the_orders_of_what_it_names(text: str, covered: bool) -> None:
    order = {"account": "replay", "strategy": "sma", "instrument": "BTC/USDT"}
    assert Scope.parse(text).covers(**order) is covered
