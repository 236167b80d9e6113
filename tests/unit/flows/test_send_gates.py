"""The gates before the one line that can lose money: each closes by itself, sends 0 POSTs and says why."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import Behind, Desk, constant
from tests.examples import ACCOUNT, BTC
from trading.domain.kill_switch import LatchState
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.errors import ConfigurationError, ExchangeUnavailable, OutcomeUnknown, TradingHalted


def ready() -> Desk:
    """A desk with a fresh, otherwise allowed target: placing now would send two orders."""
    desk = Desk(weights={"sma": constant(0.5, 0.1)}).open()
    desk.evaluate()
    return desk


def unreadable() -> bool:
    raise ConnectionError("the API server is down")


def unrecorded_answer() -> Any:
    return None


def codes(desk: Desk) -> set[str]:
    """What the newest check of each order said."""
    return {
        code
        for order in desk.orders()
        for checked in desk.read(lambda books, name=order.client_order_id: books.orders.checks(name))[-1:]
        for code in checked.codes
    }


def test_a_ready_desk_sends() -> None:
    """The control of this file: without a closed gate the two orders go out."""
    desk = ready()
    desk.place()
    assert len(desk.posts()) == 2


@pytest.mark.parametrize(
    ("is_paused", "why"),
    [
        (lambda: True, "kill_switch"),
        (None, "kill_switch"),
        (unreadable, "the API server is down"),
        (unrecorded_answer, "expected yes or no"),
    ],
    ids=["paused", "no latch and nobody to ask", "unreadable", "an answer that is neither yes nor no"],
)
def test_the_pause_keeps_everything_back(is_paused: Callable[[], bool] | None, why: str) -> None:
    """Paused, unknowable, unreadable or nonsense: nothing is sent, and the run says why."""
    desk = ready()
    with pytest.raises(TradingHalted, match=why):
        desk.place(is_paused)
    assert desk.posts() == []
    record = desk.read(lambda books: books.runs.recent("place", 1))[0]
    assert record.outcome == "skipped"
    assert why in record.message
    assert {str(order.state) for order in desk.orders()} == {"planned"}


def test_a_halt_keeps_everything_back_and_the_same_wishes_go_out_after_it() -> None:
    """Halted: 0 POSTs. Released within the minute: exactly the wishes that waited, under their names."""
    desk = ready()
    halt = desk.halt()
    with pytest.raises(TradingHalted, match="kill_switch"):
        desk.place()
    waiting = {order.client_order_id for order in desk.orders()}
    assert desk.posts() == []
    desk.resume(halt)
    desk.place()
    assert {post.client_order_id for post in desk.posts()} == waiting


def test_a_pause_between_two_posts_stops_the_second() -> None:
    """Where no latch is armed the flag is asked before each POST; once it said paused, it stays so."""
    desk, asked = ready(), []

    def later() -> bool:
        asked.append(1)
        return len(asked) == 3  # the batch, the first order, the second order

    report = desk.place(later)
    assert len(desk.posts()) == 1
    assert report.outcomes["halted"] == 1


def test_a_pause_that_nothing_latched_becomes_a_halt_which_unpausing_does_not_end() -> None:
    """Airflow's tables are in another database: whoever reads the pause halts, once, and a signature is asked for."""
    desk = ready()
    for _ in range(2):
        with pytest.raises(TradingHalted):
            desk.place(lambda: True)
    (halt,) = desk.halts()
    assert (halt.author, halt.scope) == ("airflow:pause", "all")
    with pytest.raises(TradingHalted, match=f"halt {halt.halt_id} by airflow:pause"):
        desk.place(lambda: False)
    assert desk.posts() == []
    desk.resume(halt.halt_id)
    desk.place(lambda: False)
    assert len(desk.posts()) == 2


def test_what_the_trigger_latches_is_not_halted_a_second_time() -> None:
    """A halt that was released while the DAG is still paused stays released; the pause itself goes on."""
    desk = ready()
    control = desk.memory_ledger._books.control
    desk.memory_ledger._books.control = Behind(control, latch=lambda: LatchState.ARMED)  # type: ignore[assignment]
    with pytest.raises(TradingHalted):
        desk.place(lambda: True)
    assert desk.halts() == ()
    assert desk.posts() == []


def test_an_armed_latch_is_enough_for_the_command_line() -> None:
    """Where a pause latches in the database, nobody need be asked."""
    desk = ready()
    armed = desk.memory_ledger._books.control
    desk.memory_ledger._books.control = Behind(armed, latch=lambda: LatchState.ARMED)  # type: ignore[assignment]
    desk.place(None)
    assert len(desk.posts()) == 2


def test_a_latch_that_goes_away_between_two_posts_stops_the_second() -> None:
    """An upgrade of Airflow drops it with its table: from then on a pause would halt nothing, and nobody is asked."""
    desk, looks = ready(), []
    armed = desk.memory_ledger._books.control

    def latch() -> LatchState:
        looks.append(1)
        return LatchState.ARMED if len(looks) < 3 else LatchState.ABSENT  # before the first order, in it, in the second

    desk.memory_ledger._books.control = Behind(armed, latch=latch)  # type: ignore[assignment]
    with pytest.raises(TradingHalted, match="expected an armed latch, it is absent"):
        desk.place(None)
    assert len(desk.posts()) == 1


def test_a_halt_between_planning_and_the_post_is_seen() -> None:
    """The last transaction before the POST reads the halts, not the one that planned."""
    desk = ready()
    asked: list[int] = []

    def halts_at_the_last_moment() -> bool:
        asked.append(1)
        if len(asked) == 2:
            desk.halt()
        return False

    with pytest.raises(TradingHalted):
        desk.place(halts_at_the_last_moment)
    assert desk.posts() == []


def test_without_a_lease_nothing_is_sent() -> None:
    """Nobody renewed the dead man's switch for three minutes: entries are kept back."""
    desk = ready()
    for _ in range(4):
        desk.next_minute()
    desk.ingest()
    desk.evaluate()
    desk.reconcile()
    with pytest.raises(TradingHalted, match="state=stale"):
        desk.place()
    assert desk.posts() == []
    assert codes(desk) == {"kill_switch"}
    desk.lease()
    desk.place()
    assert len(desk.posts()) == 2


def test_a_stale_reconciliation_defers() -> None:
    """The last clean comparison is older than 300 s: deferred, recorded once, and sent once it is fresh."""
    desk = ready()
    for _ in range(6):
        desk.next_minute()
    desk.lease()
    desk.ingest()
    desk.evaluate()
    assert desk.place().outcomes["deferred"] == 2
    desk.place()
    assert desk.posts() == []
    assert codes(desk) == {"reconciliation_stale"}
    assert [len(desk.read(lambda books, n=o.client_order_id: books.orders.checks(n))) for o in desk.orders()] == [1, 1]
    desk.reconcile()
    desk.place()
    assert len(desk.posts()) == 2


def test_an_open_discrepancy_defers_though_the_last_agreement_is_fresh() -> None:
    """A difference was found seconds ago and nobody knows yet what it is: no new exposure until it is gone."""
    desk = ready()
    balances = desk.memory_venue.balances

    def one_cent_less() -> Any:
        seen = balances()
        return seen | {"USDT": replace(seen["USDT"], free=seen["USDT"].free - Decimal("0.01"))}

    desk.venue = Behind(desk.memory_venue, balances=one_cent_less)
    assert desk.reconcile().discrepancies == 1
    assert desk.place().outcomes["deferred"] == 2
    assert codes(desk) == {"reconciliation_stale"}
    desk.venue = desk.memory_venue
    desk.reconcile()
    desk.place()
    assert len(desk.posts()) == 2


def test_a_clock_that_is_off_defers() -> None:
    """Ours and the venue's differ by 1.5 s, allowed is 1."""
    desk = ready()
    desk.market = Behind(desk.memory_market, server_time=lambda: desk.clock.now() + timedelta(seconds=1.5))
    assert desk.place().outcomes["deferred"] == 2
    assert codes(desk) == {"clock_skew"}
    assert desk.posts() == []


def unanswered(*_: Any) -> Any:
    raise ExchangeUnavailable("no answer")


def stopped(*_: Any) -> Any:
    raise OSError("the clock cannot be read")


def test_without_the_venues_clock_nothing_is_sent() -> None:
    """No skew is guessed: the run fails, and the wishes wait."""
    desk = ready()
    desk.market = Behind(desk.memory_market, server_time=unanswered)
    with pytest.raises(ExchangeUnavailable):
        desk.place()
    assert desk.posts() == []


@pytest.mark.parametrize("whose", ["ours", "the database's"])
def test_a_clock_that_stops_answering_before_the_post_sends_nothing(whose: str) -> None:
    """All was well while it was planned; the transaction before the POST cannot tell the time, and ends."""
    desk, asked = ready(), []
    desk.worker_clock = Behind(desk.clock)

    def last_moment() -> bool:
        asked.append(1)
        if len(asked) == 2 and whose == "ours":
            desk.worker_clock.now = stopped  # type: ignore[method-assign]
        elif len(asked) == 2:
            desk.memory_ledger._books.now = stopped  # type: ignore[method-assign]
        return False

    with pytest.raises(OSError, match="cannot be read"):
        desk.place(last_moment)
    assert len(asked) == 2
    assert desk.posts() == []


def test_old_candles_defer() -> None:
    """The newest stored candle closed 200 s ago, and nothing newer was ingested."""
    desk = ready()
    for _ in range(3):
        desk.next_minute()
    desk.ingest()
    desk.evaluate()
    desk.limit(max_candle_age_s=1)
    desk.lease()
    desk.reconcile()
    desk.place()
    assert desk.posts() == []
    assert "stale_data" in codes(desk)


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [
        ("max_order_notional", Decimal(100), "max_order_notional"),
        ("max_order_quantity", Decimal(1), "max_order_quantity"),
        ("max_position_notional", Decimal(100), "max_position"),
        ("max_gross_exposure_bps", Decimal(1), "max_gross_exposure"),
        ("price_collar_bps", Decimal(1), "price_collar"),
        ("max_orders_per_minute", 0, "max_orders_per_minute"),
    ],
)
def test_a_limit_of_the_portfolio_keeps_the_order_back(limit: str, value: Any, code: str) -> None:
    """Each limit alone is enough for 0 POSTs, and the check is recorded with its figures."""
    desk = ready()
    desk.limit(**{limit: value})
    report = desk.place()
    assert desk.posts() == []
    assert codes(desk) == {code}
    assert sum(report.outcomes[name] for name in ("denied", "deferred")) == 2
    order = desk.orders()[0]
    figures = desk.read(lambda books: books.orders.checks(order.client_order_id))[-1].figures
    assert any(name.startswith(f"{code}.") for name in figures)


def test_everything_sent_counts_at_once_against_a_cap() -> None:
    """25,000 of BTC fit under 26,000 together; 5,000 of ETH after them do not, though no fill is booked yet."""
    desk = ready()
    desk.limit(max_gross_exposure_bps=Decimal(2_600))
    report = desk.place()
    assert (report.outcomes["sent"], report.outcomes["denied"]) == (1, 1)
    assert len(desk.posts()) == 1


def test_an_unknown_outcome_blocks_its_strategy_and_instrument_alone() -> None:
    """BTC's answer was lost: ETH is sent all the same, BTC is not planned again while nobody knows."""
    desk = ready()

    def loses_btc(request: OrderRequest) -> VenueOrder:
        if request.instrument == BTC.symbol:
            raise OutcomeUnknown("timed out")
        return desk.memory_venue.submit(request)

    desk.venue = Behind(desk.memory_venue, submit=loses_btc)
    assert desk.place().counts == {"planned": 2, "outcome_unknown": 1, "sent": 1}
    desk.venue = desk.memory_venue
    desk.next_minute()
    desk.lease()
    desk.ingest()
    desk.decide(sma=(0.2, 0.3))
    desk.evaluate()
    report = desk.place()
    assert {line.instrument: line.outcome for line in report.lines}[BTC.symbol] == "an order is on its way"
    assert BTC.symbol not in {post.request.instrument for post in desk.posts()}


def test_an_account_that_was_never_opened_sends_nothing() -> None:
    """There is nothing to lock, and the message says what to run."""
    desk = Desk()
    desk.ingest()
    with pytest.raises(ConfigurationError, match=ACCOUNT):
        desk.place()
    assert desk.posts() == []


def test_a_fresh_account_is_halted() -> None:
    """Opened, ingested, decided and reconciled, but nobody released the first halt: 0 POSTs."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    desk.evaluate()
    desk.reconcile()
    desk.lease()
    with pytest.raises(TradingHalted, match="state=halt"):
        desk.place()
    assert desk.posts() == []
