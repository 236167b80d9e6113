"""Intents, their events and the checks before them."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.adapters.memory.accounts import MemoryAccounts
from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run, chain_hash
from trading.domain.order import SENT_OPEN, Order, OrderEvent, OrderIntent, OrderState, apply_event, fold
from trading.domain.plan import PlanLine
from trading.domain.risk import CheckedOrder
from trading.domain.snapshot import Verdict
from trading.errors import InvariantViolation

_Facts = tuple[str, int, str, str, str, datetime, str, int]


@dataclass(frozen=True, slots=True)
class ChainLink:
    """An order event's place in its account's audit chain."""

    event: OrderEvent
    previous: str
    hash: str


class MemoryOrders:
    """OrderStore. Orders are kept folded, beside their events; a dict's order is the order of planning."""

    def __init__(self, journal: Journal, accounts: MemoryAccounts) -> None:
        self._journal = journal
        self._accounts = accounts
        self._orders: dict[str, Order] = {}
        self._numbers: dict[str, int] = {}
        self._names: dict[_Facts, str] = {}
        self._by_account: defaultdict[str, list[str]] = defaultdict(list)
        self._open: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._served: defaultdict[tuple[str, str, datetime], list[str]] = defaultdict(list)
        self._signed: defaultdict[str, list[tuple[datetime, int, str]]] = defaultdict(list)
        self._by_venue_id: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._events: defaultdict[str, list[OrderEvent]] = defaultdict(list)
        self._chains: defaultdict[str, list[ChainLink]] = defaultdict(list)
        self._checks: defaultdict[str, list[CheckedOrder]] = defaultdict(list)
        self._lines: defaultdict[str, list[PlanLine]] = defaultdict(list)
        self._said: dict[tuple[str, str, str, datetime | None, str, str], None] = {}

    def plan(self, intent: OrderIntent, run: Run) -> bool:
        """Store the intent and its Planned event. False where the id exists with the same facts."""
        known = self._orders.get(intent.client_order_id)
        if known is not None:
            require_same_intent(known.intent, intent)
            return False
        self._accounts.lock(intent.account)
        facts = _facts(intent)
        if facts in self._names:
            raise InvariantViolation(f"intent {intent.client_order_id}: {self._names[facts]} has the same facts")
        self._journal.put(self._names, facts, intent.client_order_id)
        planned = OrderEvent(
            client_order_id=intent.client_order_id,
            sequence=0,
            state=OrderState.PLANNED,
            at=intent.planned_at,
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        self._journal.put(self._numbers, intent.client_order_id, len(self._numbers))
        self._journal.append(self._by_account[intent.account], intent.client_order_id)
        served = self._served[intent.account, intent.strategy, intent.as_of]
        self._journal.append(served, intent.client_order_id)
        self._store(fold(intent, [planned]), planned)
        return True

    def append(self, order: Order, event: OrderEvent, checked: CheckedOrder | None = None) -> Order:
        """Append and return the order after it. Raises InvariantViolation for an illegal step."""
        current = self._orders.get(order.client_order_id)
        if current is None or event.client_order_id != order.client_order_id:
            raise InvariantViolation(
                f"order {order.client_order_id}: expected an event of a planned order, got {event.client_order_id}"
            )
        self._accounts.lock(current.intent.account)
        _require_signed(event)
        after = apply_event(current, event)
        if checked is not None:
            self._keep_check(checked, event.run_id)
        self._store(after, event)
        if event.signed_at is not None:
            signed = self._signed[current.intent.account]
            row = (event.signed_at, self._numbers[order.client_order_id], order.client_order_id)
            self._journal.insert(signed, bisect_left(signed, row), row)
        if event.venue_order_id is not None:
            mine = self._by_venue_id[current.intent.account, event.venue_order_id]
            if order.client_order_id not in mine:
                self._journal.append(mine, order.client_order_id)
        return after

    def get(self, client_order_id: str) -> Order | None:
        """The order, folded."""
        return self._orders.get(client_order_id)

    def by_venue_order_id(self, account: str, instrument: str, venue_order_ids: Sequence[str]) -> dict[str, Order]:
        """Ours among these venue order ids."""
        found = {}
        for venue_order_id in venue_order_ids:
            named = [self._orders[mine] for mine in self._by_venue_id.get((account, venue_order_id), ())]
            ours = [order for order in named if order.intent.instrument == instrument]
            if ours:
                found[venue_order_id] = ours[-1]
        return found

    def open(self, account: str) -> list[Order]:
        """Everything that is not terminal, oldest first."""
        return self._all(sorted(self._open.get(account, ()), key=self._numbers.__getitem__))

    def sent_open(self, account: str) -> list[Order]:
        """Those of them that are at the venue, or possibly so."""
        return [order for order in self.open(account) if order.state in SENT_OPEN]

    def generations(self, account: str, strategy: str, as_of: datetime) -> list[Order]:
        """Every order that serves this strategy's decision at as_of."""
        return self._all(self._served.get((account, strategy, as_of), ()))

    def events(self, client_order_id: str) -> list[OrderEvent]:
        """Its events in order."""
        return list(self._events.get(client_order_id, ()))

    def alarms_since(self, account: str, since: datetime) -> list[OrderEvent]:
        """Denials and unknown outcomes at or after `since`, oldest first."""
        loud = (OrderState.DENIED, OrderState.OUTCOME_UNKNOWN)
        events = (event for name in self._by_account.get(account, ()) for event in self._events[name])
        return sorted((e for e in events if e.state in loud and e.at >= since), key=lambda event: event.at)

    def submitted_since(self, account: str, since: datetime) -> list[Order]:
        """Orders signed at or after `since`, oldest first."""
        signed = self._signed.get(account, [])
        first = bisect_left(signed, since, key=lambda row: row[0])
        return self._all(client_order_id for _, _, client_order_id in signed[first:])

    def record_check(self, checked: CheckedOrder, run: Run) -> bool:
        """Keep what the pre-trade checks said; False where the newest one of this order said the same."""
        return self._keep_check(checked, run.run_id)

    def _keep_check(self, checked: CheckedOrder, run_id: str) -> bool:
        if checked.client_order_id not in self._orders:
            raise InvariantViolation(f"check of {checked.client_order_id}: expected a planned order, there is none")
        if checked.verdict is not Verdict.ALLOWED and not checked.codes:
            raise InvariantViolation(f"check of {checked.client_order_id}: {checked.verdict} without a code")
        kept = self._checks[checked.client_order_id]
        if kept and (kept[-1].verdict, kept[-1].codes) == (checked.verdict, checked.codes):
            return False
        self._journal.append(kept, replace(checked, run_id=run_id))
        return True

    def checks(self, client_order_id: str) -> list[CheckedOrder]:
        """What the checks said, oldest first."""
        return list(self._checks.get(client_order_id, ()))

    def record_lines(self, account: str, lines: Sequence[PlanLine], run: Run) -> list[PlanLine]:
        """Keep why each instrument did or did not lead to an order; those that are news, in their order."""
        news = []
        for line in lines:
            self._journal.append(self._lines[run.run_id], line)
            said = (account, line.strategy, line.instrument, line.as_of, line.outcome, line.client_order_id)
            if said not in self._said:
                news.append(line)
            if line.as_of is not None:
                self._journal.put(self._said, said, None)
        return news

    def lines(self, run_id: str) -> list[PlanLine]:
        """What a run's planning said, in its order."""
        return list(self._lines.get(run_id, ()))

    def recent(self, account: str, limit: int) -> list[Order]:
        """The newest orders, newest first."""
        mine = self._by_account.get(account, [])
        return self._all(reversed(mine[-limit:] if limit > 0 else []))

    def chain(self, account: str) -> list[ChainLink]:
        """The account's audit chain, oldest first."""
        return list(self._chains.get(account, ()))

    def chained_accounts(self) -> list[str]:
        """Every account that has order events."""
        return list(self._chains)

    def add_filled(self, client_order_id: str, quantity: Decimal) -> None:
        """Count a fill of `quantity` in the order: what the fold of its fills says."""
        order = self._orders[client_order_id]
        filled = replace(order, filled_quantity=order.filled_quantity + quantity)
        self._journal.put(self._orders, client_order_id, filled)

    def _store(self, order: Order, event: OrderEvent) -> None:
        account = order.intent.account
        self._journal.put(self._orders, order.client_order_id, order)
        self._journal.append(self._events[order.client_order_id], event)
        chain = self._chains[account]
        previous = chain[-1].hash if chain else ""
        link = ChainLink(event=event, previous=previous, hash=chain_hash(previous, event.facts))
        self._journal.append(chain, link)
        if order.is_open:
            self._journal.put(self._open[account], order.client_order_id, None)
        else:
            self._journal.remove(self._open[account], order.client_order_id)

    def _all(self, client_order_ids: Iterable[str]) -> list[Order]:
        return [self._orders[client_order_id] for client_order_id in client_order_ids]


def require_same_intent(stored: OrderIntent, planned: OrderIntent) -> None:
    """Raise InvariantViolation where one id names two different wishes; when it was planned is not part of the wish."""
    if stored != replace(planned, planned_at=stored.planned_at, expires_at=stored.expires_at):
        raise InvariantViolation(f"intent {stored.client_order_id}: stored with other facts; got {planned}")


def _facts(intent: OrderIntent) -> _Facts:
    """What the id is made of."""
    return (
        intent.account,
        intent.incarnation,
        intent.strategy,
        intent.instrument,
        intent.timeframe,
        intent.as_of,
        intent.purpose,
        intent.generation,
    )


def _require_signed(event: OrderEvent) -> None:
    """Raise InvariantViolation for a submission that the venue could not fence."""
    signed = event.signed_at is not None and (event.recv_window_ms or 0) > 0 and event.request_hash is not None
    if event.state is OrderState.SUBMITTING and not signed:
        raise InvariantViolation(
            f"order {event.client_order_id}: expected a submission to have signed_at, recv_window_ms and request_hash"
        )
