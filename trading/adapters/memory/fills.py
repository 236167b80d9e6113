"""Fills, each once, each with its balanced ledger transaction."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import datetime

from trading.adapters.memory.entries import MemoryEntries
from trading.adapters.memory.instruments import MemoryInstruments
from trading.adapters.memory.journal import Journal
from trading.adapters.memory.orders import MemoryOrders
from trading.domain.ids import Run
from trading.domain.ledger import Fill, LedgerTransaction
from trading.domain.market import Instrument
from trading.domain.position import Position, apply_fill
from trading.errors import InvariantViolation

_Place = tuple[str, str]  # strategy, instrument
_Ranked = tuple[datetime, int, str, Fill]


class MemoryFills:
    """FillStore."""

    def __init__(
        self, journal: Journal, orders: MemoryOrders, entries: MemoryEntries, instruments: MemoryInstruments
    ) -> None:
        self._journal = journal
        self._orders = orders
        self._entries = entries
        self._instruments = instruments
        self._fills: dict[tuple[str, str, str, str], Fill] = {}
        self._by_account: defaultdict[str, list[_Ranked]] = defaultdict(list)
        self._newest: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
        self._by_place: defaultdict[str, dict[_Place, list[_Ranked]]] = defaultdict(dict)
        self._folded: dict[tuple[str, _Place], tuple[int, Position]] = {}

    def record(self, fill: Fill, transaction: LedgerTransaction, run: Run) -> bool:
        """Store both; False where the fill is known. Raises InvariantViolation where it is known with other figures."""
        account = transaction.account
        key = (account, fill.venue, fill.instrument, fill.venue_fill_id)
        known = self._fills.get(key)
        if known is not None:
            if known != fill:
                raise InvariantViolation(f"fill {fill.venue_fill_id}: stored as {known}, got {fill}")
            return False
        order = self._orders.get(fill.client_order_id)
        if order is None or order.intent.account != account:
            raise InvariantViolation(
                f"fill {fill.venue_fill_id}: expected an order of account {account!r}, got {fill.client_order_id!r}"
            )
        if not self._entries.post(transaction, run):
            raise InvariantViolation(f"fill {fill.venue_fill_id}: {transaction.reference} was posted without it")
        self._journal.put(self._fills, key, fill)
        ranked = (*_rank(fill), fill)
        everything = self._by_account[account]
        self._journal.insert(everything, bisect_right(everything, ranked[:3], key=_without_fill), ranked)
        newest = self._newest[account]
        self._journal.put(newest, fill.instrument, max(fill.filled_at, newest.get(fill.instrument, fill.filled_at)))
        self._place(account, (order.intent.strategy, fill.instrument), ranked)
        self._orders.add_filled(fill.client_order_id, fill.quantity)
        return True

    def known(self, account: str, fill: Fill) -> bool:
        """Whether a fill of this venue, instrument and id is stored."""
        return (account, fill.venue, fill.instrument, fill.venue_fill_id) in self._fills

    def newest_at(self, account: str) -> dict[str, datetime]:
        """The newest fill's time by instrument."""
        return dict(self._newest.get(account, {}))

    def positions(self, account: str) -> dict[tuple[str, str], Position]:
        """(strategy, instrument) → position, folded from fills."""
        instruments = self._instruments.all()
        places = self._by_place.get(account, {})
        return {place: self._fold(account, place, instruments[place[1]]) for place, fills in places.items() if fills}

    def recent(self, account: str, limit: int) -> list[Fill]:
        """The newest fills, newest first."""
        fills = self._by_account.get(account, [])
        return [ranked[3] for ranked in reversed(fills[-limit:] if limit > 0 else [])]

    def since(self, account: str, since: datetime) -> list[Fill]:
        """Fills with filled_at ≥ since, ascending."""
        fills = self._by_account.get(account, [])
        return [ranked[3] for ranked in fills[bisect_left(fills, since, key=_instant) :]]

    def _place(self, account: str, place: _Place, ranked: _Ranked) -> None:
        """Put a fill among those of its strategy and instrument; one that came late spoils what was folded."""
        fills = self._by_place[account].setdefault(place, [])
        index = bisect_right(fills, ranked[:3], key=_without_fill)
        if index < len(fills):
            self._journal.remove(self._folded, (account, place))
        self._journal.insert(fills, index, ranked)

    def _fold(self, account: str, place: _Place, instrument: Instrument) -> Position:
        """The fold of all fills, carried on from the last time that somebody asked."""
        fills = self._by_place[account][place]
        count, position = self._folded.get((account, place), (0, Position()))
        for ranked in fills[count:]:
            position = apply_fill(position, instrument, ranked[3])
        if count < len(fills):
            self._journal.put(self._folded, (account, place), (len(fills), position))
        return position


def _rank(fill: Fill) -> tuple[datetime, int, str]:
    """By time; at one instant by the venue's own numbering, which grows."""
    return (fill.filled_at, len(fill.venue_fill_id), fill.venue_fill_id)


def _without_fill(ranked: _Ranked) -> tuple[datetime, int, str]:
    return ranked[:3]


def _instant(ranked: _Ranked) -> datetime:
    return ranked[0]
