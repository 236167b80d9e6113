"""What a person is shown is what they sign for, and what the ledger takes over."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import ACCOUNT, T0
from trading.domain.adoption import Adoption, adoption_of
from trading.domain.ledger import HOUSE, Category
from trading.domain.money import ZERO
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind


def finding(kind: DiscrepancyKind, key: str, **changes: Any) -> Discrepancy:
    values: dict[str, Any] = {"ours": ZERO, "theirs": Decimal(1), "first_seen_at": T0}
    return Discrepancy(kind=kind, key=key, **(values | changes))


FILL = finding(DiscrepancyKind.EXTERNAL_FILL, "BTC/USDT:7")
ORDER = finding(DiscrepancyKind.EXTERNAL_ORDER, "BTC/USDT:8")
OVERFILL = finding(DiscrepancyKind.OVERFILL, "abc", ours=Decimal(1), theirs=Decimal(2))
LOST = finding(DiscrepancyKind.FORGOTTEN_ORDER, "def", ours=Decimal(3), theirs=ZERO)


def adoption(**changes: Any) -> Adoption:
    values: dict[str, Any] = {
        "ours": {"USDT": Decimal(100)},
        "theirs": {"USDT": Decimal("150.5"), "SHIB": Decimal(9)},
        "found": [OVERFILL, LOST, ORDER, FILL],
        "at": T0,
    }
    return adoption_of(ACCOUNT, **(values | changes))


def test_each_finding_goes_where_it_belongs() -> None:
    """Balances of any currency to the ledger, the venue's history to the notes, our own order to its end."""
    adopted = adoption()
    assert adopted.differences == {"SHIB": Decimal(9), "USDT": Decimal("50.5")}
    assert adopted.acknowledged == (FILL, ORDER, OVERFILL)
    assert adopted.forgotten == ("def",)


def test_the_house_gains_the_difference_against_capital() -> None:
    """A deposit of 50.5 and a withdrawal of 1 are four legs, named after the run."""
    adopted = adoption(ours={"USDT": Decimal(100), "BTC": Decimal(1)}, theirs={"USDT": Decimal("150.5")})
    transaction = adopted.transaction("run-1", T0)
    assert transaction is not None
    assert (transaction.account, transaction.kind, transaction.reference) == (ACCOUNT, "adoption", "adoption:run-1")
    assert {(e.sub_account, e.category, e.currency, e.amount) for e in transaction.entries} == {
        (HOUSE, Category.ASSET, "USDT", Decimal("50.5")),
        (HOUSE, Category.CAPITAL, "USDT", Decimal("-50.5")),
        (HOUSE, Category.ASSET, "BTC", Decimal(-1)),
        (HOUSE, Category.CAPITAL, "BTC", Decimal(1)),
    }


def test_where_balances_agree_nothing_is_posted() -> None:
    """A resting order of somebody else moved no money."""
    assert adoption(ours={"USDT": Decimal("1.0")}, theirs={"USDT": Decimal(1)}).transaction("run-1", T0) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"ours": {"USDT": Decimal(101)}},
        {"theirs": {"USDT": Decimal("150.50000001"), "SHIB": Decimal(9)}},
        {"found": [OVERFILL, LOST, ORDER]},
        {"found": [replace(OVERFILL, theirs=Decimal(3)), LOST, ORDER, FILL]},
        {"found": [OVERFILL, replace(LOST, key="other"), ORDER, FILL]},
    ],
)
def test_any_other_figure_has_another_hash(changes: dict[str, Any]) -> None:
    """One unit, one fill more or less, another order: none of it was signed for."""
    assert adoption(**changes).content_hash != adoption().content_hash


def test_another_account_has_another_hash() -> None:
    """What was signed for one account adopts nothing in another."""
    assert replace(adoption(), account="other").content_hash != adoption().content_hash


def test_the_hash_forgets_when_and_in_which_order_it_was_seen() -> None:
    """The same figures, seen a minute later, dated and sorted otherwise, written with other zeros."""
    later = [
        replace(one, first_seen_at=T0 + timedelta(minutes=1), sightings=9) for one in (FILL, ORDER, OVERFILL, LOST)
    ]
    again = adoption(found=later, ours={"USDT": Decimal("100.00")}, at=T0 + timedelta(minutes=1))
    assert again.content_hash == adoption().content_hash


def test_the_audit_log_gets_both_sides_figures() -> None:
    """Whoever reads it later sees what was signed for."""
    detail = adoption().detail
    assert detail["balance USDT"] == "ours 100, theirs 150.5"
    assert detail["overfill abc"] == "ours 1, theirs 2"
    assert detail["shown"] == adoption().content_hash


totals = st.dictionaries(st.sampled_from(["BTC", "ETH", "USDT"]), st.decimals(-5, 5, places=8))


@given(ours=totals, theirs=totals)
def test_afterwards_both_sides_hold_the_same(ours: dict[str, Decimal], theirs: dict[str, Decimal]) -> None:
    """Ours and the differences are theirs, in every currency, to the last digit."""
    differences = adoption(ours=ours, theirs=theirs, found=[]).differences
    for currency in {*ours, *theirs}:
        after = ours.get(currency, ZERO) + differences.get(currency, ZERO)
        assert after == theirs.get(currency, ZERO)
