"""From a decision to intents: by hand, and what holds for every book."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import ACCOUNT, BTC, ETH, MINUTE, T0, decision, event, intent, submitting
from trading.domain.decision import DecisionStatus
from trading.domain.ids import client_order_id
from trading.domain.money import on_step
from trading.domain.order import Order, OrderState, OrderType, Purpose, Side, apply_event
from trading.domain.plan import Plan, SizingRules, StrategyBook
from trading.domain.planning import COST_SLACK, MAX_GENERATIONS, actionable_until, plan_orders
from trading.domain.portfolio import StrategyPlan

AT = T0 + timedelta(seconds=2)
PRICES = {BTC.symbol: Decimal(100), ETH.symbol: Decimal(10)}
INSTRUMENTS = {BTC.symbol: BTC, ETH.symbol: ETH}
RULES = SizingRules(
    account=ACCOUNT,
    incarnation=1,
    quote="USDT",
    cash_buffer_bps=Decimal(0),
    order_type=OrderType.MARKET,
    max_decision_age_s=300,
)
PLAN = StrategyPlan(
    name="sma", function="f", timeframe="1m", instruments=(BTC.symbol, ETH.symbol), allocation=Decimal(1)
)


def book(**changes: Any) -> StrategyBook:
    """10,000 USDT and nothing else; half is wanted in BTC."""
    values: dict[str, Any] = {
        "plan": PLAN,
        "decision": decision(),
        "free_quote": Decimal(10_000),
        "held": {},
        "open_orders": [],
        "served": [],
    }
    return StrategyBook(**(values | changes))


def planned(of: StrategyBook, at: Any = AT, **rules: Any) -> Plan:
    return plan_orders(of, INSTRUMENTS, PRICES, at=at, rules=replace(RULES, **rules))


def outcome(of: Plan, symbol: str = BTC.symbol) -> str:
    return next(line.outcome for line in of.lines if line.instrument == symbol)


def order(state: OrderState = OrderState.PLANNED, filled: str = "0", **changes: Any) -> Order:
    wish = intent(**changes)
    return Order(intent=wish, state=state, sequence=0, changed_at=T0, filled_quantity=Decimal(filled))


def test_half_of_the_equity_is_bought() -> None:
    """10,000 * 0.5 / 100 = 50 BTC, an entry of generation 0 that expires with its decision."""
    (wish,) = planned(book()).intents
    assert (wish.side, wish.quantity, wish.target_quantity) == (Side.BUY, Decimal(50), Decimal(50))
    assert (wish.purpose, wish.generation, wish.limit_price) == (Purpose.ENTRY, 0, None)
    assert wish.reference_price == Decimal(100)
    assert wish.expires_at == T0 + MINUTE


def test_the_cash_buffer_is_left_alone() -> None:
    """With 1 % aside, 9,900 * 0.5 / 100 = 49.5 BTC."""
    (wish,) = planned(book(), cash_buffer_bps=Decimal(100)).intents
    assert wish.quantity == Decimal("49.5")


def test_the_target_counts_what_is_held() -> None:
    """8,000 USDT and 40 BTC make 12,000: half is 60 BTC, so 20 are bought, as a rebalance."""
    (wish,) = planned(book(free_quote=Decimal(8_000), held={BTC.symbol: Decimal(40)})).intents
    assert (wish.quantity, wish.target_quantity, wish.purpose) == (Decimal(20), Decimal(60), Purpose.REBALANCE)


def test_a_sale_goes_before_a_buy_and_never_pays_for_it() -> None:
    """100 BTC and no quote, wanted is ETH: the BTC are sold; ETH waits until there is quote."""
    wanted = decision(weights={BTC.symbol: Decimal(0), ETH.symbol: Decimal("0.5")})
    plan = planned(book(decision=wanted, free_quote=Decimal(0), held={BTC.symbol: Decimal(100)}))
    assert [(w.side, w.instrument, w.quantity) for w in plan.intents] == [(Side.SELL, BTC.symbol, Decimal(100))]
    assert "no free quote" in outcome(plan, ETH.symbol)


def test_a_buy_leaves_room_for_slippage_and_fee() -> None:
    """Everything in BTC: 10,000 / (100 * 1.01) = 99.00990 BTC, cut to the lot."""
    everything = decision(weights={BTC.symbol: Decimal(1)})
    (wish,) = planned(book(decision=everything)).intents
    assert wish.quantity == Decimal("99.00990")


def test_two_buys_share_the_free_quote() -> None:
    """Each wants all that there is; together they cost no more than it, slack included."""
    greedy = decision(weights={BTC.symbol: Decimal("0.7"), ETH.symbol: Decimal("0.3")})
    plan = planned(book(decision=greedy))
    assert sum(w.notional * (1 + COST_SLACK) for w in plan.intents) <= 10_000
    assert len(plan.intents) == 2


@pytest.mark.parametrize("state", sorted(OrderState))
def test_only_what_is_open_counts_as_on_its_way(state: OrderState) -> None:
    """An order of the decision before, for 10 of 50 BTC: while it is open nothing is planned beside it."""
    before = order(state, as_of=T0 - MINUTE, quantity=Decimal(10))
    plan = planned(book(open_orders=[before] if before.is_open else []))
    if state is OrderState.PLANNED:
        assert plan.superseded == (before,)
        assert plan.intents[0].quantity == Decimal(50)
    elif before.is_open:
        assert (plan.intents, outcome(plan)) == ((), "an order is on its way")
        assert plan.lines[-1].on_its_way == Decimal(10)
        assert plan.lines[-1].delta == Decimal(40)
    else:
        assert plan.intents[0].quantity == Decimal(50)


def test_what_was_not_filled_is_carried_on_as_the_next_generation() -> None:
    """30 of 50 filled and the rest expired at the venue: 20 more, generation 1, another id."""
    ended = order(OrderState.EXPIRED_AT_VENUE, filled="30", quantity=Decimal(50), purpose=Purpose.ENTRY)
    plan = planned(book(free_quote=Decimal(7_000), held={BTC.symbol: Decimal(30)}, served=[ended]))
    (wish,) = plan.intents
    assert (wish.generation, wish.quantity) == (1, Decimal(20))
    assert wish.client_order_id != ended.client_order_id


@pytest.mark.parametrize("state", [OrderState.DENIED, OrderState.REJECTED])
def test_a_final_no_ends_the_decision_for_its_instrument(state: OrderState) -> None:
    """What was refused for good is not asked again until the next decision."""
    plan = planned(book(served=[order(state)]))
    assert plan.intents == ()
    assert outcome(plan).startswith(f"{state} before")


@pytest.mark.parametrize(
    "state", [OrderState.EXPIRED, OrderState.SUPERSEDED, OrderState.NEVER_ACCEPTED, OrderState.CANCELED]
)
def test_what_ended_without_a_no_is_planned_again(state: OrderState) -> None:
    """It missed its moment; the target still stands, under the next generation."""
    (wish,) = planned(book(served=[order(state)])).intents
    assert wish.generation == 1


def test_generations_end() -> None:
    """The tenth is the last."""
    served = [order(OrderState.EXPIRED_AT_VENUE, generation=number) for number in range(MAX_GENERATIONS)]
    assert planned(book(served=served[:-1])).intents
    assert planned(book(served=served)).intents == ()


def test_the_rebalance_threshold_lets_small_changes_be_but_not_the_way_out() -> None:
    """2 % of 10,000 is 200: a change of 100 is left alone; going to zero is not."""
    lazy = replace(PLAN, rebalance_threshold_bps=Decimal(200))
    held = {BTC.symbol: Decimal(49)}
    assert "threshold of 200" in outcome(planned(book(plan=lazy, free_quote=Decimal(5_100), held=held)))
    out = decision(weights={BTC.symbol: Decimal(0)})
    leaving = planned(book(plan=lazy, decision=out, free_quote=Decimal(9_990), held={BTC.symbol: Decimal("0.1")}))
    assert [(w.side, w.quantity) for w in leaving.intents] == [(Side.SELL, Decimal("0.1"))]


def test_dust_is_not_sent() -> None:
    """0.04 BTC are worth 4, the venue wants 5."""
    out = decision(weights={BTC.symbol: Decimal(0)})
    plan = planned(book(decision=out, held={BTC.symbol: Decimal("0.04")}))
    assert plan.intents == ()
    assert "minimum notional of 5" in outcome(plan)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"decision": None}, "no_decision"),
        (
            {"decision": decision(status=DecisionStatus.NO_SIGNAL, weights={}, reason="a gap")},
            "no_signal: a gap",
        ),
        ({"decision": decision(as_of=T0 - MINUTE)}, "decision_too_old"),
    ],
)
def test_what_leads_to_nothing_says_so_for_each_instrument(changes: Any, expected: str) -> None:
    """No decision, no signal, or one whose time is over."""
    plan = planned(book(**changes))
    assert plan.intents == ()
    assert [(line.instrument, line.outcome) for line in plan.lines] == [(BTC.symbol, expected), (ETH.symbol, expected)]


def test_a_decision_serves_until_the_next_one_is_due_and_no_longer() -> None:
    """One second before the next close it is planned, at the close it is not."""
    assert actionable_until(decision()) == T0 + MINUTE
    assert planned(book(), at=T0 + timedelta(seconds=59)).intents[0].expires_at == T0 + MINUTE
    assert planned(book(), at=T0 + MINUTE).intents == ()


def test_a_daily_decision_is_planned_again_hours_later_for_five_minutes() -> None:
    """After an outage of ten hours the target still stands; the wish lives 300 s from its planning."""
    daily = decision(timeframe="1d")
    at = T0 + timedelta(hours=10)
    (wish,) = planned(book(decision=daily), at=at).intents
    assert wish.expires_at == at + timedelta(seconds=300)


def test_a_no_signal_supersedes_the_older_wish_all_the_same() -> None:
    """The newest close says nothing: what was wished before it is not sent any more."""
    older = order(as_of=T0 - MINUTE)
    quiet = decision(status=DecisionStatus.NO_SIGNAL, weights={})
    assert planned(book(decision=quiet, open_orders=[older])).superseded == (older,)


@pytest.mark.parametrize(("wanted", "expected"), [("0.5", "100.01"), ("0", "100.02")])
def test_a_limit_is_rounded_in_our_favour(wanted: str, expected: str) -> None:
    """The close is 100.013 on a tick of 0.01: a buy bids 100.01, a sale asks 100.02."""
    prices = {BTC.symbol: Decimal("100.013")}
    held = {BTC.symbol: Decimal(10)}
    of = book(decision=decision(weights={BTC.symbol: Decimal(wanted)}), held=held)
    plan = plan_orders(of, INSTRUMENTS, prices, at=AT, rules=replace(RULES, order_type=OrderType.LIMIT))
    assert plan.intents[0].limit_price == Decimal(expected)


def test_an_order_of_an_unpriced_instrument_still_reserves_its_quote() -> None:
    """SOL left the portfolio; its buy of 60 at a reference of 100 may still take 6,000 of 10,000."""
    sol = order(OrderState.SUBMITTING, instrument="SOL/USDT", quantity=Decimal(60), reference_price=Decimal(100))
    (wish,) = planned(book(open_orders=[sol])).intents
    assert wish.quantity == Decimal("39.60396")  # 4,000 / 101


amounts = st.decimals(0, 1_000, places=8, allow_nan=False, allow_infinity=False)
weights_of_two = st.tuples(st.integers(0, 1_000_000), st.integers(0, 1_000_000)).map(
    lambda pair: [Decimal(w) / 2_000_000 for w in pair]
)
open_states = st.sampled_from([OrderState.SUBMITTING, OrderState.OUTCOME_UNKNOWN, OrderState.ACCEPTED])


@st.composite
def orders_of(draw: st.DrawFn, symbol: str) -> Sequence[Order]:
    """None, or one order of the decision before, with some of it filled."""
    if not draw(st.booleans()):
        return []
    quantity = draw(st.decimals("0.001", 100, places=3))
    filled = draw(st.decimals(0, 1, places=2)) * quantity
    wish = intent(instrument=symbol, as_of=T0 - MINUTE, quantity=quantity, side=draw(st.sampled_from(Side)))
    return [Order(intent=wish, state=draw(open_states), sequence=1, changed_at=T0, filled_quantity=filled)]


@st.composite
def books(draw: st.DrawFn) -> StrategyBook:
    wanted = draw(weights_of_two)
    return book(
        decision=decision(weights=dict(zip(INSTRUMENTS, wanted, strict=True))),
        free_quote=draw(st.decimals(0, 100_000, places=8)),
        held={symbol: draw(amounts) for symbol in INSTRUMENTS},
        open_orders=[*draw(orders_of(BTC.symbol)), *draw(orders_of(ETH.symbol))],
    )


@given(of=books(), buffer=st.integers(0, 1_000).map(Decimal))
def test_no_plan_overshoots_its_target_its_quote_or_what_is_held(of: StrategyBook, buffer: Decimal) -> None:
    """Whatever the book: on the lot, within the target with everything on its way, paid for, and nothing sold short."""
    plan = planned(of, cash_buffer_bps=buffer)
    reserved = sum(
        o.signed_remainder * PRICES[o.intent.instrument] for o in of.open_orders if o.intent.side is Side.BUY
    )
    cost = Decimal(0)
    for wish in plan.intents:
        held = of.held[wish.instrument]
        remainder = sum(o.signed_remainder for o in of.open_orders if o.intent.instrument == wish.instrument)
        after = held + remainder + wish.side.sign * wish.quantity
        assert on_step(wish.quantity, INSTRUMENTS[wish.instrument].lot_step)
        assert wish.quantity * PRICES[wish.instrument] >= INSTRUMENTS[wish.instrument].min_notional
        if wish.side is Side.BUY:
            assert after <= wish.target_quantity
            cost += wish.notional * (1 + COST_SLACK)
        else:
            assert after >= wish.target_quantity
            assert wish.quantity <= held
    assert cost <= max(Decimal(0), of.free_quote - reserved)
    assert {line.instrument for line in plan.lines} == set(INSTRUMENTS)


@given(of=books())
def test_the_same_facts_give_the_same_names(of: StrategyBook) -> None:
    """Planning again, earlier or later in the minute, names the same wishes; each name follows from its facts."""
    first, again = planned(of), planned(of, at=AT + timedelta(seconds=20))
    assert [w.client_order_id for w in first.intents] == [w.client_order_id for w in again.intents]
    for wish in first.intents:
        assert wish.client_order_id == client_order_id(
            account=wish.account,
            incarnation=wish.incarnation,
            strategy=wish.strategy,
            instrument=wish.instrument,
            timeframe=wish.timeframe,
            as_of=wish.as_of,
            purpose=wish.purpose,
            generation=wish.generation,
        )


@given(steps=st.lists(st.tuples(st.sampled_from(["sent", "dies", "fills", "part"]), st.integers(1, 99)), max_size=12))
def test_a_decision_leads_to_its_target_once_whatever_happens_between(steps: list[tuple[str, int]]) -> None:
    """Plan, send, die, fill and plan again in any order: what was bought and what may still be never passes 50 BTC."""
    served: list[Order] = []
    bought = Decimal(0)
    for what, percent in steps:
        plan = planned(
            book(
                free_quote=10_000 - bought * 100,
                held={BTC.symbol: bought},
                open_orders=[o for o in served if o.is_open],
                served=served,
            )
        )
        served += [Order(intent=w, state=OrderState.PLANNED, sequence=0, changed_at=AT) for w in plan.intents]
        if served and served[-1].is_open:
            newest = served[-1]
            if newest.state is OrderState.PLANNED:
                newest = apply_event(newest, submitting(newest))
            if what in ("fills", "part"):
                if newest.is_unresolved:
                    newest = apply_event(newest, event(newest, OrderState.ACCEPTED))
                share = 100 if what == "fills" else percent
                got = newest.intent.quantity * share / 100
                bought += got
                end = OrderState.FILLED if what == "fills" else OrderState.EXPIRED_AT_VENUE
                newest = apply_event(replace(newest, filled_quantity=got), event(newest, end))
            elif what == "dies" and newest.state is OrderState.SUBMITTING:
                newest = apply_event(newest, event(newest, OrderState.OUTCOME_UNKNOWN))
            served[-1] = newest
        assert bought + sum(o.signed_remainder for o in served) <= 50
    assert len({o.client_order_id for o in served}) == len(served)
