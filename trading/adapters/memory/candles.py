"""Closed candles, keyed (instrument, timeframe, open_time)."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from trading.adapters.memory.journal import Journal
from trading.domain.candles import RejectedCandle
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Panel, floor_to_timeframe, timeframe_s, to_ms
from trading.errors import InvariantViolation
from trading.ports.candles import CandleChange

_Values = tuple[float, float, float, float, float]
_Key = tuple[str, str]
_ABSENT: _Values = (math.nan,) * 5


class MemoryCandles:
    """CandleStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._candles: defaultdict[_Key, dict[int, _Values]] = defaultdict(dict)
        self._newest: dict[_Key, int] = {}
        self._told: defaultdict[_Key, list[tuple[int, datetime, _Values]]] = defaultdict(list)
        self._revised: list[tuple[str, str, int, _Values]] = []
        self._quarantine: dict[tuple[str, str, RejectedCandle], datetime] = {}

    def newest_open_ms(self, instruments: Sequence[str], timeframe: str) -> dict[str, int]:
        """The newest stored open by instrument; those without candles are left out."""
        keys = {symbol: (symbol, timeframe) for symbol in instruments}
        return {symbol: self._newest[key] for symbol, key in keys.items() if key in self._newest}

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
        stored, inserted, revised = self._candles[key], 0, 0
        columns = (series.open, series.high, series.low, series.close, series.volume)
        rows = zip(series.open_ms.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
        _require_distinct(instrument, series)
        for open_ms, values in rows:
            _require_sane(instrument, open_ms, values)
            before = stored.get(open_ms)
            if before == values:
                continue
            if before is None:
                inserted += 1
            else:
                revised += 1
                self._journal.append(self._revised, (instrument, timeframe, open_ms, before))
            self._journal.put(stored, open_ms, values)
            self._journal.append(self._told[key], (open_ms, at, values))
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

    def panel(self, instruments: Sequence[str], timeframe: str, *, until: datetime, candles: int) -> Panel:
        """The `candles` grid rows that end at `until`, NaN where none is stored."""
        stored = {symbol: self._candles.get((symbol, timeframe), {}) for symbol in instruments}
        return _panel_of(stored, timeframe, until, candles)

    def panel_as_known(
        self, instruments: Sequence[str], timeframe: str, *, until: datetime, candles: int, known_at: datetime
    ) -> Panel:
        """The same rows as they stood at `known_at`: without what came later, and before what was restated since."""
        known = {
            symbol: {open_ms: values for open_ms, at, values in self._told[symbol, timeframe] if at <= known_at}
            for symbol in instruments
        }
        return _panel_of(known, timeframe, until, candles)

    def count(self) -> int:
        """How many candles there are."""
        return sum(len(stored) for stored in self._candles.values())

    def revised(self) -> list[tuple[str, str, int, _Values]]:
        """What restated candles were before: (instrument, timeframe, open_ms, values)."""
        return list(self._revised)

    def quarantined(self) -> list[tuple[str, str, RejectedCandle]]:
        """What was refused, oldest first: (instrument, timeframe, candle)."""
        return list(self._quarantine)


def _panel_of(stored: Mapping[str, Mapping[int, _Values]], timeframe: str, until: datetime, candles: int) -> Panel:
    step_ms = timeframe_s(timeframe) * 1000
    end_ms = to_ms(floor_to_timeframe(until, timeframe))
    open_ms = np.arange(end_ms - candles * step_ms, end_ms, step_ms, dtype=np.int64)
    cube = np.full((len(open_ms), len(stored), 5), np.nan)
    for column, rows in enumerate(stored.values()):
        if rows and len(open_ms):
            cube[:, column, :] = [rows.get(row, _ABSENT) for row in open_ms.tolist()]
    parts = (np.ascontiguousarray(cube[:, :, part]) for part in range(5))
    return Panel(tuple(stored), timeframe, open_ms, *parts)


def _require_distinct(instrument: str, series: CandleSeries) -> None:
    """Raise InvariantViolation where one period comes twice: nobody could say which counts."""
    if len(np.unique(series.open_ms)) < len(series):
        raise InvariantViolation(f"{instrument}: expected each open time once in a series")


def _require_sane(instrument: str, open_ms: int, values: _Values) -> None:
    """Raise InvariantViolation for a candle that no market can have made, NaN and infinity among them."""
    first, high, low, close, volume = values
    if not (0 < low <= first <= high < math.inf and low <= close <= high and 0 <= volume < math.inf):
        raise InvariantViolation(f"{instrument} at {open_ms}: expected a sane candle, got {values}")
