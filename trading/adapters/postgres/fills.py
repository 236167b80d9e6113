"""Fills, each once, each with its balanced ledger transaction."""

from collections import defaultdict
from dataclasses import asdict
from datetime import datetime

from trading.adapters.postgres.connection import Row, Session
from trading.adapters.postgres.entries import PostgresEntries
from trading.adapters.postgres.instruments import PostgresInstruments
from trading.domain.ids import Run
from trading.domain.ledger import Fill, LedgerTransaction
from trading.domain.order import Side
from trading.domain.position import Position, fold_fills
from trading.errors import InvariantViolation


class PostgresFills:
    """FillStore over the table fill."""

    def __init__(self, session: Session, entries: PostgresEntries, instruments: PostgresInstruments) -> None:
        self._session = session
        self._entries = entries
        self._instruments = instruments

    def record(self, fill: Fill, transaction: LedgerTransaction, run: Run) -> bool:
        """Store both; False where the fill is known. Raises InvariantViolation where it is known with other figures."""
        facts = {
            **asdict(fill),
            "account": transaction.account,
            "run_id": run.run_id,
            "dag_id": run.dag_id,
        }
        if not self._session.run("record_fill", facts):
            self._require_known(fill, transaction.account)
            return False
        if not self._entries.post(transaction, run):
            raise InvariantViolation(f"fill {fill.venue_fill_id}: {transaction.reference} was posted without it")
        return True

    def newest_at(self, account: str) -> dict[str, datetime]:
        """The newest fill's time by instrument."""
        rows = self._session.all("newest_fills", {"account": account})
        return {row["instrument"]: row["filled_at"] for row in rows}

    def positions(self, account: str) -> dict[tuple[str, str], Position]:
        """(strategy, instrument) → position, folded from fills."""
        places: defaultdict[tuple[str, str], list[Fill]] = defaultdict(list)
        for row in self._session.all("fills_by_place", {"account": account}):
            places[row.pop("strategy"), row["instrument"]].append(_fill(row))
        if not places:
            return {}
        instruments = self._instruments.all()
        return {place: fold_fills(instruments[place[1]], fills) for place, fills in places.items()}

    def recent(self, account: str, limit: int) -> list[Fill]:
        """The newest fills, newest first."""
        return [_fill(row) for row in self._session.all("recent_fills", {"account": account, "limit": max(0, limit)})]

    def _require_known(self, fill: Fill, account: str) -> None:
        """Raise InvariantViolation for a fill that was not stored, and is not there with the same figures either."""
        key = {
            "account": account,
            "venue": fill.venue,
            "instrument": fill.instrument,
            "venue_fill_id": fill.venue_fill_id,
        }
        row = self._session.one("get_fill", key)
        if row is None:
            raise InvariantViolation(
                f"fill {fill.venue_fill_id}: expected one of our orders, got {fill.client_order_id!r}"
            )
        known = _fill(row)
        if known != fill:
            raise InvariantViolation(f"fill {fill.venue_fill_id}: stored as {known}, got {fill}")


def _fill(row: Row) -> Fill:
    return Fill(side=Side(row.pop("side")), **row)
