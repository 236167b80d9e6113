"""Intents, their events and the checks before them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from trading.adapters.postgres.accounts import PostgresAccounts
from trading.adapters.postgres.connection import Question, Row, Session, values_of
from trading.domain.ids import Run, chain_hash
from trading.domain.order import (
    Order,
    OrderEvent,
    OrderIntent,
    OrderState,
    OrderType,
    Purpose,
    Side,
    apply_event,
)
from trading.domain.plan import PlanLine
from trading.domain.risk import CheckedOrder
from trading.domain.snapshot import Verdict
from trading.errors import InvariantViolation

_INTENT: Final = frozenset(field.name for field in fields(OrderIntent))


class PostgresOrders:
    """OrderStore over the tables order_intent, order_event and order_check and the view order_current."""

    def __init__(self, session: Session, accounts: PostgresAccounts) -> None:
        self._session = session
        self._accounts = accounts

    def plan(self, intent: OrderIntent, run: Run) -> bool:
        """Store the intent and its Planned event. False where the id exists with the same facts."""
        self._lock(intent.account)
        if not self._session.run("plan_order", {**values_of(intent), "run_id": run.run_id, "dag_id": run.dag_id}):
            self._require_same(intent)
            return False
        planned = OrderEvent(
            client_order_id=intent.client_order_id,
            sequence=0,
            state=OrderState.PLANNED,
            at=intent.planned_at,
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        self._append(intent.account, planned)
        return True

    def append(self, order: Order, event: OrderEvent, checked: CheckedOrder | None = None) -> Order:
        """Append and return the order after it. Raises InvariantViolation for an illegal step."""
        if event.client_order_id != order.client_order_id:
            raise InvariantViolation(
                f"order {order.client_order_id}: expected an event of its own, got one of {event.client_order_id}"
            )
        self._lock(order.intent.account)
        after = apply_event(order, event)
        check = () if checked is None else (("record_check", _check_facts(checked, event.run_id, event.dag_id)),)
        row = self._append(order.intent.account, event, *check)
        return replace(after, filled_quantity=row["filled_quantity"])

    def get(self, client_order_id: str) -> Order | None:
        """The order, folded."""
        row = self._session.one("get_order", {"client_order_id": client_order_id})
        return None if row is None else _order(row)

    def by_venue_order_id(self, account: str, instrument: str, venue_order_ids: Sequence[str]) -> dict[str, Order]:
        """Ours among these venue order ids."""
        wanted = {"account": account, "instrument": instrument, "venue_order_ids": list(venue_order_ids)}
        return {row["known_as"]: _order(row) for row in self._session.all("orders_by_venue_order", wanted)}

    def open(self, account: str) -> list[Order]:
        """Everything that is not terminal, oldest first."""
        return self._orders("open_orders", account=account)

    def sent_open(self, account: str) -> list[Order]:
        """Those of them that are at the venue, or possibly so."""
        return self._orders("sent_orders", account=account)

    def generations(self, account: str, strategy: str, as_of: datetime) -> list[Order]:
        """Every order that serves this strategy's decision at as_of."""
        return self._orders("order_generations", account=account, strategy=strategy, as_of=as_of)

    def events(self, client_order_id: str) -> list[OrderEvent]:
        """Its events in order."""
        rows = self._session.all("order_events", {"client_order_id": client_order_id})
        return [OrderEvent(state=OrderState(row.pop("state")), **row) for row in rows]

    def alarms_since(self, account: str, since: datetime) -> list[OrderEvent]:
        """Denials and unknown outcomes at or after `since`, oldest first."""
        rows = self._session.all("order_alarms", {"account": account, "since": since})
        return [OrderEvent(state=OrderState(row.pop("state")), **row) for row in rows]

    def submitted_since(self, account: str, since: datetime) -> list[Order]:
        """Orders signed at or after `since`, oldest first."""
        return self._orders("orders_signed_since", account=account, since=since)

    def record_check(self, checked: CheckedOrder, run: Run) -> bool:
        """Keep what the pre-trade checks said; False where the newest one of this order said the same."""
        if self._session.run("record_check", _check_facts(checked, run.run_id, run.dag_id)):
            return True
        if self._session.one("order_exists", {"client_order_id": checked.client_order_id}) is None:
            raise InvariantViolation(f"check of {checked.client_order_id}: expected a planned order, there is none")
        return False

    def checks(self, client_order_id: str) -> list[CheckedOrder]:
        """What the checks said, oldest first."""
        rows = self._session.all("order_checks", {"client_order_id": client_order_id})
        return [CheckedOrder(verdict=Verdict(row.pop("verdict")), codes=tuple(row.pop("codes")), **row) for row in rows]

    def record_lines(self, account: str, lines: Sequence[PlanLine], run: Run) -> list[PlanLine]:
        """Keep why each instrument did or did not lead to an order; those that are news, in their order."""
        news = []
        for line in lines:
            facts = {**values_of(line), "account": account, "run_id": run.run_id, "dag_id": run.dag_id}
            row = self._session.one("record_plan_line", facts)
            if row is not None and row["is_news"]:
                news.append(line)
        return news

    def lines(self, run_id: str) -> list[PlanLine]:
        """What a run's planning said, in its order."""
        return [PlanLine(**row) for row in self._session.all("plan_lines", {"run_id": run_id})]

    def recent(self, account: str, limit: int) -> list[Order]:
        """The newest orders, newest first."""
        return self._orders("recent_orders", account=account, limit=max(0, limit))

    def _orders(self, query: str, **parameters: object) -> list[Order]:
        return [_order(row) for row in self._session.all(query, parameters)]

    def _lock(self, account: str) -> None:
        """The chain's head is only known to whoever holds the account."""
        if account not in self._session.chains:
            self._accounts.lock(account)

    def _append(self, account: str, event: OrderEvent, *before: Question) -> Row:
        """Write the event as the next link of the account's chain, `before` on the way; what its statement answers."""
        length, previous = self._session.chains[account]
        stated = event.facts
        head = chain_hash(previous, stated)
        facts: dict[str, Any] = {
            **stated,
            "detail": Jsonb(dict(event.detail)),
            "account": account,
            "code_version": self._session.code_version,
            "chain_sequence": length + 1,
            "previous_hash": previous,
            "hash": head,
        }
        row = self._session.last((*before, ("append_order_event", facts)))
        if row is None:
            raise InvariantViolation(
                f"order {event.client_order_id}: event {event.sequence} does not follow its newest one: read it again"
            )
        self._session.chains[account] = (length + 1, head)
        return row

    def _require_same(self, intent: OrderIntent) -> None:
        """Raise InvariantViolation where the id names another wish; when it was planned is not part of the wish."""
        known = self.get(intent.client_order_id)
        stored = None if known is None else known.intent
        if stored != replace(intent, **_times(stored or intent)):
            raise InvariantViolation(f"intent {intent.client_order_id}: stored as {stored}, got {intent}")


def _check_facts(checked: CheckedOrder, run_id: str, dag_id: str) -> dict[str, Any]:
    figures = Jsonb(dict(checked.figures))
    return {**values_of(checked), "codes": list(checked.codes), "figures": figures, "run_id": run_id, "dag_id": dag_id}


def _times(intent: OrderIntent) -> dict[str, Any]:
    return {"planned_at": intent.planned_at, "expires_at": intent.expires_at}


def _order(row: Row) -> Order:
    """An order from a row of order_current."""
    facts = {name: row[name] for name in _INTENT}
    facts.update(purpose=Purpose(row["purpose"]), side=Side(row["side"]), order_type=OrderType(row["order_type"]))
    return Order(
        intent=OrderIntent(**facts),
        state=OrderState(row["state"]),
        sequence=row["sequence"],
        changed_at=row["changed_at"],
        filled_quantity=row["filled_quantity"],
        venue_order_id=row["venue_order_id"],
        signed_at=row["signed_at"],
        recv_window_ms=row["recv_window_ms"],
        request_hash=row["request_hash"],
        reason=row["reason"],
    )
