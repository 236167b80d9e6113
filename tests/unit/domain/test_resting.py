"""What follows for what is left of a limit order that was withdrawn: by hand, and whatever happens between."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import ACCOUNT, BTC, ORDER_PATHS, T0, decision, event, intent
from trading.domain.money import BPS
from trading.domain.order import Order, OrderState, OrderType, Side, apply_event
from trading.domain.plan import Plan, SizingRules, StrategyBook
from trading.domain.planning import COST_SLACK, MAX_GENERATIONS, plan_orders
from trading.domain.portfolio import StrategyPlan
from trading.domain.resting import Attempt, RestPolicy, WhenRested, next_attempt

S = OrderState
GIVE_UP = RestPolicy(when_rested=WhenRested.GIVE_UP)
REPRICE = RestPolicy(when_rested=WhenRested.REPRICE, reprice_times=2)
CROSS = RestPolicy(when_rested=WhenRested.CROSS, max_slippage_bps=Decimal(30))
RULES = SizingRules(
    account=ACCOUNT,
    incarnation=1,
    quote="USDT",
    cash_buffer_bps=Decimal(0),
    order_type=OrderType.LIMIT,
    max_decision_age_s=300,
)


def order(generation: int, *path: OrderState, **changes: Any) -> Order:
    """A limit buy of this generation after these steps; each generation is planned a minute after the one before."""
    planned_at = T0 + timedelta(minutes=generation)
    facts: dict[str, Any] = {
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal(100),
        "generation": generation,
        "planned_at": planned_at,
    }
    wish = Order(intent=intent(**facts | changes), state=S.PLANNED, sequence=0, changed_at=planned_at)
    for state in path:
        wish = apply_event(wish, event(wish, state))
    return wish


def ended(generation: int, state: OrderState, **changes: Any) -> Order:
    return order(generation, *ORDER_PATHS[state], **changes)


# the policy over the rows, by hand


def test_until_something_was_withdrawn_every_policy_bids_at_the_reference() -> None:
    """What was never sent, never arrived or filled whole says nothing about resting."""
    served = [ended(0, S.EXPIRED), ended(1, S.SUPERSEDED), ended(2, S.NEVER_ACCEPTED), ended(3, S.FILLED)]
    for policy in (GIVE_UP, REPRICE, CROSS):
        assert next_attempt([], policy) == next_attempt(served, policy) == Attempt()


@pytest.mark.parametrize("state", [S.CANCELED, S.EXPIRED_AT_VENUE])
def test_what_left_the_book_unfilled_is_followed_by_what_the_policy_says(state: OrderState) -> None:
    """Whoever took it out of the book: give_up ends it, reprice bids at the reference, cross goes 30 bps further."""
    served = [ended(0, state)]
    assert next_attempt(served, GIVE_UP) is None
    assert next_attempt(served, REPRICE) == Attempt(said="re-priced, 1 of at most 2")
    assert next_attempt(served, CROSS) == Attempt(slippage_bps=Decimal(30), said="crossing the spread")


def test_replacements_are_counted_to_their_end() -> None:
    """The first order and two replacements were withdrawn: reprice 2 times gives up; crossing gave up one earlier."""
    served = [ended(number, S.CANCELED) for number in range(3)]
    assert next_attempt(served[:2], REPRICE) == Attempt(said="re-priced, 2 of at most 2")
    assert next_attempt(served[:2], CROSS) is None
    assert next_attempt(served, REPRICE) is None


def test_a_replacement_that_filled_counts_so_that_nothing_crosses_twice() -> None:
    """The price moves, and with it the target: what it asks for more is left to the next decision."""
    served = [ended(0, S.CANCELED), ended(1, S.FILLED)]
    assert next_attempt(served, CROSS) is None
    assert next_attempt([*served, ended(2, S.FILLED)], REPRICE) is None


@pytest.mark.parametrize("state", [S.EXPIRED, S.SUPERSEDED, S.NEVER_ACCEPTED])
def test_a_replacement_that_never_reached_the_venue_does_not_count(state: OrderState) -> None:
    served = [ended(0, S.CANCELED), ended(1, state)]
    assert next_attempt(served, CROSS) == Attempt(slippage_bps=Decimal(30), said="crossing the spread")


@pytest.mark.parametrize("state", [S.SUBMITTING, S.OUTCOME_UNKNOWN, S.ACCEPTED, S.PARTIALLY_FILLED])
def test_a_replacement_that_may_stand_at_the_venue_counts_at_its_worst(state: OrderState) -> None:
    assert next_attempt([ended(0, S.CANCELED), ended(1, state)], CROSS) is None


def test_a_late_fill_does_not_unmake_a_withdrawal() -> None:
    """Canceled, replaced, and then the venue shows that the first one had filled: it was withdrawn all the same."""
    late = order(0, *ORDER_PATHS[S.CANCELED])
    late = apply_event(late, event(late, S.FILLED, at=T0 + timedelta(minutes=2)))
    assert next_attempt([late, ended(1, S.CANCELED)], CROSS) is None
    assert next_attempt([late], CROSS) == Attempt()  # with nothing after it, all of it filled in the end


def test_a_market_order_that_found_too_little_was_not_resting() -> None:
    """The portfolio sent market orders before: what expired of them is carried on at the reference."""
    thin = ended(0, S.EXPIRED_AT_VENUE, order_type=OrderType.MARKET, limit_price=None)
    assert next_attempt([thin], GIVE_UP) == Attempt()


# planning with it


def book(policy: RestPolicy, served: Sequence[Order] = (), **changes: Any) -> StrategyBook:
    """10,000 USDT, half of which is wanted in BTC."""
    plan = StrategyPlan(
        name="sma", function="f", timeframe="1m", instruments=(BTC.symbol,), allocation=Decimal(1), resting=policy
    )
    values: dict[str, Any] = {
        "plan": plan,
        "decision": decision(timeframe="1h", weights={BTC.symbol: Decimal("0.5")}),
        "free_quote": Decimal(10_000),
        "held": {},
        "open_orders": [one for one in served if one.is_open],
        "served": served,
    }
    return StrategyBook(**(values | changes))


def planned(of: StrategyBook, price: str = "100", seconds: int = 2) -> Plan:
    at = T0 + timedelta(seconds=seconds)
    return plan_orders(of, {BTC.symbol: BTC}, {BTC.symbol: Decimal(price)}, at=at, rules=RULES)


def test_a_withdrawn_remainder_is_re_priced_at_the_fresh_close() -> None:
    """30 of 50 filled at 100, now it is 110: (7,000 + 3,300) / 2 / 110 = 46.81818 are wanted, 16.81818 more."""
    plan = planned(
        book(REPRICE, [ended(0, S.CANCELED)], free_quote=Decimal(7_000), held={BTC.symbol: Decimal(30)}), "110"
    )
    (wish,) = plan.intents
    assert (wish.generation, wish.quantity, wish.limit_price) == (1, Decimal("16.81818"), Decimal(110))
    assert plan.lines[0].outcome == "planned: re-priced, 1 of at most 2"


@pytest.mark.parametrize(
    ("weight", "held", "side", "limit"), [("0.5", 0, Side.BUY, "100.31"), ("0", 30, Side.SELL, "99.72")]
)
def test_crossing_goes_no_further_than_the_slippage_rounded_in_our_favour(
    weight: str, held: int, side: Side, limit: str
) -> None:
    """30 bps from 100.013 are 100.313039 and 99.712961: a buy is bounded by 100.31, a sale by 99.72."""
    wanted = decision(timeframe="1h", weights={BTC.symbol: Decimal(weight)})
    plan = planned(book(CROSS, [ended(0, S.CANCELED)], decision=wanted, held={BTC.symbol: Decimal(held)}), "100.013")
    (wish,) = plan.intents
    assert (wish.side, wish.order_type, wish.limit_price) == (side, OrderType.LIMIT, Decimal(limit))
    assert wish.reference_price == Decimal("100.013")


def test_giving_up_says_so_and_lasts_until_the_next_decision() -> None:
    plan = planned(book(GIVE_UP, [ended(0, S.CANCELED)]))
    assert plan.intents == ()
    assert plan.lines[0].outcome == "given up until the next decision: give_up, replacements allowed: 0"
    assert planned(book(GIVE_UP, [])).intents


def test_a_crossing_buy_is_paid_for_at_its_own_limit() -> None:
    """Everything in BTC, up to 10 % beyond the close: 10,000 / (110 * 1.01) = 90.00900 and not a lot more."""
    far = replace(CROSS, max_slippage_bps=Decimal(1_000))
    everything = decision(timeframe="1h", weights={BTC.symbol: Decimal(1)})
    (wish,) = planned(book(far, [ended(0, S.CANCELED)], decision=everything)).intents
    assert (wish.quantity, wish.limit_price) == (Decimal("90.00900"), Decimal(110))
    assert wish.notional * (1 + COST_SLACK) <= 10_000


def test_dust_is_called_dust_also_where_the_policy_would_go_on() -> None:
    """49.96 of 50 BTC are held: 4 USDT are missing, the venue takes 5."""
    of = book(REPRICE, [ended(0, S.CANCELED)], free_quote=Decimal(5_004), held={BTC.symbol: Decimal("49.96")})
    plan = planned(of)
    assert plan.intents == ()
    assert plan.lines[0].delta == Decimal("0.04")
    assert plan.lines[0].outcome.startswith("dust: below the minimum notional of 5")


def test_the_minimum_counts_at_the_price_that_is_sent() -> None:
    """0.05008 BTC are worth 5.008 at the close, and 4.99 at the limit of a sale that crosses: the venue says no."""
    out = decision(timeframe="1h", weights={BTC.symbol: Decimal(0)})
    held = {BTC.symbol: Decimal("0.05008")}
    assert planned(book(CROSS, decision=out, held=held)).intents
    crossing = planned(book(CROSS, [ended(0, S.CANCELED)], decision=out, held=held))
    assert crossing.intents == ()
    assert crossing.lines[0].outcome.startswith("dust")


# whatever happens between


@dataclass
class Story:
    """One decision's orders under a policy, and what the test itself saw of them."""

    policy: RestPolicy
    price: Decimal = Decimal(100)
    held: Decimal = Decimal(0)
    quote: Decimal = Decimal(10_000)
    seconds: int = 0
    served: list[Order] = field(default_factory=list)
    withdrawn: bool = False
    replaced: set[str] = field(default_factory=set)
    gave_up: bool = False

    def plan(self) -> None:
        """Plan, and hold what was planned against the promises."""
        self.seconds += 10
        of = book(self.policy, self.served, free_quote=self.quote, held={BTC.symbol: self.held})
        plan = planned(of, str(self.price), self.seconds)
        shuffled = book(self.policy, self.served[::-1], free_quote=self.quote, held={BTC.symbol: self.held})
        assert planned(shuffled, str(self.price), self.seconds).intents == plan.intents
        given_up = plan.lines[0].outcome.startswith("given up")
        assert not (self.gave_up and plan.intents)
        self.gave_up = self.gave_up or given_up
        for wish in plan.intents:
            after = self.held + sum(o.signed_remainder for o in self.served) + wish.side.sign * wish.quantity
            assert after <= wish.target_quantity if wish.side is Side.BUY else after >= wish.target_quantity
            assert wish.limit_price is not None
            beyond = (wish.limit_price - self.price) * wish.side.sign
            crosses = self.withdrawn and self.policy.when_rested is WhenRested.CROSS
            assert beyond <= (self.price * self.policy.max_slippage_bps * BPS if crosses else 0)
            assert wish.generation == len(self.served)
            planned_at = T0 + timedelta(seconds=self.seconds)
            self.served.append(Order(intent=wish, state=S.PLANNED, sequence=0, changed_at=planned_at))

    def step(self, state: OrderState, number: int = -1) -> None:
        self.seconds += 10
        at = T0 + timedelta(seconds=self.seconds)
        self.served[number] = apply_event(self.served[number], event(self.served[number], state, at=at))

    def fill(self, percent: int, number: int = -1) -> None:
        """Some of what is left, at the order's limit."""
        one = self.served[number]
        quantity = (one.intent.quantity - one.filled_quantity) * percent / 100
        self.served[number] = replace(one, filled_quantity=one.filled_quantity + quantity)
        self.held += one.intent.side.sign * quantity
        self.quote -= one.intent.side.sign * quantity * (one.intent.limit_price or 0)

    def live(self, what: str, percent: int) -> None:
        """What becomes of the newest order, where there is one to become something of."""
        newest = self.served[-1] if self.served and self.served[-1].is_open else None
        if newest is None:
            self._late(what)
            return
        if what == "expires":
            self.step(S.EXPIRED)
            return
        self.step(S.SUBMITTING)
        if what == "lost":
            self.step(S.OUTCOME_UNKNOWN)
            self.step(S.NEVER_ACCEPTED)
            return
        if self.withdrawn:
            self.replaced.add(newest.client_order_id)
        self.step(S.ACCEPTED)
        self.fill(100 if what == "fills" else percent if what == "part" else 0)
        self.step(S.FILLED if what == "fills" else S.CANCELED)
        self.withdrawn = self.withdrawn or what != "fills"

    def _late(self, what: str) -> None:
        """A fill of the oldest canceled order arrives after all, once something followed it."""
        states = [one.state for one in self.served]
        if what == "late" and S.CANCELED in states[:-1]:
            number = states.index(S.CANCELED)
            self.fill(100, number)
            self.step(S.FILLED, number)


policies = st.one_of(
    st.just(GIVE_UP),
    st.builds(RestPolicy, when_rested=st.just(WhenRested.REPRICE), reprice_times=st.integers(1, MAX_GENERATIONS - 1)),
    st.builds(RestPolicy, when_rested=st.just(WhenRested.CROSS), max_slippage_bps=st.integers(1, 150).map(Decimal)),
)
happenings = st.tuples(
    st.sampled_from(["expires", "lost", "fills", "part", "rests", "late"]),
    st.integers(1, 99),
    st.decimals("90", "110", places=2),
)


@given(policy=policies, steps=st.lists(happenings, max_size=15))
def test_no_decision_is_replaced_more_often_than_its_policy_says(
    policy: RestPolicy, steps: list[tuple[str, int, Decimal]]
) -> None:
    """Orders expire unsent, get lost, fill, fill in parts, rest, fill late, and the price moves: the bounds hold."""
    story = Story(policy)
    for what, percent, price in steps:
        story.price = price
        story.plan()
        story.live(what, percent)
        assert len(story.replaced) <= policy.replacements
    assert len(story.served) <= MAX_GENERATIONS


@given(policy=policies)
def test_a_market_that_gives_nothing_ends_at_the_bound(policy: RestPolicy) -> None:
    """Every order rests and is withdrawn: exactly one and the replacements are sent, then it is given up."""
    story = Story(policy)
    for _ in range(MAX_GENERATIONS + 1):
        story.plan()
        story.live("rests", 0)
    assert len(story.served) == min(1 + policy.replacements, MAX_GENERATIONS)
    assert story.gave_up or len(story.served) == MAX_GENERATIONS
