"""Two books compared."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import T0
from trading.domain.money import ZERO
from trading.domain.reconciliation import (
    SILENCE,
    SILENT_LOOKS,
    Discrepancy,
    DiscrepancyKind,
    ReconciliationResult,
    compare_balances,
)

LAG = timedelta(seconds=10)
FOUND = Discrepancy(kind=DiscrepancyKind.BALANCE, key="BTC", ours=Decimal(1), theirs=Decimal(2), first_seen_at=T0)


def test_a_difference_of_one_unit_is_found_with_both_figures() -> None:
    """Equal currencies say nothing."""
    ours = {"BTC": Decimal("0.10000001"), "USDT": Decimal(5)}
    theirs = {"BTC": Decimal("0.1"), "USDT": Decimal("5.00")}
    (found,) = compare_balances(ours, theirs, {"BTC", "USDT"}, T0)
    assert (found.key, found.ours, found.theirs) == ("BTC", Decimal("0.10000001"), Decimal("0.1"))
    assert (found.first_seen_at, found.confirmed) == (T0, False)


def test_what_one_side_lacks_is_zero_there_and_what_is_not_watched_is_not_compared() -> None:
    """An airdropped currency is not watched; one that only we hold is a difference."""
    found = compare_balances({"ETH": Decimal(1)}, {"SHIB": Decimal(9)}, {"ETH", "BTC"}, T0)
    assert [(one.key, one.ours, one.theirs) for one in found] == [("ETH", Decimal(1), ZERO)]


@pytest.mark.parametrize(("age", "confirmed"), [(LAG, False), (LAG + timedelta(microseconds=1), True)])
def test_a_difference_is_confirmed_once_it_outlived_the_lag(age: timedelta, confirmed: bool) -> None:
    """Exactly the lag is not enough; the first sight's date stays."""
    stalled = timedelta(hours=1)
    later = replace(FOUND, first_seen_at=T0 + age + stalled).since(FOUND, LAG, at=T0 + age)
    assert (later.first_seen_at, later.confirmed) == (T0, confirmed)


def test_a_first_sight_is_not_confirmed_and_a_confirmation_stays() -> None:
    """Nothing before it: new. Confirmed before: still so, even an instant later."""
    assert FOUND.since(None, LAG, at=T0 + 2 * LAG) == FOUND
    assert FOUND.since(replace(FOUND, confirmed=True), LAG, at=T0).confirmed


@pytest.mark.parametrize(
    ("age", "looks", "confirmed"),
    [
        (SILENCE, SILENT_LOOKS, False),
        (SILENCE + timedelta(microseconds=1), SILENT_LOOKS - 1, False),
        (SILENCE + timedelta(microseconds=1), SILENT_LOOKS, True),
    ],
)
def test_a_forgotten_order_is_confirmed_after_several_looks_over_ten_minutes(
    age: timedelta, looks: int, confirmed: bool
) -> None:
    """Neither the time nor the looks alone are enough; the visibility lag would have been."""
    lost = replace(FOUND, kind=DiscrepancyKind.FORGOTTEN_ORDER, sightings=looks - 1)
    later = lost.since(lost, LAG, at=T0 + age)
    assert (later.sightings, later.confirmed) == (looks, confirmed)


@pytest.mark.parametrize(
    ("compared", "found", "unknown", "clean"),
    [(True, (), 0, True), (False, (), 0, False), (True, (FOUND,), 0, False), (True, (), 1, False)],
)
def test_clean_means_compared_equal_and_nothing_unknown(
    compared: bool, found: tuple[Discrepancy, ...], unknown: int, clean: bool
) -> None:
    """Each of the three alone is enough to say no."""
    result = ReconciliationResult(at=T0, compared=compared, discrepancies=found, unknown_orders=unknown)
    assert result.clean is clean


totals = st.dictionaries(st.sampled_from(["BTC", "ETH", "USDT"]), st.decimals(-5, 5, places=2))


@given(ours=totals, theirs=totals)
def test_nothing_is_found_exactly_where_all_watched_totals_agree(
    ours: dict[str, Decimal], theirs: dict[str, Decimal]
) -> None:
    """Each watched currency once, sorted; swapping the books swaps the figures."""
    watched = {"BTC", "USDT"}
    found = compare_balances(ours, theirs, watched, T0)
    assert [one.key for one in found] == sorted(c for c in watched if ours.get(c, ZERO) != theirs.get(c, ZERO))
    swapped = compare_balances(theirs, ours, watched, T0)
    assert [(one.theirs, one.ours) for one in swapped] == [(one.ours, one.theirs) for one in found]
