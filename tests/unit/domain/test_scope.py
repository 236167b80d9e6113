"""Scopes: written one way, read back the same, and covering what they name."""

import pytest

from trading.domain.scope import Scope
from trading.errors import ConfigurationError


@pytest.mark.parametrize("text", ["all", "account:replay", "strategy:sma", "instrument:BTC/USDT"])
def test_a_scope_is_written_as_it_is_read(text: str) -> None:
    assert str(Scope.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "sma", "ALL", "all:", "all:x", "strategy", "strategy:", "strategy: sma", "venue:x", "account:a\nb"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected all, account:NAME"):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("all", True),
        ("account:replay", True),
        ("account:other", False),
        ("strategy:sma", True),
        ("strategy:hold", False),
        ("instrument:BTC/USDT", True),
        ("instrument:ETH/USDT", False),
        ("account:sma", False),
    ],
)
def test_a_scope_covers_what_it_names(text: str, covered: bool) -> None:
    assert Scope.parse(text).covers(account="replay", strategy="sma", instrument="BTC/USDT") is covered
