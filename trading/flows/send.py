"""The sender: one durable wish, one POST, one recorded answer.

tx1 decides and makes the wish durable under its deterministic name; then one POST, signed with exactly the time that
tx1 wrote down; tx2 records the answer. Whatever dies in between is found by reconciliation and never sent again.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import LatchState, TradingState
from trading.domain.limits import Limits
from trading.domain.order import Order, OrderRequest, OrderState, request_for
from trading.domain.portfolio import Portfolio
from trading.domain.risk import CheckedOrder, check_order
from trading.domain.snapshot import Verdict
from trading.domain.venue_order import Step, VenueOrder
from trading.errors import DatabaseUnavailable, InvariantViolation, OrderRejected, OutcomeUnknown, TradingHalted
from trading.flows.market_view import MarketView
from trading.flows.order_steps import append_step, log_step, submission
from trading.flows.refused_key import halt_on_refused_key
from trading.flows.risk_snapshot import Conditions, snapshot, traffic_question
from trading.flows.strategy_switch import disable_strategy
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import Venue

logger = logging.getLogger(__name__)

#: Asks Airflow whether the DAG `kill_switch` is paused. Raising means unreadable.
IsPaused = Callable[[], bool]

_PAUSED: Final = "Airflow says that the DAG kill_switch is paused"
#: Why the command line may not send: without a latch it cannot know of a pause.
BLIND: Final = "no latch is armed in this database, and there is no Airflow to ask whether kill_switch is paused"


class Outcome(StrEnum):
    """What became of one intent."""

    SENT = "sent"
    REJECTED = "rejected"
    UNKNOWN = "outcome_unknown"
    DEFERRED = "deferred"
    DENIED = "denied"
    EXPIRED = "expired"
    HALTED = "halted"


class PauseFlag:
    """Airflow's own word on the pause, on top of the latch. What it once forbade stays forbidden for this run."""

    def __init__(self, ask: IsPaused | None) -> None:
        self._ask = ask
        self._said: tuple[TradingState, str] | None = None

    @property
    def paused(self) -> bool:
        """What the last reading said."""
        return self._said is not None and self._said[0] is TradingState.HALT

    def read(self) -> None:
        """Ask again, where there is an Airflow to ask; the command line has none."""
        if self._ask is None or self._said is not None:
            return
        try:
            answer = self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody knows now, so nothing may be sent
            self._said = TradingState.UNREADABLE, f"whether kill_switch is paused could not be read: {error}"
            return
        if not isinstance(answer, bool):
            unclear = f"whether kill_switch is paused: expected yes or no, got {answer!r}"
            self._said = TradingState.UNREADABLE, unclear
        elif answer:
            self._said = TradingState.HALT, _PAUSED

    def verdict(self, *, latched: bool) -> tuple[TradingState, str] | None:
        """The state that it puts every order in, and why; None where it stands in no order's way."""
        if self._ask is None and not latched:
            return TradingState.UNREADABLE, BLIND
        return self._said


class Sender:
    """Sends intents of one account, each at most once."""

    def __init__(
        self, ledger: Ledger, venue: Venue, clock: Clock, *, account: str, portfolio: Portfolio, recv_window_ms: int
    ) -> None:
        self._ledger = ledger
        self._venue = venue
        self._clock = clock
        self._account = account
        self._portfolio = portfolio
        self._recv_window_ms = recv_window_ms
        self._latched: bool | None = None  # unknown before the first order

    def send(
        self, order: Order, view: MarketView, run: Run, *, limits: Limits, epoch: int, pause: PauseFlag
    ) -> tuple[Outcome, str]:
        """Send one intent within `limits`, those in force since the epoch began; what became of it, and why."""
        # Held from before the flag is read until the answer is in, so that a halt can wait for those past the flag.
        with self._ledger.sending(self._account):
            latched = self._is_latched()
            if not latched:
                pause.read()
            conditions = Conditions(
                account=self._account,
                portfolio=self._portfolio,
                limits=limits,
                view=view,
                pause=pause.verdict(latched=latched),
            )
            request, checked = self._authorise(order, conditions, run, epoch=epoch, latched=latched)
            if request is None:
                return _refusal(checked), _why(checked)
            answer: VenueOrder | None = None
            no: OrderRejected | None = None
            try:
                answer = self._venue.submit(request)  # the only line that can lose money
            except OrderRejected as refused:
                outcome, why = Outcome.REJECTED, str(refused)
                step, no = Step(state=OrderState.REJECTED, reason=f"{refused.code}: {refused}"), refused
            except OutcomeUnknown as unknown:
                outcome, why = Outcome.UNKNOWN, str(unknown)
                step = Step(state=OrderState.OUTCOME_UNKNOWN, reason=str(unknown))
            else:
                outcome, why = Outcome.SENT, ""
                step = Step(state=OrderState.ACCEPTED, reason="the venue's answer")
        # Outside the fence, which is lost with its connection: the answer may be recorded over another one.
        try:
            self._record(order, step, run, answer)
        except DatabaseUnavailable:  # it may be stored all the same: read again by its key, and appended once
            self._record(order, step, run, answer)
        if no is not None:
            halt_on_refused_key(self._ledger, self._account, no, at=self._clock.now(), run=run)
        return outcome, why

    def _is_latched(self) -> bool:
        """Whether a pause latches in the database itself, so that asking once a batch is enough; tx1 looks again."""
        if self._latched is None:
            with self._ledger.transaction() as books:
                self._latched = books.control.latch() is LatchState.ARMED
        return self._latched

    def _authorise(
        self, order: Order, conditions: Conditions, run: Run, *, epoch: int, latched: bool
    ) -> tuple[OrderRequest | None, CheckedOrder]:
        """tx1: epoch, freshness, kill switch and risk; then the signed wish is made durable. None: not to be sent."""
        with self._ledger.transaction() as books:
            question = traffic_question(order.intent, conditions.limits, self._clock.now())
            books.read_ahead(order.client_order_id, question)
            account = books.accounts.lock(self._account)
            if account.epoch != epoch:
                raise TradingHalted(
                    f"a newer run places for account {self._account}: expected epoch {epoch}, it is {account.epoch}"
                )
            if latched and (latch := books.control.latch()) is not LatchState.ARMED:
                raise TradingHalted(
                    f"pausing kill_switch would halt nothing: expected an armed latch, it is {latch}; `trading db"
                    " migrate` arms it"
                )
            current = self._unsent(books, order)
            at = self._clock.now()
            checked = check_order(snapshot(books, current.intent, conditions, question, at=at))
            if checked.verdict is not Verdict.ALLOWED:
                self._refuse(books, current, checked, at, run)
                return None, checked
            request = request_for(current.intent, at, self._recv_window_ms)
            signed = submission(current, request, at=at, run=run, epoch=epoch)
            after = books.orders.append(current, signed, checked)
        log_step(after, Step(state=after.state, reason=""))  # once it is so, and behind the lock
        return request, checked

    @staticmethod
    def _refuse(books: Books, order: Order, checked: CheckedOrder, at: datetime, run: Run) -> None:
        """Record why the order is not sent, and what follows from it."""
        if books.orders.record_check(checked, run) and checked.verdict is Verdict.DEFERRED:
            _log_deferral(order, checked)
        if checked.verdict is Verdict.DENIED:
            state = OrderState.EXPIRED if "expired" in checked.codes else OrderState.DENIED
            append_step(books, order, Step(state=state, reason=_why(checked)), at=at, run=run)
            if "repeated_order" in checked.codes:
                disable_strategy(books, order.intent, _why(checked), at=at, run=run)

    @staticmethod
    def _unsent(books: Books, order: Order) -> Order:
        """The order as it stands now: still unsent, since this run holds the newest epoch."""
        current = books.orders.get(order.client_order_id)
        if current is None or current.state is not OrderState.PLANNED:
            state = current.state if current else "nothing"
            raise InvariantViolation(f"order {order.client_order_id}: expected planned before sending, got {state}")
        return current

    def _record(self, order: Order, step: Step, run: Run, answer: VenueOrder | None = None) -> None:
        """tx2: the answer; safe to do twice. Where reconciliation was faster, what it proved stands."""
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            current = books.orders.get(order.client_order_id)
            if current is None or current.state is not OrderState.SUBMITTING:
                return
            venue_order_id = answer.venue_order_id if answer else None
            append_step(books, current, step, at=self._clock.now(), run=run, venue_order_id=venue_order_id)


def _refusal(checked: CheckedOrder) -> Outcome:
    """What a refused order is called: halted where the kill switch alone stands in the way."""
    if checked.verdict is Verdict.DENIED:
        return Outcome.EXPIRED if "expired" in checked.codes else Outcome.DENIED
    return Outcome.HALTED if "kill_switch" in checked.codes else Outcome.DEFERRED


def _why(checked: CheckedOrder) -> str:
    """The codes with their figures, in one line."""
    figures = ", ".join(f"{name}={value}" for name, value in sorted(checked.figures.items()))
    return f"{'; '.join(checked.codes)} ({figures})"


def _log_deferral(order: Order, checked: CheckedOrder) -> None:
    """Log what keeps an order waiting; a denial is a step of its life, which logs itself."""
    log_event(
        logger,
        "order_deferred",
        level=logging.WARNING,
        client_order_id=order.client_order_id,
        strategy=order.intent.strategy,
        symbol=order.intent.instrument,
        reason=_why(checked),
    )
