"""For each check and any account: a larger order is never allowed where a smaller one is denied."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import BTC, ETH
from tests.unit.domain.test_risk import LIMITS, marked, other, risk, sale, wish
from trading.domain.limits import ScopedLimits
from trading.domain.order import Purpose, Side
from trading.domain.risk import CHECKS, check_order
from trading.domain.traffic import Traffic

#: Venue filters: what is too small, or lies off the grid, may be right when it is larger.
NOT_MONOTONE = {"lot_size", "min_notional"}
#: What a reduction of what is held never has to stand up to.
PASSED_BY_REDUCTIONS = {
    "reconciliation_stale",
    "max_position",
    "max_gross_exposure",
    "max_daily_loss",
    "max_drawdown",
    "insufficient_funds",
}

amounts = st.decimals(0, 20, places=2)
optional = st.none() | st.decimals("0.01", 2_000, places=2)


@st.composite
def accounts(draw: st.DrawFn) -> dict[str, Any]:
    """Anything that the checks may find, but for the order."""
    scoped = ScopedLimits(
        max_order_notional=draw(optional), max_order_quantity=draw(optional), max_position_notional=draw(optional)
    )
    limits = replace(
        LIMITS,
        max_order_notional=draw(st.decimals(1, 2_000, places=1)),
        max_order_quantity=draw(optional),
        strategy={"sma": scoped} if draw(st.booleans()) else {},
        instrument={BTC.symbol: scoped} if draw(st.booleans()) else {},
    )
    exposures = {BTC.symbol: draw(amounts) * 100, ETH.symbol: draw(amounts) * 100}
    return {
        "limits": limits,
        "held": draw(amounts),
        "exposures": exposures,
        "own_exposures": exposures,
        "own_equity": draw(amounts) * 500,
        "equity": draw(amounts) * 1_000,
        "free_quote": draw(amounts) * 100,
        "open_discrepancies": draw(st.integers(0, 1)),
        "disabled": draw(st.sampled_from(["", "repeated_order"])),
        "traffic": Traffic(
            orders=draw(st.integers(0, 12)), cancels=draw(st.integers(0, 12)), alike=draw(st.integers(0, 6))
        ),
        "marks": marked("account:replay", now=draw(st.sampled_from(["1", "0.95", "0.85", "0.65"]))),
        "others": (other(quantity=draw(st.decimals(1, 3, places=1)), side=draw(st.sampled_from(Side))),),
    }


@given(
    account=accounts(),
    side=st.sampled_from(Side),
    target=amounts,
    small=st.decimals("0.01", 20, places=2),
    more=st.decimals("0.01", 20, places=2),
)
def test_a_larger_order_never_passes_where_a_smaller_one_does_not(
    account: dict[str, Any], side: Side, target: Decimal, small: Decimal, more: Decimal
) -> None:
    """Each check by itself, and so all of them together."""
    less, larger = (
        risk(**account, intent=wish(side=side, quantity=quantity, target_quantity=target))
        for quantity in (small, small + more)
    )
    for code, check in CHECKS:
        if code not in NOT_MONOTONE and check(less) is not None:
            assert check(larger) is not None, code


@given(account=accounts(), share=st.decimals("0.01", 1, places=2))
def test_a_reduction_passes_what_only_bounds_exposure(account: dict[str, Any], share: Decimal) -> None:
    """A sale of no more than what is held and not offered, whatever is owed, lost or exposed."""
    offered = sum(-order.signed_remainder for order in account["others"] if order.intent.side is Side.SELL)
    held = account["held"] + 1 + offered
    snapshot = risk(**{**account, "held": held}, intent=sale(quantity=(held - offered) * share))
    assert not set(check_order(snapshot).codes) & PASSED_BY_REDUCTIONS


@given(account=accounts(), purpose=st.sampled_from([Purpose.PROTECTIVE, Purpose.FLATTEN]))
def test_no_breaker_keeps_a_way_out_back(account: dict[str, Any], purpose: Purpose) -> None:
    codes = check_order(risk(**account, intent=wish(purpose=purpose))).codes
    assert not {"strategy_disabled", "repeated_order"} & set(codes)
