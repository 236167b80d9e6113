"""Pre-trade checks: each code has a case where it speaks and one where it does not."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import BTC, ETH, MINUTE, T0, intent
from trading.domain.kill_switch import MAY_SEND, Answer, TradingState
from trading.domain.limits import Limits, ScopedLimits
from trading.domain.losses import EquityMark, first_mark
from trading.domain.order import Order, OrderState, OrderType, Purpose, Side
from trading.domain.risk import CHECKS, check_order
from trading.domain.snapshot import RiskSnapshot, Verdict
from trading.domain.traffic import Traffic
from trading.domain.versions import Versions

AT = T0 + timedelta(seconds=5)
LIMITS = Limits(
    max_order_notional=Decimal(1_000),
    max_position_notional=Decimal(2_000),
    max_gross_exposure_bps=Decimal(5_000),
    price_collar_bps=Decimal(100),
    max_orders_per_minute=10,
    max_messages_per_minute=20,
    repeated_order_count=5,
    repeated_order_window_s=600,
    max_daily_loss_bps=Decimal(1_000),
    max_drawdown_bps=Decimal(3_000),
    max_candle_age_s=180,
    max_decision_age_s=300,
    max_reconciliation_age_s=300,
    max_clock_skew_ms=1_000,
    max_order_quantity=Decimal(8),
    reserved_cancels_per_minute=5,
)

DENIED, DEFERRED, ALLOWED = Verdict.DENIED, Verdict.DEFERRED, Verdict.ALLOWED


def wish(**changes: Any) -> Any:
    """A market buy of 5 BTC at 100, towards 5."""
    values: dict[str, Any] = {
        "quantity": Decimal(5),
        "reference_price": Decimal(100),
        "target_quantity": Decimal(5),
        "expires_at": T0 + MINUTE,
    }
    return intent(**(values | changes))


def sale(**changes: Any) -> Any:
    """A market sale of 5 BTC, towards nothing."""
    return wish(**({"side": Side.SELL, "target_quantity": Decimal(0)} | changes))


def risk(**changes: Any) -> RiskSnapshot:
    """A calm account of 10,000 that holds nothing: everything is allowed."""
    values: dict[str, Any] = {
        "at": AT,
        "intent": wish(),
        "instrument": BTC,
        "limits": LIMITS,
        "state": TradingState.RUNNING,
        "expected_price": Decimal("100.1"),
        "newest_close_at": T0,
        "held": Decimal(0),
        "others": (),
        "exposures": {},
        "equity": Decimal(10_000),
        "free_quote": Decimal(1_000),
        "newest_clean_at": T0,
        "skew_ms": 0.0,
    }
    return RiskSnapshot(**(values | changes))


def other(state: OrderState = OrderState.ACCEPTED, **changes: Any) -> Order:
    """Another order of the account, sent a minute before."""
    signed = None if state is OrderState.PLANNED else T0
    of = wish(**({"as_of": T0 - MINUTE} | changes))
    return Order(intent=of, state=state, sequence=1, changed_at=T0, signed_at=signed, recv_window_ms=2_000)


def test_a_calm_account_may_send() -> None:
    """No check speaks, and the answer has no figures."""
    checked = check_order(risk())
    assert (checked.verdict, checked.codes, dict(checked.figures)) == (ALLOWED, (), {})


def own(**limits: Any) -> Limits:
    """The limits, and some of the strategy's own."""
    return replace(LIMITS, strategy={"sma": ScopedLimits(**limits)})


def of_btc(**limits: Any) -> Limits:
    """The limits, and some of the instrument's own."""
    return replace(LIMITS, instrument={BTC.symbol: ScopedLimits(**limits)})


def marked(scope: str, *, high: str = "1", day: str = "1", now: str = "1") -> dict[str, EquityMark]:
    """One scope's mark: its index at best, at the day's start, and now."""
    mark = first_mark(scope, equity=Decimal(1_000), at=T0, position=0)
    return {scope: replace(mark, high_index=Decimal(high), day_index=Decimal(day), index=Decimal(now))}


SPEAKS: list[tuple[str, Verdict, RiskSnapshot]] = [
    ("kill_switch", DEFERRED, risk(state=TradingState.HALT)),
    ("kill_switch", DEFERRED, risk(state=TradingState.STALE)),
    ("kill_switch", DEFERRED, risk(state=TradingState.UNREADABLE)),
    ("expired", DENIED, risk(at=T0 + MINUTE)),
    ("stale_data", DEFERRED, risk(newest_close_at=None)),
    ("stale_data", DEFERRED, risk(newest_close_at=AT - timedelta(seconds=180.001))),
    ("clock_skew", DEFERRED, risk(skew_ms=1_000.5)),
    ("clock_skew", DEFERRED, risk(skew_ms=-1_000.5)),
    ("reconciliation_stale", DEFERRED, risk(newest_clean_at=None)),
    ("reconciliation_stale", DEFERRED, risk(newest_clean_at=AT - timedelta(seconds=300.001))),
    ("reconciliation_stale", DEFERRED, risk(open_discrepancies=1)),
    ("outcome_unknown_open", DEFERRED, risk(others=(other(OrderState.SUBMITTING, side=Side.SELL),))),
    ("outcome_unknown_open", DEFERRED, risk(others=(other(OrderState.OUTCOME_UNKNOWN, side=Side.SELL),))),
    ("restricted_instrument", DENIED, risk(instrument=None)),
    ("restricted_instrument", DENIED, risk(instrument=replace(BTC, trading=False))),
    ("lot_size", DENIED, risk(intent=wish(quantity=Decimal("4.000001")))),
    ("lot_size", DENIED, risk(instrument=replace(BTC, min_quantity=Decimal(6)))),
    ("max_quantity", DENIED, risk(instrument=replace(BTC, max_quantity=Decimal(4)))),
    ("max_quantity", DENIED, risk(instrument=replace(BTC, market_max_quantity=Decimal(4)))),
    ("lot_size", DENIED, risk(instrument=replace(BTC, market_lot_step=Decimal(2)))),
    ("min_notional", DENIED, risk(instrument=replace(BTC, min_notional=Decimal(501)))),
    (
        "tick_size",
        DENIED,
        risk(intent=wish(order_type=OrderType.LIMIT, limit_price=Decimal("100.001"))),
    ),
    ("max_order_notional", DENIED, risk(limits=replace(LIMITS, max_order_notional=Decimal("500.49")))),
    ("max_order_quantity", DENIED, risk(limits=replace(LIMITS, max_order_quantity=Decimal("4.9")))),
    ("price_collar", DENIED, risk(expected_price=Decimal("101.01"))),
    ("price_collar", DENIED, risk(expected_price=Decimal("98.99"))),
    (
        "price_collar",
        DENIED,
        risk(intent=wish(order_type=OrderType.LIMIT, limit_price=Decimal("98.99"))),
    ),
    ("max_position", DENIED, risk(exposures={BTC.symbol: Decimal(1_500)})),
    ("max_gross_exposure", DENIED, risk(exposures={ETH.symbol: Decimal(4_500)})),
    ("max_orders_per_minute", DEFERRED, risk(traffic=Traffic(orders=10))),
    ("max_orders_per_minute", DEFERRED, risk(limits=own(max_orders_per_minute=3), traffic=Traffic(of_strategy=3))),
    ("max_orders_per_minute", DEFERRED, risk(limits=of_btc(max_orders_per_minute=3), traffic=Traffic(of_instrument=3))),
    ("max_messages_per_minute", DEFERRED, risk(traffic=Traffic(orders=9, cancels=6))),
    ("repeated_order", DENIED, risk(traffic=Traffic(alike=4))),
    ("repeated_order", DENIED, risk(limits=own(repeated_order_count=2), traffic=Traffic(alike=1))),
    ("strategy_disabled", DEFERRED, risk(disabled="repeated_order", traffic=Traffic(alike=9))),
    ("version_mismatch", DEFERRED, risk(versions=Versions(code="0.1", deployed_code="0.2"))),
    ("version_mismatch", DEFERRED, risk(versions=Versions(schema="0014", deployed_schema="0015"))),
    ("max_daily_loss", DENIED, risk(marks=marked("account:replay", now="0.8999"))),
    ("max_daily_loss", DENIED, risk(marks=marked("strategy:sma", now="0.8999"))),
    ("max_daily_loss", DENIED, risk(limits=own(max_daily_loss_bps=50), marks=marked("strategy:sma", now="0.99"))),
    ("max_drawdown", DENIED, risk(marks=marked("account:replay", day="0.7", now="0.6999"))),
    (
        "max_drawdown",
        DENIED,
        risk(limits=own(max_drawdown_bps=50), marks=marked("strategy:sma", day="0.99", now="0.99")),
    ),
    ("max_order_notional", DENIED, risk(limits=own(max_order_notional=Decimal("500.49")))),
    ("max_order_notional", DENIED, risk(limits=of_btc(max_order_notional=Decimal("500.49")))),
    ("max_order_quantity", DENIED, risk(limits=of_btc(max_order_quantity=Decimal(4)))),
    ("price_collar", DENIED, risk(limits=of_btc(price_collar_bps=Decimal(9)))),
    ("max_position", DENIED, risk(limits=own(max_position_notional=Decimal(600)), own_exposures={BTC.symbol: 100})),
    ("max_position", DENIED, risk(limits=of_btc(max_position_notional=Decimal(600)), exposures={BTC.symbol: 100})),
    (
        "max_gross_exposure",
        DENIED,
        risk(limits=own(max_gross_exposure_bps=Decimal(5_000)), own_equity=Decimal(1_000), own_exposures={}),
    ),
    ("stale_data", DEFERRED, risk(limits=of_btc(max_candle_age_s=4))),
    ("overshoot", DENIED, risk(held=Decimal("0.00001"))),
    ("overshoot", DENIED, risk(others=(other(quantity=Decimal("0.00001")),))),
    ("insufficient_funds", DENIED, risk(free_quote=Decimal("500.49"))),
    ("self_match", DEFERRED, risk(others=(other(strategy="another", side=Side.SELL),))),
]


@pytest.mark.parametrize(
    ("code", "verdict", "snapshot"), SPEAKS, ids=[f"{number}-{code}" for number, (code, _, _) in enumerate(SPEAKS)]
)
def test_each_check_speaks_alone(code: str, verdict: Verdict, snapshot: RiskSnapshot) -> None:
    """One thing is wrong: exactly its code says so, with its verdict and its figures."""
    checked = check_order(snapshot)
    assert (checked.codes, checked.verdict) == ((code,), verdict)
    assert checked.figures
    assert all(name.startswith(f"{code}.") and value for name, value in checked.figures.items())


def test_every_code_of_the_table_has_a_case_that_speaks() -> None:
    """A check that is added without an example fails here."""
    assert {code for code, _, _ in SPEAKS} == {code for code, _ in CHECKS}


AT_THE_EDGE: list[tuple[str, RiskSnapshot]] = [
    ("an instant before it expires", risk(at=T0 + MINUTE - timedelta(microseconds=1))),
    ("a candle of exactly the age", risk(newest_close_at=AT - timedelta(seconds=180))),
    ("a skew of exactly the limit", risk(skew_ms=-1_000)),
    ("a reconciliation of exactly the age", risk(newest_clean_at=AT - timedelta(seconds=300))),
    ("exactly the largest notional", risk(limits=replace(LIMITS, max_order_notional=Decimal("500.5")))),
    ("exactly the largest quantity", risk(limits=replace(LIMITS, max_order_quantity=Decimal(5)))),
    ("no largest quantity", risk(limits=replace(LIMITS, max_order_quantity=None))),
    ("exactly the collar", risk(expected_price=Decimal(101))),
    ("no price is known but the reference", risk(expected_price=None)),
    ("exactly the position cap", risk(exposures={BTC.symbol: Decimal("1499.5")})),
    ("exactly the gross cap", risk(exposures={ETH.symbol: Decimal("4499.5")})),
    ("one below the rate", risk(traffic=Traffic(orders=9))),
    ("one message below what orders may take", risk(traffic=Traffic(orders=9, cancels=5))),
    ("one repetition fewer", risk(traffic=Traffic(alike=3))),
    ("a disabled strategy's way out", risk(intent=wish(purpose=Purpose.PROTECTIVE), disabled="repeated_order")),
    ("the way out, once more", risk(intent=wish(purpose=Purpose.PROTECTIVE), traffic=Traffic(alike=9))),
    ("versions that agree", risk(versions=Versions(code="1", schema="2", deployed_code="1", deployed_schema="2"))),
    ("nobody said what is deployed", risk(versions=Versions(code="1", schema="2"))),
    ("exactly the daily loss", risk(marks=marked("account:replay", now="0.9"))),
    ("exactly the drawdown", risk(marks=marked("account:replay", day="0.7", now="0.7"))),
    ("another strategy's loss", risk(marks=marked("strategy:other", now="0.5"))),
    (
        "a loss, and a sale of what is held",
        risk(intent=sale(), held=Decimal(5), marks=marked("account:replay", now="0.5")),
    ),
    ("another strategy's own limits", risk(limits=replace(LIMITS, strategy={"x": ScopedLimits(max_order_notional=1)}))),
    ("own limits that are wider", risk(limits=own(max_order_notional=Decimal(9_999), max_daily_loss_bps=9_999))),
    ("exactly the funds", risk(free_quote=Decimal("500.5"))),
    ("exactly the smallest notional", risk(instrument=replace(BTC, min_notional=Decimal("500.5")))),
    ("filters that are unset", risk(instrument=replace(BTC, max_quantity=Decimal(0), lot_step=Decimal(0)))),
    ("a wish that was not sent yet", risk(others=(other(OrderState.PLANNED),))),
    ("another instrument's unknown", risk(others=(other(OrderState.SUBMITTING, instrument=ETH.symbol),))),
    ("another strategy's unknown", risk(others=(other(OrderState.SUBMITTING, strategy="another"),))),
    ("another strategy's resting buy", risk(others=(other(strategy="another"),))),
]


@pytest.mark.parametrize("snapshot", [s for _, s in AT_THE_EDGE], ids=[name for name, _ in AT_THE_EDGE])
def test_what_is_just_within_a_limit_is_allowed(snapshot: RiskSnapshot) -> None:
    """Each limit includes its own figure; what concerns others does not concern this order."""
    assert check_order(snapshot).codes == ()


def test_an_opposite_order_on_its_way_never_makes_room() -> None:
    """An open sale of 5 of the 5 held may never fill: buying 5 more could hold 10, the target is 5."""
    snapshot = risk(held=Decimal(5), others=(other(side=Side.SELL),))
    assert "overshoot" in check_order(snapshot).codes


def test_a_sale_of_what_is_held_is_a_reduction() -> None:
    """It needs no fresh reconciliation, no room under a cap and no quote."""
    snapshot = risk(
        intent=sale(),
        held=Decimal(5),
        newest_clean_at=None,
        open_discrepancies=3,
        exposures={BTC.symbol: Decimal(99_999)},
        free_quote=Decimal(0),
    )
    assert check_order(snapshot).codes == ()


@pytest.mark.parametrize(
    ("snapshot", "codes"),
    [
        (risk(intent=sale(), held=Decimal("4.99999")), {"overshoot", "insufficient_funds"}),
        (risk(intent=sale(), held=Decimal(5), others=(other(side=Side.SELL, quantity=Decimal(1)),)), {"overshoot"}),
        (risk(intent=sale(target_quantity=Decimal(3)), held=Decimal(7)), {"overshoot"}),
    ],
)
def test_nothing_is_sold_short_twice_or_below_its_target(snapshot: RiskSnapshot, codes: set[str]) -> None:
    """More than is held, more than is left beside another sale, or past the target."""
    checked = check_order(snapshot)
    assert (set(checked.codes), checked.verdict) == (codes, DENIED)


def test_one_denial_outweighs_every_deferral() -> None:
    """Halted, late and too large: denied for good, and all three are recorded."""
    snapshot = risk(
        state=TradingState.HALT, traffic=Traffic(orders=99), limits=replace(LIMITS, max_order_quantity=Decimal(1))
    )
    checked = check_order(snapshot)
    assert checked.verdict is DENIED
    assert checked.codes == ("kill_switch", "max_order_quantity", "max_orders_per_minute", "max_messages_per_minute")


@pytest.mark.parametrize("state", list(TradingState))
@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_kill_switch_is_the_table(state: TradingState, purpose: Purpose) -> None:
    """A sale of what is held is sent where the table says yes, or where it asks for an override that was granted."""
    closing = {"state": state, "intent": sale(purpose=purpose), "held": Decimal(5)}
    answer = MAY_SEND[state][purpose]
    assert (check_order(risk(**closing)).verdict is ALLOWED) == (answer is Answer.YES)
    granted = check_order(risk(**closing, granted_notional=Decimal(1_000))).verdict is ALLOWED
    assert granted == (answer in (Answer.YES, Answer.OVERRIDE))
    too_small = check_order(risk(**closing, granted_notional=Decimal("500.49"))).verdict is ALLOWED
    assert too_small == (answer is Answer.YES)


@pytest.mark.parametrize("state", [state for state in TradingState if state is not TradingState.RUNNING])
@pytest.mark.parametrize("purpose", list(Purpose))
def test_outside_of_running_nothing_raises_exposure(state: TradingState, purpose: Purpose) -> None:
    """Neither a buy, nor a sale of more than is held and not offered already, override or not."""
    offered = (other(side=Side.SELL, quantity=Decimal("0.001")),)
    for changes in (
        {"intent": wish(purpose=purpose)},
        {"intent": sale(purpose=purpose), "held": Decimal("4.999")},
        {"intent": sale(purpose=purpose, target_quantity=-1), "held": Decimal(5), "others": offered},
    ):
        assert "kill_switch" in check_order(risk(state=state, granted_notional=Decimal(1_000), **changes)).codes


def test_closing_never_raises_exposure_even_while_running() -> None:
    """An order that calls itself flatten and buys is held back."""
    assert check_order(risk(intent=wish(purpose=Purpose.FLATTEN))).codes == ("kill_switch",)


amounts = st.decimals(0, 20, places=3)


@given(
    side=st.sampled_from(Side),
    quantity=st.decimals("0.1", 8, places=3),
    target=amounts,
    held=amounts,
    remainders=st.lists(st.tuples(st.sampled_from(Side), st.decimals("0.001", 5, places=3), st.booleans()), max_size=3),
)
def test_what_is_allowed_never_overshoots_at_its_worst(
    side: Side, quantity: Decimal, target: Decimal, held: Decimal, remainders: list[tuple[Side, Decimal, bool]]
) -> None:
    """I3b for every account: whichever of the open orders fill, an allowed order never passes the target."""
    others = tuple(
        other(OrderState.ACCEPTED, side=way, quantity=size, generation=number, strategy="sma" if own else "another")
        for number, (way, size, own) in enumerate(remainders)
    )
    snapshot = risk(
        intent=wish(side=side, quantity=quantity, target_quantity=target), held=held, others=others, free_quote=10_000
    )
    if check_order(snapshot).verdict is not ALLOWED:
        return
    own = [(way, size) for way, size, mine in remainders if mine]
    same_way = sum((size for way, size in own if way is side), Decimal(0))
    worst = held + side.sign * (same_way + quantity)
    assert worst <= target if side is Side.BUY else worst >= target
    assert side is Side.BUY or quantity <= held
