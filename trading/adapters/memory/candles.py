"""Closed candles, keyed (instrument, timeframe, open_time)."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from trading.adapters.memory.journal import Journal
from trading.domain.candles import RejectedCandle, compared
from trading.domain.gaps import CandleGap, GapKind
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Panel, floor_to_timeframe, from_ms, timeframe_s, to_ms
from trading.errors import InvariantViolation
from trading.ports.candles import CandleChange, CandleStanding

_Values = tuple[float, float, float, float, float]
_Key = tuple[str, str]
_ABSENT: _Values = (math.nan,) * 5


@dataclass(frozen=True, slots=True)
class _Replaced:
    """What a restated candle was, and for how long."""

    instrument: str
    timeframe: str
    open_ms: int
    values: _Values
    ingested_at: datetime
    replaced_at: datetime


@dataclass(frozen=True, slots=True)
class _Noted:
    """A gap, and from when to when it was valid."""

    gap: CandleGap
    noted_at: datetime
    superseded_at: datetime | None


class MemoryCandles:
    """CandleStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._candles: defaultdict[_Key, dict[int, _Values]] = defaultdict(dict)
        self._ingested_at: defaultdict[_Key, dict[int, datetime]] = defaultdict(dict)
        self._newest: dict[_Key, int] = {}
        self._revised: list[_Replaced] = []
        self._quarantine: dict[tuple[str, str, RejectedCandle], datetime] = {}
        self._gaps: defaultdict[_Key, list[_Noted]] = defaultdict(list)

    def newest_open_ms(self, instruments: Sequence[str], timeframe: str) -> dict[str, int]:
        """The newest stored open by instrument; those without candles are left out."""
        keys = {symbol: (symbol, timeframe) for symbol in instruments}
        return {symbol: self._newest[key] for symbol, key in keys.items() if key in self._newest}

    def oldest_open_ms(self, instrument: str, timeframe: str) -> int | None:
        """The oldest stored open."""
        return min(self._candles.get((instrument, timeframe), ()), default=None)

    def upsert(
        self,
        instrument: str,
        timeframe: str,
        series: CandleSeries,
        *,
        at: datetime,
        run: Run,  # noqa: ARG002 — PostgreSQL's rows name it
    ) -> CandleChange:
        """Insert new candles, restate changed ones, leave equal ones alone."""
        key = (instrument, timeframe)
        stored, ingested_at, inserted, revised = self._candles[key], self._ingested_at[key], 0, 0
        compared(CandleSeries.from_rows([]), series)
        columns = (series.open, series.high, series.low, series.close, series.volume)
        rows = zip(series.open_ms.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
        for open_ms, values in rows:
            _require_sane(instrument, open_ms, values)
            before = stored.get(open_ms)
            if before == values:
                continue
            then = at
            if before is None:
                inserted += 1
            else:
                revised += 1
                then = max(at, ingested_at[open_ms])
                replaced = _Replaced(instrument, timeframe, open_ms, before, ingested_at[open_ms], then)
                self._journal.append(self._revised, replaced)
            self._journal.put(stored, open_ms, values)
            self._journal.put(ingested_at, open_ms, then)
        if inserted:
            newest = max(int(series.open_ms.max()), self._newest.get(key, 0))
            self._journal.put(self._newest, key, newest)
        return CandleChange(inserted=inserted, revised=revised)

    def quarantine(
        self,
        instrument: str,
        timeframe: str,
        candles: Sequence[RejectedCandle],
        *,
        at: datetime,
        run: Run,  # noqa: ARG002 — PostgreSQL's rows name it
    ) -> None:
        """Keep what was refused, once each."""
        for candle in candles:
            if (instrument, timeframe, candle) not in self._quarantine:
                self._journal.put(self._quarantine, (instrument, timeframe, candle), at)

    def close_before(self, instrument: str, timeframe: str, open_ms: int) -> float | None:
        """The close of the newest stored candle that opens before `open_ms`."""
        stored = self._candles.get((instrument, timeframe), {})
        newest = max((one for one in stored if one < open_ms), default=None)
        return None if newest is None else stored[newest][3]

    def series(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        """Stored candles with since_ms ≤ open_ms < until_ms, ascending."""
        stored = self._candles.get((instrument, timeframe), {})
        opens = sorted(open_ms for open_ms in stored if since_ms <= open_ms < until_ms)
        return CandleSeries.from_rows([(open_ms, *stored[open_ms]) for open_ms in opens])

    def panel(
        self,
        instruments: Sequence[str],
        timeframe: str,
        *,
        until: datetime,
        candles: int,
        known_at: datetime | None = None,
    ) -> Panel:
        """The `candles` grid rows that end at `until`, NaN where none is stored; as known then, with `known_at`."""
        step_ms = timeframe_s(timeframe) * 1000
        end_ms = to_ms(floor_to_timeframe(until, timeframe))
        open_ms = np.arange(end_ms - candles * step_ms, end_ms, step_ms, dtype=np.int64)
        cube = np.full((len(open_ms), len(instruments), 5), np.nan)
        for column, symbol in enumerate(instruments):
            stored = self._known((symbol, timeframe), known_at)
            if stored and len(open_ms):
                cube[:, column, :] = [stored.get(row, _ABSENT) for row in open_ms.tolist()]
        parts = (np.ascontiguousarray(cube[:, :, part]) for part in range(5))
        return Panel(tuple(instruments), timeframe, open_ms, *parts)

    def _known(self, key: _Key, known_at: datetime | None) -> dict[int, _Values]:
        """Candles by open, as they are or as they were known at some time."""
        stored = self._candles.get(key, {})
        if known_at is None:
            return stored
        known = {row: values for row, values in stored.items() if self._ingested_at[key][row] <= known_at}
        for one in self._revised:
            if (one.instrument, one.timeframe) == key and one.ingested_at <= known_at < one.replaced_at:
                known[one.open_ms] = one.values
        return known

    def gaps(
        self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int, known_at: datetime | None = None
    ) -> list[CandleGap]:
        """Gaps that overlap or touch [since_ms, until_ms], ascending; as they were known then, with `known_at`."""
        found = [
            noted.gap
            for noted in self._gaps.get((instrument, timeframe), ())
            if noted.gap.from_ms <= until_ms and noted.gap.to_ms >= since_ms and _was_valid(noted, known_at)
        ]
        return sorted(found, key=lambda gap: gap.from_ms)

    def change_gaps(
        self,
        instrument: str,
        timeframe: str,
        *,
        gone: Sequence[CandleGap],
        noted: Sequence[CandleGap],
        at: datetime,
        run: Run,  # noqa: ARG002 — PostgreSQL's rows name it
    ) -> None:
        """Some valid gaps are no more, others are noted."""
        before = self._gaps.get((instrument, timeframe), [])
        after = [
            replace(one, superseded_at=max(at, one.noted_at)) if one.superseded_at is None and one.gap in gone else one
            for one in before
        ]
        self._journal.put(self._gaps, (instrument, timeframe), after + [_Noted(gap, at, None) for gap in noted])

    def standings(self) -> list[CandleStanding]:
        """What is stored, by instrument and timeframe."""
        return [self._standing(key) for key in sorted(self._candles) if self._candles[key]]

    def _standing(self, key: _Key) -> CandleStanding:
        step_ms = timeframe_s(key[1]) * 1000
        gaps = [noted.gap for noted in self._gaps.get(key, ()) if noted.superseded_at is None]
        missing = dict.fromkeys(GapKind, 0)
        for gap in gaps:
            missing[gap.kind] += (gap.to_ms - gap.from_ms) // step_ms
        revisions = [one.replaced_at for one in self._revised if (one.instrument, one.timeframe) == key]
        return CandleStanding(
            instrument=key[0],
            timeframe=key[1],
            candles=len(self._candles[key]),
            first_open=from_ms(min(self._candles[key])),
            last_open=from_ms(self._newest[key]),
            gaps=len(gaps),
            missing_no_trades=missing[GapKind.NO_TRADES],
            missing_outage=missing[GapKind.OUTAGE],
            quarantined=sum(1 for instrument, timeframe, _ in self._quarantine if (instrument, timeframe) == key),
            revisions=len(revisions),
            last_revision_at=max(revisions, default=None),
        )

    def count(self) -> int:
        """How many candles there are."""
        return sum(len(stored) for stored in self._candles.values())

    def revised(self) -> list[tuple[str, str, int, _Values]]:
        """What restated candles were before: (instrument, timeframe, open_ms, values)."""
        return [(one.instrument, one.timeframe, one.open_ms, one.values) for one in self._revised]

    def quarantined(self) -> list[tuple[str, str, RejectedCandle]]:
        """What was refused, oldest first: (instrument, timeframe, candle)."""
        return list(self._quarantine)


def _was_valid(noted: _Noted, known_at: datetime | None) -> bool:
    if known_at is None:
        return noted.superseded_at is None
    return noted.noted_at <= known_at and (noted.superseded_at is None or known_at < noted.superseded_at)


def _require_sane(instrument: str, open_ms: int, values: _Values) -> None:
    """Raise InvariantViolation for a candle that no market can have made, NaN and infinity among them."""
    first, high, low, close, volume = values
    if not (0 < low <= first <= high < math.inf and low <= close <= high and 0 <= volume < math.inf):
        raise InvariantViolation(f"{instrument} at {open_ms}: expected a sane candle, got {values}")
