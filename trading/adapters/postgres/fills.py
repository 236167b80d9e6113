"""Fills, each once, each with its balanced ledger transaction."""

from dataclasses import asdict
from datetime import datetime

from trading.adapters.postgres.connection import Row, Session
from trading.adapters.postgres.entries import PostgresEntries
from trading.adapters.postgres.instruments import PostgresInstruments
from trading.domain.ids import Run
from trading.domain.ledger import Fill, LedgerTransaction
from trading.domain.order import Side
from trading.domain.position import Position, apply_fill, fold_fills
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
        self._fold_in(fill, transaction.account)
        return True

    def _fold_in(self, fill: Fill, account: str) -> None:
        """Bring the kept fold up to date; a fill that came late is folded in at its own place."""
        row = self._session.one("place_of_fill", {"client_order_id": fill.client_order_id})
        instrument = self._instruments.all().get(fill.instrument)
        if row is None or instrument is None:
            raise InvariantViolation(
                f"fill {fill.venue_fill_id}: its order or the instrument {fill.instrument} is unknown"
            )
        place = {"account": account, "strategy": row["strategy"], "instrument": fill.instrument}
        if row["newest_fill_at"] is None:
            position, newest = apply_fill(Position(), instrument, fill), fill
        elif _place_in_time(fill.filled_at, fill.venue_fill_id) > _place_in_time(
            row["newest_fill_at"], row["newest_fill_id"]
        ):
            kept = Position(quantity=row["quantity"], cost=row["cost"], realised=row["realised"])
            position, newest = apply_fill(kept, instrument, fill), fill
        else:
            fills = [_fill(known) for known in self._session.all("fills_of_place", place)]
            position, newest = fold_fills(instrument, fills), fills[-1]
        facts = {**asdict(position), "newest_fill_at": newest.filled_at, "newest_fill_id": newest.venue_fill_id}
        self._session.run("keep_fold", {**place, **facts})

    def known(self, account: str, fill: Fill) -> bool:
        """Whether a fill of this venue, instrument and id is stored."""
        return self._stored(fill, account) is not None

    def newest_at(self, account: str) -> dict[str, datetime]:
        """The newest fill's time by instrument."""
        rows = self._session.all("newest_fills", {"account": account})
        return {row["instrument"]: row["filled_at"] for row in rows}

    def positions(self, account: str) -> dict[tuple[str, str], Position]:
        """(strategy, instrument) → position, folded from fills."""
        rows = self._session.all("position_folds", {"account": account})
        return {(row.pop("strategy"), row.pop("instrument")): Position(**row) for row in rows}

    def recent(self, account: str, limit: int) -> list[Fill]:
        """The newest fills, newest first."""
        return [_fill(row) for row in self._session.all("recent_fills", {"account": account, "limit": max(0, limit)})]

    def since(self, account: str, since: datetime) -> list[Fill]:
        """Fills with filled_at ≥ since, ascending."""
        return [_fill(row) for row in self._session.all("fills_since", {"account": account, "since": since})]

    def _require_known(self, fill: Fill, account: str) -> None:
        """Raise InvariantViolation for a fill that was not stored, and is not there with the same figures either."""
        row = self._stored(fill, account)
        if row is None:
            raise InvariantViolation(
                f"fill {fill.venue_fill_id}: expected one of our orders, got {fill.client_order_id!r}"
            )
        known = _fill(row)
        if known != fill:
            raise InvariantViolation(f"fill {fill.venue_fill_id}: stored as {known}, got {fill}")

    def _stored(self, fill: Fill, account: str) -> Row | None:
        key = {
            "account": account,
            "venue": fill.venue,
            "instrument": fill.instrument,
            "venue_fill_id": fill.venue_fill_id,
        }
        return self._session.one("get_fill", key)


def _place_in_time(filled_at: datetime, venue_fill_id: str) -> tuple[datetime, int, str]:
    """By time, and at one instant by the venue's own numbering, which grows."""
    return filled_at, len(venue_fill_id), venue_fill_id


def _fill(row: Row) -> Fill:
    return Fill(side=Side(row.pop("side")), **row)
