"""The audit log over the memory of orders and controls."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from trading.adapters.memory.control import MemoryControl
from trading.adapters.memory.journal import Journal
from trading.adapters.memory.orders import MemoryOrders
from trading.domain.audit import Chain, ChainedEvent, ChainHead
from trading.domain.ids import chain_hash
from trading.ports.audit import WriterRights
from trading.ports.control import EVERY_ACCOUNT


class MemoryAudit:
    """AuditStore. Nobody else writes here, and nothing is guarded by roles."""

    def __init__(self, journal: Journal, orders: MemoryOrders, control: MemoryControl) -> None:
        self._journal = journal
        self._orders = orders
        self._control = control
        self._chained: list[ChainedEvent] = []
        self._links: defaultdict[str, list[ChainedEvent]] = defaultdict(list)

    def extend(self) -> int:
        """Chain every control event that no chain covers yet; how many."""
        waiting = self.unchained()
        for event in waiting:
            links = self._links[event.account]
            previous = links[-1].hash if links else ""
            link = ChainedEvent(
                chain=Chain.CONTROL,
                account=event.account,
                sequence=len(links) + 1,
                previous=previous,
                hash=chain_hash(previous, event.facts),
                facts=event.facts,
            )
            self._journal.append(links, link)
            self._journal.append(self._chained, link)
        return len(waiting)

    def accounts(self) -> list[str]:
        """Every account that has a chain."""
        return sorted({*self._orders.chained_accounts(), *self._links})

    def heads(self, account: str) -> list[ChainHead]:
        """The newest links of the account's two chains, and of the control events that concern every account."""
        keys = ((Chain.ORDER, account), (Chain.CONTROL, account), (Chain.CONTROL, EVERY_ACCOUNT))
        newest = [event for key in keys for event in self._all(*key)[-1:]]
        return [ChainHead(chain=e.chain, account=e.account, sequence=e.sequence, hash=e.hash) for e in newest]

    def remembered_head(self, account: str) -> ChainHead | None:
        """There is no row beside the chain."""
        return next((head for head in self.heads(account) if head.chain is Chain.ORDER), None)

    def page(self, chain: Chain, account: str, *, after: int, limit: int) -> list[ChainedEvent]:
        """Links with sequence > after, ascending."""
        return self._all(chain, account)[after : after + limit]

    def span(self, chain: Chain, account: str, *, since: datetime, until: datetime) -> tuple[int, int] | None:
        """The first and the last link of events with since ≤ at < until."""
        places = [
            event.sequence
            for event in self._all(chain, account)
            if since <= datetime.fromisoformat(str(event.facts["at"])) < until
        ]
        return (min(places), max(places)) if places else None

    def unchained(self) -> list[ChainedEvent]:
        """Control events that no chain covers yet, oldest first."""
        return list(self._waiting())

    def rights(self) -> WriterRights:
        """Memory has no users."""
        return WriterRights(user="memory", rewritable=(), unguarded=())

    def _waiting(self) -> Iterator[ChainedEvent]:
        for number, (account, event) in enumerate(self._control.log[len(self._chained) :], len(self._chained) + 1):
            facts = {**asdict(event), "event_id": number, "account": account}
            yield ChainedEvent(chain=Chain.CONTROL, account=account, sequence=0, previous="", hash="", facts=facts)

    def _all(self, chain: Chain, account: str) -> list[ChainedEvent]:
        if chain is Chain.CONTROL:
            return self._links.get(account, [])
        return [
            ChainedEvent(
                chain=chain,
                account=account,
                sequence=number,
                previous=link.previous,
                hash=link.hash,
                facts=link.event.facts,
            )
            for number, link in enumerate(self._orders.chain(account), 1)
        ]
