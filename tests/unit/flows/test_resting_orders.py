"""Limit orders that rested too long, through the whole desk: given up, re-priced, crossing; in parts, and over deaths.

The strategy decides each hour and is planned each minute, so that a decision outlives its orders. Unless a test says
otherwise the market stands still at 100: a bid at the close rests, and an order that crosses takes at 100.02.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import HISTORY, LIMITS, Behind, Desk, DiedHere, constant, plan, portfolio
from tests.examples import ACCOUNT, BTC, T0
from trading.domain.market import CandleSeries, to_ms
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderRequest, OrderState, Side
from trading.domain.portfolio import Portfolio
from trading.domain.resting import RestPolicy, WhenRested
from trading.domain.venue_order import VenueOrder
from trading.errors import TradingHalted

GIVE_UP = RestPolicy(when_rested=WhenRested.GIVE_UP)
REPRICE = RestPolicy(when_rested=WhenRested.REPRICE, reprice_times=2)
CROSS = RestPolicy(when_rested=WhenRested.CROSS, max_slippage_bps=Decimal(30))
POLICIES = pytest.mark.parametrize("policy", [GIVE_UP, REPRICE, CROSS], ids=lambda policy: str(policy.when_rested))

#: Low, close and volume of one minute.
Minute = tuple[float, float, float]
STILL: Minute = (100.0, 100.0, 10_000.0)


def minutes(*told: Minute, rest: Minute = STILL) -> CandleSeries:
    """One-minute candles around T0: `told` from T0 on, all others like `rest`; each opens at the close before it."""
    before = int(HISTORY.total_seconds() // 60)
    rows = [rest] * before + [*told] + [rest] * (before - len(told))
    opens = [100.0] + [close for _, close, _ in rows[:-1]]
    return CandleSeries.from_rows(
        [
            (to_ms(T0 - HISTORY) + number * 60_000, first, max(first, close), min(first, low), close, volume)
            for number, (first, (low, close, volume)) in enumerate(zip(opens, rows, strict=True))
        ]
    )


def hours(first_ms: int = to_ms(T0 - timedelta(hours=4))) -> CandleSeries:
    """What the strategy looks at: four hours at 100 until T0."""
    return CandleSeries.from_rows([(first_ms + hour * 3_600_000, *[100.0] * 4, 600_000.0) for hour in range(4)])


def of_the_hour(policy: RestPolicy) -> Portfolio:
    """One strategy of BTC with half of the account; its orders rest for 50 s."""
    hourly = plan(timeframe="1h", instruments=(BTC.symbol,), rebalance_threshold_bps=Decimal(0), resting=policy)
    limits = replace(LIMITS, max_candle_age_s=7_200)
    return portfolio(hourly, instruments=(BTC.symbol,), order_type="limit", rest_s=50, limits=limits)


def desk_of(policy: RestPolicy, candles: CandleSeries | None = None, weight: float = 0.5, **more: Any) -> Desk:
    series = {(BTC.symbol, "1m"): candles or minutes(), (BTC.symbol, "1h"): hours()}
    return Desk(portfolio_=of_the_hour(policy), weights={"sma": constant(weight)}, candles=series, **more).open()


def look(desk: Desk) -> None:
    """What one minute's runs do: reconcile, place, reconcile."""
    desk.lease()
    desk.ingest(timeframe="1h", history=timedelta(hours=4))
    desk.evaluate()
    desk.reconcile()
    desk.place()
    desk.reconcile()


def live(desk: Desk, looks: int) -> None:
    """So many minutes, with a look at the start of each."""
    for _ in range(looks):
        look(desk)
        desk.next_minute()


def states(desk: Desk) -> list[str]:
    return [str(order.state) for order in desk.orders()]


def newest_outcome(desk: Desk) -> str:
    run_id = desk.read(lambda books: books.runs.recent("place", 1)[0].run.run_id)
    lines = desk.read(lambda books: books.orders.lines(run_id))
    assert len(lines) == 1
    return str(lines[0].outcome)


def held(desk: Desk) -> Decimal:
    positions = desk.read(lambda books: books.fills.positions(ACCOUNT))
    return sum((position.quantity for position in positions.values()), Decimal(0))


def accepted(desk: Desk) -> list[OrderRequest]:
    return [post.request for post in desk.posts() if post.accepted]


# each policy in a market that gives nothing at the close


def test_given_up_is_withdrawn_once_and_not_planned_again_for_this_decision() -> None:
    desk = desk_of(GIVE_UP)
    live(desk, 5)
    assert states(desk) == ["canceled"]
    assert newest_outcome(desk) == "given up until the next decision: give_up, replacements allowed: 0"
    assert desk.totals() == desk.venue_totals() == {"USDT": Decimal(100_000)}


def test_re_pricing_follows_the_close_so_often_as_allowed_and_is_then_given_up() -> None:
    """The stored close of the hour stays 100, so each of the three orders bids 100."""
    desk = desk_of(REPRICE)
    live(desk, 7)
    assert states(desk) == ["canceled"] * 3
    assert [order.intent.generation for order in desk.orders()] == [0, 1, 2]
    assert len({order.client_order_id for order in desk.orders()}) == 3
    assert newest_outcome(desk) == "given up until the next decision: reprice, replacements allowed: 2"


def test_crossing_takes_what_is_left_at_no_worse_than_the_slippage() -> None:
    """250 BTC are wanted; the second order may pay 100.30, and pays the market's 100.02."""
    desk = desk_of(CROSS)
    live(desk, 4)
    assert states(desk) == ["canceled", "filled"]
    assert [request.limit_price for request in accepted(desk)] == [Decimal(100), Decimal("100.3")]
    fills = desk.read(lambda books: books.fills.recent(ACCOUNT, 10))
    assert [(fill.price, fill.quantity) for fill in fills] == [(Decimal("100.02"), Decimal(250))]
    assert desk.totals() == desk.venue_totals()


def test_crossing_happens_once_and_beyond_the_slippage_not_at_all() -> None:
    """The market ran to 101 after the close: the crossing order rests at 100.30, is withdrawn, and that is all."""
    desk = desk_of(CROSS, minutes(rest=(101.0, 101.0, 10_000.0)))
    live(desk, 5)
    assert states(desk) == ["canceled", "canceled"]
    assert newest_outcome(desk) == "given up until the next decision: cross, replacements allowed: 1"
    assert held(desk) == 0


def test_the_next_decision_plans_anew() -> None:
    """Given up at 12:00; the decision of 12:01 begins again at generation 0."""
    one_minute = replace(
        of_the_hour(GIVE_UP), strategies=(plan(instruments=(BTC.symbol,), resting=GIVE_UP),), rest_s=20
    )
    desk = Desk(portfolio_=one_minute, weights={"sma": constant(0.5)}).open()
    desk.cycle()
    desk.clock.advance(25)
    desk.cycle()
    desk.cycle()
    assert states(desk) == ["canceled"]
    desk.next_minute()
    desk.cycle()
    assert states(desk) == ["canceled", "accepted"]
    assert [order.intent.generation for order in desk.orders()] == [0, 0]
    assert desk.orders()[0].intent.as_of < desk.orders()[1].intent.as_of


# partial fills

#: The first minute trades through a bid of 100 with a volume of which ours is 100 BTC.
DIPS_ONCE = minutes((99.0, 100.0, 1_000.0))


@POLICIES
def test_what_was_filled_counts_and_the_rest_goes_on_by_the_policy(policy: RestPolicy) -> None:
    """100 of 250 BTC fill (99.9 after the fee) and the rest is withdrawn; later orders serve what is missing of 250."""
    desk = desk_of(policy, DIPS_ONCE)
    live(desk, 7)
    first, *others = desk.orders()
    assert (first.state, first.filled_quantity) == (OrderState.CANCELED, Decimal(100))
    expected = {"give_up": [], "reprice": ["canceled", "canceled"], "cross": ["filled"]}
    assert [str(order.state) for order in others] == expected[policy.when_rested]
    for order in others:
        # The fee made the strategy poorer by 10 USDT, half of which it wants in BTC.
        assert order.intent.target_quantity == Decimal("249.95")
        assert order.intent.quantity == Decimal("150.05")
    assert held(desk) == Decimal("99.9") + sum(order.filled_quantity * Decimal("0.999") for order in others)
    assert desk.totals() == desk.venue_totals()


def test_a_crossing_order_that_fills_in_part_is_withdrawn_and_not_crossed_again() -> None:
    """100 of 250 BTC are taken, and 100 more come to it while it rests at its bound; the last 50 are given up."""
    desk = desk_of(CROSS, minutes(rest=(100.0, 100.0, 1_000.0)))
    live(desk, 6)
    assert [(str(o.state), o.filled_quantity) for o in desk.orders()] == [("canceled", 0), ("canceled", 200)]
    assert newest_outcome(desk) == "given up until the next decision: cross, replacements allowed: 1"
    assert held(desk) == Decimal("199.8")
    assert desk.totals() == desk.venue_totals()


# dust


def test_dust_is_told_once_a_decision_and_stays_in_the_position(caplog: pytest.LogCaptureFixture) -> None:
    """All but 0.03 of 250 BTC fill: what is missing then, fee included, is below a minimum of 30 USDT."""
    desk = desk_of(REPRICE, minutes((99.0, 100.0, 2_499.7)))
    caplog.set_level(logging.INFO)
    desk.memory_market._instruments[BTC.symbol] = replace(BTC, min_notional=Decimal(30))
    live(desk, 6)
    assert [str(order.state) for order in desk.orders()] == ["canceled"]
    assert newest_outcome(desk).startswith("dust: below the minimum notional of 30")
    told = [record for record in caplog.records if getattr(record, "outcome", "").startswith("dust")]
    assert [record.message for record in told] == ["target_planned"]
    assert held(desk) == Decimal("249.72003")  # 249.97 less the fee of 10 bps
    assert desk.totals() == desk.venue_totals()


def test_dust_that_is_held_is_not_sold_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """0.2 BTC are bought; on the way out the venue takes no order below 30 USDT: they stay, told once a decision."""
    desk = Desk(portfolio_=portfolio(plan(instruments=(BTC.symbol,))), weights={"sma": constant(0.0004)}).open()
    desk.portfolio = replace(
        desk.portfolio, strategies=(plan(instruments=(BTC.symbol,), rebalance_threshold_bps=ZERO),)
    )
    desk.cycle()
    desk.memory_market._instruments[BTC.symbol] = replace(BTC, min_notional=Decimal(30))
    desk.ingest()
    desk.weights["sma"] = constant(0.0)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        desk.next_minute()
        for _ in range(3):
            desk.cycle()
    assert states(desk) == ["filled"]
    assert newest_outcome(desk).startswith("dust: below the minimum notional of 30")
    assert len([record for record in caplog.records if getattr(record, "outcome", "").startswith("dust")]) == 2
    assert held(desk) == Decimal("0.1998")
    assert desk.totals() == desk.venue_totals()


# deaths between the withdrawal and what replaces it


def bound(desk: Desk, policy: RestPolicy) -> None:
    """What holds whatever died: the replacements, one venue order an intent, and the target."""
    orders: Sequence[Order] = desk.orders()
    assert len(accepted(desk)) <= 1 + policy.replacements
    assert len({request.client_order_id for request in accepted(desk)}) == len(accepted(desk))
    assert all(order.intent.side is Side.BUY for order in orders)
    bought = sum(order.filled_quantity for order in orders)
    assert bought <= max(order.intent.target_quantity for order in orders) + bought / 1_000  # the fee, in base


class Dies:
    """The venue's port of a process that dies at the `nth` call of `method`, before or after it."""

    def __init__(self, desk: Desk, method: str, *, after: bool, nth: int = 1) -> None:
        self._whole = desk.venue
        self._left = nth
        self._method, self._after = method, after
        desk.venue = Behind(desk.venue, **{method: self._call})  # type: ignore[assignment]

    def _call(self, *args: Any, **more: Any) -> Any:
        self._left -= 1
        if self._left != 0:
            return getattr(self._whole, self._method)(*args, **more)
        if self._after:
            getattr(self._whole, self._method)(*args, **more)
        raise DiedHere


@POLICIES
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("method", "nth"), [("cancel", 1), ("open_orders", 3), ("submit", 2)], ids=["withdrawal", "its look", "replacement"]
)
@pytest.mark.parametrize("candles", [None, DIPS_ONCE], ids=["nothing filled", "partly filled"])
def test_a_death_between_costs_time_and_never_an_order_too_many(
    policy: RestPolicy, method: str, nth: int, after: bool, candles: CandleSeries | None
) -> None:
    """Canceled at the venue and not recorded, recorded and not replaced, replaced and not answered: the rows tell."""
    undisturbed = desk_of(policy, candles)
    live(undisturbed, 8)
    desk = desk_of(policy, candles)
    whole = desk.venue
    Dies(desk, method, after=after, nth=nth)
    died = 0
    for _ in range(8):
        try:
            look(desk)
        except DiedHere:
            died, desk.venue = died + 1, whole
        desk.next_minute()
        bound(desk, policy)
    assert died == (0 if policy is GIVE_UP and method == "submit" else 1)
    assert held(desk) == held(undisturbed)
    assert len(accepted(desk)) == len(accepted(undisturbed))
    assert not any(order.is_open for order in desk.orders())
    assert desk.totals() == desk.venue_totals()


@POLICIES
def test_an_answer_that_was_lost_is_looked_up_and_counted(policy: RestPolicy) -> None:
    """Each order's answer is lost: none is replaced before it was found at the venue, and all of them count."""
    desk = desk_of(policy)
    whole = desk.venue.submit

    def unanswered(request: OrderRequest) -> VenueOrder:
        whole(request)
        raise DiedHere

    desk.venue = Behind(desk.venue, submit=unanswered)  # type: ignore[assignment]
    for _ in range(10):
        with suppress(DiedHere):
            look(desk)
        desk.next_minute()
        desk.reconcile()
        bound(desk, policy)
    assert len(accepted(desk)) == 1 + policy.replacements


@POLICIES
def test_a_replacement_that_was_committed_and_never_sent_is_no_replacement(policy: RestPolicy) -> None:
    """The process dies between the plan's commit and the send, and is found again when the wish has expired."""
    desk = desk_of(policy)
    look(desk)
    desk.next_minute()

    def dies() -> bool:
        raise DiedHere

    desk.reconcile()
    with suppress(DiedHere):
        desk.place(dies)
    desk.clock.advance(301)
    live(desk, 7)
    assert len(accepted(desk)) == 1 + policy.replacements
    assert states(desk).count("expired") == (0 if policy is GIVE_UP else 1)
    bound(desk, policy)


def test_a_halt_between_keeps_the_replacement_back_and_a_resume_lets_it_go() -> None:
    """Withdrawing goes on while trading is halted; what replaces the order waits."""
    desk = desk_of(REPRICE)
    look(desk)
    halt = desk.halt()
    desk.next_minute()
    desk.reconcile()
    with pytest.raises(TradingHalted):
        desk.place()
    assert states(desk) == ["canceled", "planned"]
    desk.resume(halt)
    live(desk, 6)
    assert states(desk) == ["canceled"] * 3
