"""What the ledger remembers of the market: instruments and closed candles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading.domain.candles import RejectedCandle
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Instrument, Panel


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleChange:
    """What an upsert did, in rows."""

    inserted: int
    revised: int


class InstrumentStore(Protocol):
    """Instruments with their filters; a change is a new version, the old one keeps its dates."""

    def save(self, instruments: Sequence[Instrument], *, at: datetime, run: Run) -> int:
        """Store what changed; the number of new versions."""
        ...

    def all(self) -> dict[str, Instrument]:
        """The version valid now, by symbol."""
        ...


class CandleStore(Protocol):
    """Closed candles, float64, keyed (instrument, timeframe, open_time)."""

    def newest_open_ms(self, instruments: Sequence[str], timeframe: str) -> dict[str, int]:
        """The newest stored open by instrument; those without candles are left out."""
        ...

    def upsert(self, instrument: str, timeframe: str, series: CandleSeries, *, at: datetime, run: Run) -> CandleChange:
        """Insert new candles, restate changed ones, leave equal ones alone."""
        ...

    def quarantine(
        self, instrument: str, timeframe: str, candles: Sequence[RejectedCandle], *, at: datetime, run: Run
    ) -> None:
        """Keep what was refused, once each."""
        ...

    def panel(self, instruments: Sequence[str], timeframe: str, *, until: datetime, candles: int) -> Panel:
        """The `candles` grid rows ending at `until` (the last one closes at it or before); NaN where none is stored."""
        ...

    def panel_as_known(
        self, instruments: Sequence[str], timeframe: str, *, until: datetime, candles: int, known_at: datetime
    ) -> Panel:
        """The same rows as they stood at `known_at`: without what came later, and before what was restated since."""
        ...

    def count(self) -> int:
        """How many candles there are."""
        ...
