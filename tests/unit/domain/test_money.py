"""Money is exact, and a float never gets near it."""

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.money import (
    EXACT,
    amount,
    floor_to_step,
    on_step,
    plain,
    price_from_candle,
    quantise,
    round_to_step,
)

amounts = st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=8)
steps = st.sampled_from([Decimal(text) for text in ("0.00001", "0.01", "0.05", "0.25", "1", "5", "100", "1E+2")])


@given(st.floats())
def test_a_float_is_refused_whatever_it_holds(value: float) -> None:
    with pytest.raises(TypeError, match="got float"):
        amount(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, None, b"1", [1]])
def test_what_is_no_number_by_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        amount(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-inf", "", "1,5", "0x10", "1 2"])
def test_text_that_is_no_finite_number_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        amount(text)


@given(amounts)
def test_an_amount_survives_its_own_text(value: Decimal) -> None:
    assert amount(plain(value)) == value
    assert "E" not in plain(value)


def test_plain_text_has_neither_exponent_nor_idle_zeros_nor_a_negative_zero() -> None:
    assert [plain(Decimal(text)) for text in ("1E+3", "1.500", "-0.00", "0E-8", "1E-8", "100")] == [
        "1000",
        "1.5",
        "0",
        "0",
        "0.00000001",
        "100",
    ]


@given(amounts, steps)
def test_flooring_lands_on_the_step_towards_zero_and_less_than_a_step_away(value: Decimal, step: Decimal) -> None:
    floored = floor_to_step(value, step)
    assert on_step(floored, step)
    assert abs(floored) <= abs(value)
    assert abs(value - floored) < step


@given(amounts, steps, st.booleans())
def test_rounding_goes_the_asked_way_and_less_than_a_step(value: Decimal, step: Decimal, up: bool) -> None:
    rounded = round_to_step(value, step, up=up)
    assert on_step(rounded, step)
    assert 0 <= (rounded - value if up else value - rounded) < step


@given(amounts)
def test_a_step_of_zero_is_unset_and_changes_nothing(value: Decimal) -> None:
    assert floor_to_step(value, Decimal(0)) == value
    assert round_to_step(value, Decimal(0), up=True) == value
    assert on_step(value, Decimal(0))


def test_absurd_numbers_do_not_break_the_step() -> None:
    assert on_step(Decimal("1E+400"), Decimal("0.01"))
    assert not on_step(Decimal("1E-400"), Decimal("0.01"))
    assert floor_to_step(Decimal("1E-400"), Decimal("0.01")) == 0


@pytest.mark.parametrize(
    ("value", "expected"), [("0.125", "0.12"), ("0.135", "0.14"), ("-0.125", "-0.12"), ("2", "2.00")]
)
def test_quantising_rounds_half_to_even(value: str, expected: str) -> None:
    assert quantise(Decimal(value), 2) == Decimal(expected)


@given(st.integers(min_value=1, max_value=10**10))
def test_the_bridge_from_a_candle_gives_back_the_very_price(ticks: int) -> None:
    price = ticks * Decimal("0.01")
    assert price_from_candle(float(price), Decimal("0.01")) == price
    assert price_from_candle(float(price), Decimal(0)) == price


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_bridge_lets_nothing_across_that_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        price_from_candle(value, Decimal("0.01"))


@given(amounts, amounts)
def test_a_product_of_two_amounts_is_exact_in_the_exact_context(left: Decimal, right: Decimal) -> None:
    with localcontext(EXACT):
        product = left * right
    numerator = int(left.scaleb(8)) * int(right.scaleb(8))
    assert int(product.scaleb(16, EXACT)) == numerator
