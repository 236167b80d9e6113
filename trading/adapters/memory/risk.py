"""What the pre-trade checks count and remember."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from trading.adapters.memory.control import MemoryControl
from trading.adapters.memory.journal import Journal
from trading.adapters.memory.orders import MemoryOrders
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.limits import AppliedLimits, Limits
from trading.domain.losses import AUTHOR, EquityMark
from trading.domain.traffic import Traffic, TrafficQuestion
from trading.errors import InvariantViolation
from trading.ports.risk import RiskStanding

_SWITCHES = (ControlKind.STRATEGY_DISABLED, ControlKind.STRATEGY_ENABLED)


class MemoryRisk:
    """RiskStore. There is one version here, its own."""

    def __init__(self, journal: Journal, orders: MemoryOrders, control: MemoryControl) -> None:
        self._journal = journal
        self._orders = orders
        self._control = control
        self._marks: defaultdict[str, dict[tuple[date, str], EquityMark]] = defaultdict(dict)
        self._cancels: defaultdict[str, list[datetime]] = defaultdict(list)

    def limits(self, account: str) -> AppliedLimits | None:
        """The limits in force."""
        applied = (event for event in self._control.events(account) if event.kind is ControlKind.LIMITS_APPLIED)
        return applied_limits(next(applied, None))

    def standing(self, account: str) -> RiskStanding:
        """All that stands for the account now."""
        newest: dict[str, ControlEvent] = {}
        for event in self._control.events(account):
            if event.kind in _SWITCHES:
                newest.setdefault(event.scope.removeprefix("strategy:"), event)
        marks = self._marks.get(account, {})
        today = max((day for day, _ in marks), default=None)
        return RiskStanding(
            disabled={
                name: event.reason for name, event in newest.items() if event.kind is ControlKind.STRATEGY_DISABLED
            },
            marks={scope: mark for (day, scope), mark in marks.items() if day == today},
        )

    def traffic(self, question: TrafficQuestion) -> Traffic:
        """How much was sent."""
        asked = (question.strategy, question.instrument)
        since, alike_since = question.since, max(question.alike_since, self._enabled_at(question))
        found = self._orders.submitted_since(question.account, min(since, alike_since))
        recent = [order.intent for order in found if order.signed_at is not None and order.signed_at >= since]
        alike = [
            order
            for order in found
            if order.signed_at is not None
            and order.signed_at >= alike_since
            and (order.intent.strategy, order.intent.instrument) == asked
            and (order.intent.side, order.intent.quantity) == (question.side, question.quantity)
        ]
        return Traffic(
            orders=len(recent),
            of_strategy=sum(intent.strategy == question.strategy for intent in recent),
            of_instrument=sum(intent.instrument == question.instrument for intent in recent),
            cancels=self.cancels_since(question.account, since),
            alike=len(alike),
        )

    def note_cancel(self, account: str, client_order_id: str, at: datetime, run: Run) -> None:  # noqa: ARG002 — PostgreSQL's rows name it
        """A cancel is about to be asked for."""
        if self._orders.get(client_order_id) is None:
            raise InvariantViolation(f"cancel of {client_order_id}: expected a planned order, there is none")
        self._journal.append(self._cancels[account], at)

    def cancels_since(self, account: str, since: datetime) -> int:
        """How many cancels were asked for at or after `since`."""
        return sum(at >= since for at in self._cancels.get(account, ()))

    def marks(self, account: str) -> dict[str, EquityMark]:
        """Each scope's newest mark."""
        marks = self._marks.get(account, {})
        return {scope: marks[day, scope] for day, scope in sorted(marks)}

    def keep_marks(self, account: str, marks: Sequence[EquityMark], run: Run) -> None:  # noqa: ARG002 — PostgreSQL's rows name it
        """Keep these; one of the same scope and UTC day is replaced."""
        for mark in marks:
            self._journal.put(self._marks[account], (mark.day, mark.scope), mark)

    def losses_taken_at(self, account: str) -> dict[str, datetime]:
        """By scope, when a person last released a halt that a loss limit had engaged."""
        events = list(self._control.events(account))
        scopes = {
            event.halt_id: event.scope
            for event in events
            if event.kind is ControlKind.HALT_ENGAGED and event.author == AUTHOR
        }
        taken: dict[str, datetime] = {}
        for event in events:
            if event.kind is ControlKind.HALT_RELEASED and event.halt_id in scopes:
                taken.setdefault(scopes[event.halt_id], event.at)
        return taken

    def _enabled_at(self, question: TrafficQuestion) -> datetime:
        """When a person last enabled the strategy again; the question's own time where nobody did."""
        scope = f"strategy:{question.strategy}"
        enabled = (
            event.at
            for event in self._control.events(question.account)
            if event.kind is ControlKind.STRATEGY_ENABLED and event.scope == scope
        )
        return next(enabled, question.alike_since)


def applied_limits(event: ControlEvent | None) -> AppliedLimits | None:
    """The limits that a control event put in force."""
    if event is None:
        return None
    document, file_hash = event.detail.get("document", ""), event.detail.get("file_hash", "")
    return AppliedLimits(limits=Limits.from_document(document), file_hash=file_hash, author=event.author, at=event.at)
