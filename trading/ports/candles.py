"""What the ledger remembers of the market: instruments and closed candles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading.domain.candles import RejectedCandle
from trading.domain.gaps import CandleGap
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Instrument, Panel


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleChange:
    """What an upsert did, in rows."""

    inserted: int
    revised: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleStanding:
    """What is stored of one instrument and timeframe. `missing` is candles in gaps, by kind."""

    instrument: str
    timeframe: str
    candles: int
    first_open: datetime
    last_open: datetime
    gaps: int
    missing_no_trades: int
    missing_outage: int
    quarantined: int
    revisions: int
    last_revision_at: datetime | None


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

    def oldest_open_ms(self, instrument: str, timeframe: str) -> int | None:
        """The oldest stored open."""
        ...

    def upsert(self, instrument: str, timeframe: str, series: CandleSeries, *, at: datetime, run: Run) -> CandleChange:
        """Insert new candles, restate changed ones, leave equal ones alone. The series ascends, each open once.

        Until the transaction ends, nobody else writes this instrument's candles and gaps of this timeframe.
        """
        ...

    def quarantine(
        self, instrument: str, timeframe: str, candles: Sequence[RejectedCandle], *, at: datetime, run: Run
    ) -> None:
        """Keep what was refused, once each."""
        ...

    def close_before(self, instrument: str, timeframe: str, open_ms: int) -> float | None:
        """The close of the newest stored candle that opens before `open_ms`."""
        ...

    def series(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        """Stored candles with since_ms ≤ open_ms < until_ms, ascending."""
        ...

    def panel(
        self,
        instruments: Sequence[str],
        timeframe: str,
        *,
        until: datetime,
        candles: int,
        known_at: datetime | None = None,
    ) -> Panel:
        """The `candles` grid rows ending at `until` (the last one closes at it or before); NaN where none is stored.

        With `known_at` as they were known then: without what was stored later, and restated ones as they had been.
        """
        ...

    def gaps(
        self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int, known_at: datetime | None = None
    ) -> list[CandleGap]:
        """Gaps that overlap or touch [since_ms, until_ms], ascending; as they were known then, with `known_at`."""
        ...

    def change_gaps(
        self,
        instrument: str,
        timeframe: str,
        *,
        gone: Sequence[CandleGap],
        noted: Sequence[CandleGap],
        at: datetime,
        run: Run,
    ) -> None:
        """Some valid gaps are no more, others are noted."""
        ...

    def standings(self) -> list[CandleStanding]:
        """What is stored, by instrument and timeframe."""
        ...

    def count(self) -> int:
        """How many candles there are."""
        ...
