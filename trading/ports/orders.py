"""Orders and their fills, as flows keep and read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from trading.domain.ids import Run
from trading.domain.ledger import Fill, LedgerTransaction
from trading.domain.order import Order, OrderEvent, OrderIntent
from trading.domain.plan import PlanLine
from trading.domain.position import Position
from trading.domain.risk import CheckedOrder


class OrderStore(Protocol):
    """Intents, their events and the checks before them. Appending needs the account's lock."""

    def plan(self, intent: OrderIntent, run: Run) -> bool:
        """Store the intent and its Planned event. False where the id exists with the same facts.

        Raises InvariantViolation where it exists with others.
        """
        ...

    def append(self, order: Order, event: OrderEvent, checked: CheckedOrder | None = None) -> Order:
        """Append and return the order after it, with the check that led to it recorded where one is handed in.

        Raises InvariantViolation for an illegal step.
        """
        ...

    def get(self, client_order_id: str) -> Order | None:
        """The order, folded."""
        ...

    def by_venue_order_id(self, account: str, instrument: str, venue_order_ids: Sequence[str]) -> dict[str, Order]:
        """Ours among these venue order ids, which venues number by instrument."""
        ...

    def open(self, account: str) -> list[Order]:
        """Everything that is not terminal, oldest first."""
        ...

    def sent_open(self, account: str) -> list[Order]:
        """Those of them that are at the venue, or possibly so."""
        ...

    def generations(self, account: str, strategy: str, as_of: datetime) -> list[Order]:
        """Every order that serves this strategy's decision at as_of."""
        ...

    def events(self, client_order_id: str) -> list[OrderEvent]:
        """Its events in order."""
        ...

    def alarms_since(self, account: str, since: datetime) -> list[OrderEvent]:
        """Denials and unknown outcomes at or after `since`, oldest first."""
        ...

    def submitted_since(self, account: str, since: datetime) -> list[Order]:
        """Orders signed at or after `since`, the oldest signature first."""
        ...

    def record_check(self, checked: CheckedOrder, run: Run) -> bool:
        """Keep what the pre-trade checks said; False where the newest one of this order said the same."""
        ...

    def checks(self, client_order_id: str) -> list[CheckedOrder]:
        """What the checks said, oldest first."""
        ...

    def record_lines(self, account: str, lines: Sequence[PlanLine], run: Run) -> list[PlanLine]:
        """Keep why each instrument did or did not lead to an order; those that are news, in their order.

        News is what no line said before of the same strategy, instrument and decision. Without a decision all is news.
        """
        ...

    def lines(self, run_id: str) -> list[PlanLine]:
        """What a run's planning said, in its order."""
        ...

    def recent(self, account: str, limit: int) -> list[Order]:
        """The newest orders, newest first."""
        ...


class FillStore(Protocol):
    """Fills, each once, each with its balanced ledger transaction."""

    def record(self, fill: Fill, transaction: LedgerTransaction, run: Run) -> bool:
        """Store both; False where the fill is known. Raises InvariantViolation where it is known with other figures."""
        ...

    def known(self, account: str, fill: Fill) -> bool:
        """Whether a fill of this venue, instrument and id is stored."""
        ...

    def newest_at(self, account: str) -> dict[str, datetime]:
        """The newest fill's time by instrument."""
        ...

    def positions(self, account: str) -> dict[tuple[str, str], Position]:
        """(strategy, instrument) → position, folded from fills."""
        ...

    def recent(self, account: str, limit: int) -> list[Fill]:
        """The newest fills, newest first."""
        ...

    def since(self, account: str, since: datetime) -> list[Fill]:
        """Fills with filled_at ≥ since, ascending."""
        ...
