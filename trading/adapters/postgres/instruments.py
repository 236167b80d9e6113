"""Instruments, versioned."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from trading.adapters.postgres.connection import Session
from trading.domain.ids import Run
from trading.domain.market import Instrument


class PostgresInstruments:
    """InstrumentStore over the table instrument."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, instruments: Sequence[Instrument], *, at: datetime, run: Run) -> int:
        """Store what changed; the number of new versions."""
        self._session.run("lock_instruments")
        stored = self.all()
        changed = 0
        for instrument in instruments:
            if stored.get(instrument.symbol) == instrument:
                continue
            stored[instrument.symbol] = instrument
            facts = {**asdict(instrument), "at": at, "run_id": run.run_id, "dag_id": run.dag_id}
            self._session.run("end_instrument", {"symbol": instrument.symbol, "at": at})
            self._session.run("add_instrument", facts)
            changed += 1
        return changed

    def all(self) -> dict[str, Instrument]:
        """The version valid now, by symbol."""
        return {row["symbol"]: Instrument(**row) for row in self._session.all("current_instruments")}
