"""What the sender makes of each answer: the outcome, the recorded step with its reason, and who was faster."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import RECV_WINDOW_MS, Behind, Desk, constant, with_limits
from tests.examples import ACCOUNT, BTC, intent
from trading.domain.order import Order, OrderRequest, OrderState
from trading.domain.venue_order import VenueOrder
from trading.errors import InvariantViolation, OrderRejected, OutcomeUnknown, TradingHalted
from trading.flows.market_view import view_market
from trading.flows.send import Outcome, PauseFlag, Sender


def waiting() -> Desk:
    """A desk with one wish of 250 BTC that was planned and not sent."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    with pytest.raises(TradingHalted):
        desk.place(unreadable)
    return desk


def unreadable() -> bool:
    """Airflow does not say whether kill_switch is paused: what was planned waits, and nobody halted."""
    raise ConnectionError("no answer")


def flag(answer: bool | None) -> PauseFlag:
    """What Airflow says; None: there is none to ask."""
    return PauseFlag(None if answer is None else lambda: answer)


def send(desk: Desk, order: Order | None = None, *, paused: bool | None = False) -> tuple[Outcome, str]:
    sender = Sender(
        desk.ledger,
        desk.venue,
        desk.clock,
        account=ACCOUNT,
        portfolio=desk.portfolio,
        recv_window_ms=RECV_WINDOW_MS,
    )
    epoch = desk.read(lambda books: books.accounts.get(ACCOUNT).epoch)
    view = view_market(desk.ledger, desk.market, desk.clock, desk.portfolio)
    return sender.send(
        order or desk.orders()[0],
        view,
        desk.run_of("send"),
        limits=desk.portfolio.limits,
        epoch=epoch,
        pause=flag(paused),
    )


def raising(error: Exception) -> Callable[[OrderRequest], VenueOrder]:
    def submit(_: OrderRequest) -> VenueOrder:
        raise error

    return submit


def test_an_accepted_order_carries_the_venues_id() -> None:
    """The answer's id is kept, with what it rests on; nothing more is to be said."""
    desk = waiting()
    assert send(desk) == (Outcome.SENT, "")
    (order,), (theirs,) = desk.orders(), desk.memory_venue.orders()
    assert (order.state, order.venue_order_id) == (OrderState.ACCEPTED, theirs.venue_order_id)
    assert order.reason == "the venue's answer"


def test_the_write_ahead_row_names_the_epoch_and_the_run_that_sent() -> None:
    """Each step names its run; the submission alone its epoch, and needs no reason."""
    desk = waiting()
    epoch = desk.read(lambda books: books.accounts.get(ACCOUNT).epoch)
    send(desk)
    name = desk.orders()[0].client_order_id
    planned, submitting, accepted = desk.read(lambda books: books.orders.events(name))
    assert (submitting.epoch, submitting.reason) == (epoch, "")
    assert (planned.epoch, accepted.epoch) == (None, None)
    assert [event.dag_id for event in (planned, submitting, accepted)] == ["place", "send", "send"]
    assert submitting.run_id == accepted.run_id
    assert submitting.run_id.startswith("send__")


@pytest.mark.parametrize(
    ("error", "outcome", "why", "state", "reason"),
    [
        (OrderRejected("-2010", "Market is closed."), Outcome.REJECTED, "Market is closed.", "rejected", "-2010: "),
        (OutcomeUnknown("timed out"), Outcome.UNKNOWN, "timed out", "outcome_unknown", ""),
    ],
)
def test_what_the_venue_did_not_take_is_recorded_with_its_words(
    error: Exception, outcome: Outcome, why: str, state: str, reason: str
) -> None:
    """A definite no carries the venue's code; an unknown outcome what went wrong. Neither has a venue id."""
    desk = waiting()
    desk.venue = Behind(desk.memory_venue, submit=raising(error))
    assert send(desk) == (outcome, why)
    (order,) = desk.orders()
    assert (str(order.state), order.reason, order.venue_order_id) == (state, reason + why, None)


@pytest.mark.parametrize("answered", [True, False], ids=["then the answer comes", "then the answer is lost"])
def test_what_reconciliation_proved_before_the_answer_stands(answered: bool) -> None:
    """It found the order and its fills while the POST was under way: the late answer changes nothing."""
    desk = waiting()

    def submit(request: OrderRequest) -> VenueOrder:
        taken = desk.memory_venue.submit(request)
        desk.reconcile()
        if not answered:
            raise OutcomeUnknown("timed out")
        return taken

    desk.venue = Behind(desk.memory_venue, submit=submit)
    assert send(desk)[0] is (Outcome.SENT if answered else Outcome.UNKNOWN)
    assert str(desk.orders()[0].state) == "filled"
    assert desk.totals() == desk.venue_totals()


def test_the_fence_is_held_during_the_post_and_given_up_after_it() -> None:
    """A halt that drains the account's fence waits for exactly this."""
    desk, held = waiting(), []

    def submit(request: OrderRequest) -> VenueOrder:
        held.append(desk.memory_ledger.senders(ACCOUNT))
        return desk.memory_venue.submit(request)

    desk.venue = Behind(desk.memory_venue, submit=submit)
    send(desk)
    assert (held, desk.memory_ledger.senders(ACCOUNT)) == ([1], 0)


def test_an_order_is_not_sent_a_second_time() -> None:
    """Whoever still holds it as planned is told how it stands, and nothing is posted."""
    desk = waiting()
    (order,) = desk.orders()
    send(desk, order)
    with pytest.raises(InvariantViolation, match=f"{order.client_order_id}: expected planned .*, got accepted"):
        send(desk, order)
    assert len(desk.posts()) == 1


def test_an_order_that_was_never_planned_is_not_sent() -> None:
    """There is no durable wish of that name."""
    desk = waiting()
    stranger = replace(desk.orders()[0], intent=intent(instrument=BTC.symbol, generation=9))
    with pytest.raises(InvariantViolation, match="expected planned before sending, got nothing"):
        send(desk, stranger)
    assert desk.posts() == []


@pytest.mark.parametrize(
    ("paused", "state", "because"),
    [
        (True, "halt", "Airflow says that the DAG kill_switch is paused"),
        (
            None,
            "unreadable",
            "no latch is armed in this database, and there is no Airflow to ask whether kill_switch is paused",
        ),
    ],
)
def test_a_halted_order_says_who_said_so(paused: bool | None, state: str, because: str) -> None:
    """Paused, or nobody to ask: two different errands for whoever reads it."""
    desk = waiting()
    outcome, why = send(desk, paused=paused)
    assert outcome is Outcome.HALTED
    assert f"kill_switch.because={because}, " in why
    assert f"kill_switch.state={state})" in why


def test_a_denial_names_every_code_and_every_figure_in_one_line() -> None:
    """The same line is returned and recorded as the step's reason."""
    desk = waiting()
    desk.portfolio = with_limits(desk.portfolio, max_order_quantity=Decimal(1))
    outcome, why = send(desk, paused=True)
    assert outcome is Outcome.DENIED
    assert why == (
        "kill_switch; max_order_quantity ("
        "kill_switch.because=Airflow says that the DAG kill_switch is paused, kill_switch.purpose=entry, "
        "kill_switch.state=halt, max_order_quantity.limit=1, max_order_quantity.of=account, "
        "max_order_quantity.quantity=250)"
    )
    (order,) = desk.orders()
    assert (str(order.state), order.reason) == ("denied", why)


def test_a_flag_that_was_never_read_does_not_say_paused() -> None:
    """And where there is nobody to ask, reading it changes nothing."""
    asked: list[Any] = []
    unread, nobody = PauseFlag(lambda: bool(asked.append(1))), flag(None)
    nobody.read()
    assert (unread.paused, nobody.paused) == (False, False)
    assert (unread.verdict(latched=False), nobody.verdict(latched=True)) == (None, None)
    assert asked == []


@pytest.mark.parametrize("answer", [True, "unreadable"])
def test_what_the_flag_once_forbade_stays_forbidden_for_the_run(answer: object) -> None:
    """A later answer, or one at last, takes nothing back: the batch began under it."""
    answers = iter([answer, False])

    def ask() -> Any:
        said = next(answers)
        if said == "unreadable":
            raise ConnectionError("no answer")
        return said

    pause = PauseFlag(ask)
    for _ in range(2):
        pause.read()
        verdict = pause.verdict(latched=True)
        assert verdict is not None
        assert verdict[0] == ("halt" if answer is True else "unreadable")
    assert next(answers) is False  # nobody asked again
