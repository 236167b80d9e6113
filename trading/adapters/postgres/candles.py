"""Closed candles, keyed (instrument, timeframe, open_time), and what is known of those that are missing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from trading.adapters.postgres.connection import Session
from trading.adapters.postgres.packed_candles import copy_rows, unpacked
from trading.domain.candles import RejectedCandle, compared
from trading.domain.gaps import CandleGap, GapKind
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Panel, floor_to_timeframe, from_ms, timeframe_s, to_ms
from trading.ports.candles import CandleChange, CandleStanding

#: Grid rows that are compared and written at once: bounds the memory, at some 200 bytes a candle.
_CHUNK: Final = 50_000


class PostgresCandles:
    """CandleStore over the tables candle, candle_revision, candle_quarantine and candle_gap."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def newest_open_ms(self, instruments: Sequence[str], timeframe: str) -> dict[str, int]:
        """The newest stored open by instrument; those without candles are left out."""
        rows = self._session.all("newest_candles", {"instruments": list(instruments), "timeframe": timeframe})
        return {row["instrument"]: to_ms(row["open_time"]) for row in rows}

    def oldest_open_ms(self, instrument: str, timeframe: str) -> int | None:
        """The oldest stored open."""
        row = self._session.one("oldest_candle", {"instrument": instrument, "timeframe": timeframe})
        return to_ms(row["open_time"]) if row else None

    def upsert(self, instrument: str, timeframe: str, series: CandleSeries, *, at: datetime, run: Run) -> CandleChange:
        """Insert new candles, restate changed ones, leave equal ones alone; under a lock, until the transaction ends.

        What is stored is read and compared here: a COPY of what is new alone costs a third of any upsert.
        """
        self._lock(instrument, timeframe)
        inserted = revised = 0
        step_ms = timeframe_s(timeframe) * 1000
        while len(series):
            first_ms = int(series.open_ms[0])
            rows = int(np.searchsorted(series.open_ms, first_ms + _CHUNK * step_ms))
            part, series = series.take(np.arange(rows)), series.take(np.arange(rows, len(series)))
            stored = self.series(instrument, timeframe, since_ms=first_ms, until_ms=first_ms + _CHUNK * step_ms)
            is_new, is_restated = compared(stored, part)
            inserted += int(is_new.sum())
            revised += int(is_restated.sum())
            if is_new.any():
                rows_to_copy = copy_rows(instrument, timeframe, part.take(is_new), run_id=run.run_id, at=at)
                self._session.copy("copy_candles", rows_to_copy)
            if is_restated.any():
                self._session.run("restate_candles", _columns(instrument, timeframe, part.take(is_restated), at, run))
        return CandleChange(inserted=inserted, revised=revised)

    def quarantine(
        self, instrument: str, timeframe: str, candles: Sequence[RejectedCandle], *, at: datetime, run: Run
    ) -> None:
        """Keep what was refused, once each."""
        series = CandleSeries.from_rows([(candle.open_ms, *candle.values) for candle in candles])
        reasons = {"reason": [candle.reason for candle in candles]}
        self._session.run("quarantine_candles", _columns(instrument, timeframe, series, at, run) | reasons)

    def close_before(self, instrument: str, timeframe: str, open_ms: int) -> float | None:
        """The close of the newest stored candle that opens before `open_ms`."""
        asked = {"instrument": instrument, "timeframe": timeframe, "before": from_ms(open_ms)}
        row = self._session.one("close_before", asked)
        return float(row["close"]) if row else None

    def series(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        """Stored candles with since_ms ≤ open_ms < until_ms, ascending."""
        window = {"first": from_ms(since_ms), "end": from_ms(until_ms)}
        asked = {"instruments": [instrument], "timeframe": timeframe, **window}
        found = self._session.all("panel", asked, binary=True)
        series = unpacked(found[0]["packed"] if found else b"")
        ascending = bool((np.diff(series.open_ms) > 0).all())
        return series if ascending else series.take(np.argsort(series.open_ms))

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
        first_ms = end_ms - candles * step_ms
        open_ms = np.arange(first_ms, end_ms, step_ms, dtype=np.int64)
        cube = np.full((5, len(open_ms), len(instruments)), np.nan)
        asked: dict[str, object] = {"instruments": list(instruments), "timeframe": timeframe}
        asked |= {"first": from_ms(first_ms), "end": from_ms(end_ms)}
        if known_at is None:
            found = self._session.all("panel", asked, binary=True)
        else:
            found = self._session.all("panel_as_known", asked | {"known_at": known_at}, binary=True)
        packed = {row["instrument"]: row["packed"] for row in found}
        for column, symbol in enumerate(instruments):
            series = unpacked(packed.get(symbol, b""))
            place, off_grid = np.divmod(series.open_ms - first_ms, step_ms)
            values = np.stack([series.open, series.high, series.low, series.close, series.volume])
            cube[:, place[off_grid == 0], column] = values[:, off_grid == 0]
        return Panel(tuple(instruments), timeframe, open_ms, *cube)

    def gaps(
        self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int, known_at: datetime | None = None
    ) -> list[CandleGap]:
        """Gaps that overlap or touch [since_ms, until_ms], ascending; as they were known then, with `known_at`."""
        window = {"first": from_ms(since_ms), "end": from_ms(until_ms), "known_at": known_at}
        rows = self._session.all("candle_gaps", {"instrument": instrument, "timeframe": timeframe, **window})
        return [
            CandleGap(from_ms=to_ms(row["from_time"]), to_ms=to_ms(row["to_time"]), kind=GapKind(row["kind"]))
            for row in rows
        ]

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
        """Some valid gaps are no more, others are noted; under the lock of the candles."""
        self._lock(instrument, timeframe)
        facts: dict[str, Any] = {"instrument": instrument, "timeframe": timeframe, "run_id": run.run_id, "at": at}
        if gone:
            self._session.run("supersede_gaps", facts | {"from_times": [from_ms(gap.from_ms) for gap in gone]})
        if noted:
            facts["from_times"] = [from_ms(gap.from_ms) for gap in noted]
            facts["to_times"] = [from_ms(gap.to_ms) for gap in noted]
            facts["kinds"] = [gap.kind.value for gap in noted]
            self._session.run("note_gaps", facts)

    def standings(self) -> list[CandleStanding]:
        """What is stored, by instrument and timeframe."""
        standings = []
        for row in self._session.all("candle_standings"):
            step_s = timeframe_s(row["timeframe"])
            row["missing_no_trades"] = row.pop("no_trades_s") // step_s
            row["missing_outage"] = row.pop("outage_s") // step_s
            standings.append(CandleStanding(**row))
        return standings

    def count(self) -> int:
        """How many candles there are."""
        row = self._session.one("count_candles")
        return int(row["candles"]) if row else 0

    def _lock(self, instrument: str, timeframe: str) -> None:
        self._session.run("lock_candles", {"instrument": instrument, "timeframe": timeframe})


def _columns(instrument: str, timeframe: str, series: CandleSeries, at: datetime, run: Run) -> dict[str, Any]:
    """A series as arrays for unnest, and whose it is."""
    names = ("open_ms", "open", "high", "low", "close", "volume")
    columns = {name: getattr(series, name).tolist() for name in names}
    return {"instrument": instrument, "timeframe": timeframe, "run_id": run.run_id, "at": at, **columns}
