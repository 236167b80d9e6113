"""Weights become exact numbers, and a decision knows what it was made from."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.decision import panel_hash, quantised_weights
from trading.domain.market import Panel
from trading.domain.money import on_step
from trading.errors import DataError


def panel() -> Panel:
    columns = [np.arange(6, dtype=np.float64).reshape(3, 2) + part for part in range(5)]
    return Panel(("BTC/USDT", "ETH/USDT"), "1m", np.array([0, 60_000, 120_000], dtype=np.int64), *columns)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=6))
def test_weights_lose_less_than_a_millionth_and_never_grow(row: list[float]) -> None:
    names = tuple(f"I{number}" for number in range(len(row)))
    shares = [value / max(1.0, sum(row)) for value in row]
    for share, weight in zip(shares, quantised_weights("s", names, np.array(shares)).values(), strict=True):
        assert 0 <= Decimal(repr(share)) - weight < Decimal("0.000001")
        assert on_step(weight, Decimal("0.000001"))


def test_weights_by_hand() -> None:
    assert quantised_weights("s", ("A", "B"), np.array([0.3333339, 0.5])) == {
        "A": Decimal("0.333333"),
        "B": Decimal("0.5"),
    }


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e-9, 1.0000001])
def test_a_weight_that_spot_cannot_hold_is_named(bad: float) -> None:
    with pytest.raises(DataError, match="strategy s: expected a weight of 0 to 1 for B"):
        quantised_weights("s", ("A", "B"), np.array([0.1, bad]))


def test_weights_may_sum_to_one_and_no_more() -> None:
    quantised_weights("s", ("A", "B"), np.array([0.5, 0.5]))
    with pytest.raises(DataError, match="sum to at most 1"):
        quantised_weights("s", ("A", "B"), np.array([0.5, 0.500001]))


def test_every_column_must_have_its_weight() -> None:
    with pytest.raises(ValueError, match="shorter"):
        quantised_weights("s", ("A", "B"), np.array([0.5]))


def test_the_input_hash_is_the_same_for_equal_panels_whatever_their_memory() -> None:
    other = panel()
    rolled = Panel(
        other.instruments,
        other.timeframe,
        other.open_ms,
        *(np.asfortranarray(part) for part in (other.open, other.high, other.low, other.close, other.volume)),
    )
    assert panel_hash(panel(), {"fast": 1}) == panel_hash(rolled, {"fast": 1})


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "open_ms"])
def test_the_input_hash_changes_with_any_cell(column: str) -> None:
    changed = getattr(panel(), column).copy()
    changed.flat[0] += 1
    assert panel_hash(replace(panel(), **{column: changed}), {}) != panel_hash(panel(), {})


def test_the_input_hash_covers_names_timeframe_and_parameters() -> None:
    hashes = {
        panel_hash(panel(), {}),
        panel_hash(panel(), {"fast": 1}),
        panel_hash(panel(), {"fast": 2}),
        panel_hash(replace(panel(), timeframe="5m"), {}),
        panel_hash(replace(panel(), instruments=("ETH/USDT", "BTC/USDT")), {}),
    }
    assert len(hashes) == 5
