"""Instruments, versioned."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.market import Instrument


@dataclass(frozen=True, slots=True)
class InstrumentVersion:
    """An instrument as it was from `valid_from` on."""

    instrument: Instrument
    valid_from: datetime
    run_id: str


class MemoryInstruments:
    """InstrumentStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._versions: defaultdict[str, list[InstrumentVersion]] = defaultdict(list)

    def save(self, instruments: Sequence[Instrument], *, at: datetime, run: Run) -> int:
        """Store what changed; the number of new versions."""
        changed = 0
        for instrument in instruments:
            versions = self._versions[instrument.symbol]
            if versions and versions[-1].instrument == instrument:
                continue
            self._journal.append(versions, InstrumentVersion(instrument, at, run.run_id))
            changed += 1
        return changed

    def all(self) -> dict[str, Instrument]:
        """The version valid now, by symbol."""
        return {symbol: versions[-1].instrument for symbol, versions in self._versions.items() if versions}

    def versions(self, symbol: str) -> list[InstrumentVersion]:
        """Every version, oldest first."""
        return list(self._versions.get(symbol, ()))
