"""Names follow from facts."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import T0
from trading.domain.ids import chain_hash, client_order_id, content_hash

FACTS = {
    "account": "replay",
    "incarnation": 1,
    "strategy": "sma",
    "instrument": "BTC/USDT",
    "timeframe": "1m",
    "as_of": T0,
    "purpose": "rebalance",
    "generation": 0,
}


def test_the_pinned_example_never_changes_since_every_old_order_would_become_new() -> None:
    assert client_order_id(**FACTS) == "56052d5ce3525df4a7a848809431e1d2"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("account", "live"),
        ("incarnation", 2),
        ("strategy", "sm"),
        ("instrument", "BTC/USDC"),
        ("timeframe", "5m"),
        ("as_of", T0 + timedelta(microseconds=1)),
        ("purpose", "entry"),
        ("generation", 1),
    ],
)
def test_each_fact_makes_another_id(name: str, other: object) -> None:
    assert client_order_id(**(FACTS | {name: other})) != client_order_id(**FACTS)


def test_facts_cannot_run_into_one_another() -> None:
    left = client_order_id(**(FACTS | {"account": "a", "strategy": "b,c"}))
    assert left != client_order_id(**(FACTS | {"account": "a,b", "strategy": "c"}))


@given(st.integers(min_value=0, max_value=10**6), st.text(max_size=20))
def test_an_id_is_32_lower_case_hex_digits_whatever_the_facts(generation: int, strategy: str) -> None:
    name = client_order_id(**(FACTS | {"generation": generation, "strategy": strategy}))
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")
    assert name == client_order_id(**(FACTS | {"generation": generation, "strategy": strategy}))


def test_one_instant_is_one_fact_in_whatever_zone_it_is_written() -> None:
    tokyo = T0.astimezone(timezone(timedelta(hours=9)))
    assert client_order_id(**(FACTS | {"as_of": tokyo})) == client_order_id(**FACTS)


def test_a_naive_as_of_is_refused_since_it_names_no_instant() -> None:
    with pytest.raises(ValueError, match="naive"):
        client_order_id(**(FACTS | {"as_of": datetime(2026, 1, 1)}))  # noqa: DTZ001


def test_a_content_hash_does_not_depend_on_the_order_of_the_facts() -> None:
    assert content_hash({"a": 1, "b": Decimal("1.5")}) == content_hash({"b": Decimal("1.5"), "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})


def test_a_chain_hash_covers_the_row_and_everything_before_it() -> None:
    first = chain_hash("", {"n": 1})
    assert chain_hash(first, {"n": 2}) != chain_hash("", {"n": 2})
    assert chain_hash(first, {"n": 2}) != chain_hash(first, {"n": 3})
    assert chain_hash(first, {"n": 2}) == chain_hash(chain_hash("", {"n": 1}), {"n": 2})
