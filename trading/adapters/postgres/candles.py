"""Closed candles, keyed (instrument, timeframe, open_time)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from trading.adapters.postgres.connection import Session
from trading.domain.candles import RejectedCandle
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, Panel, floor_to_timeframe, from_ms, timeframe_s, to_ms
from trading.ports.candles import CandleChange

#: Rows that one statement writes: bounds its memory, at 48 bytes a candle on the wire.
_CHUNK: Final = 10_000
#: One candle as the query `panel` packs it.
_PACKED: Final = np.dtype([("time_us", ">i8"), ("values", ">f8", (5,))])
#: Milliseconds from 1970 to 2000, where PostgreSQL's binary times start.
_POSTGRES_EPOCH_MS: Final = 946_684_800_000


class PostgresCandles:
    """CandleStore over the tables candle, candle_revision and candle_quarantine."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def newest_open_ms(self, instruments: Sequence[str], timeframe: str) -> dict[str, int]:
        """The newest stored open by instrument; those without candles are left out."""
        rows = self._session.all("newest_candles", {"instruments": list(instruments), "timeframe": timeframe})
        return {row["instrument"]: to_ms(row["open_time"]) for row in rows}

    def upsert(self, instrument: str, timeframe: str, series: CandleSeries, *, at: datetime, run: Run) -> CandleChange:
        """Insert new candles, restate changed ones, leave equal ones alone."""
        inserted = revised = 0
        for start in range(0, len(series), _CHUNK):
            part = slice(start, start + _CHUNK)
            written = self._session.one(
                "upsert_candles",
                {
                    "instrument": instrument,
                    "timeframe": timeframe,
                    "open_ms": series.open_ms[part].tolist(),
                    "open": series.open[part].tolist(),
                    "high": series.high[part].tolist(),
                    "low": series.low[part].tolist(),
                    "close": series.close[part].tolist(),
                    "volume": series.volume[part].tolist(),
                    "run_id": run.run_id,
                    "at": at,
                },
            )
            if written is not None:
                inserted += written["inserted"]
                revised += written["revised"]
        return CandleChange(inserted=inserted, revised=revised)

    def quarantine(
        self, instrument: str, timeframe: str, candles: Sequence[RejectedCandle], *, at: datetime, run: Run
    ) -> None:
        """Keep what was refused, once each."""
        for candle in candles:
            self._session.run(
                "quarantine_candle",
                {
                    "instrument": instrument,
                    "timeframe": timeframe,
                    "open_ms": candle.open_ms,
                    "values": list(candle.values),
                    "reason": candle.reason,
                    "run_id": run.run_id,
                    "at": at,
                },
            )

    def panel(self, instruments: Sequence[str], timeframe: str, *, until: datetime, candles: int) -> Panel:
        """The `candles` grid rows that end at `until`, NaN where none is stored."""
        return self._panel("panel", instruments, timeframe, until=until, candles=candles)

    def panel_as_known(
        self, instruments: Sequence[str], timeframe: str, *, until: datetime, candles: int, known_at: datetime
    ) -> Panel:
        """The same rows as they stood at `known_at`: without what came later, and before what was restated since."""
        return self._panel("panel_as_known", instruments, timeframe, until=until, candles=candles, known_at=known_at)

    def _panel(
        self,
        query: str,
        instruments: Sequence[str],
        timeframe: str,
        *,
        until: datetime,
        candles: int,
        **facts: datetime,
    ) -> Panel:
        step_ms = timeframe_s(timeframe) * 1000
        end_ms = to_ms(floor_to_timeframe(until, timeframe))
        first_ms = end_ms - candles * step_ms
        open_ms = np.arange(first_ms, end_ms, step_ms, dtype=np.int64)
        cube = np.full((5, len(open_ms), len(instruments)), np.nan)
        window = {"first": from_ms(first_ms), "end": from_ms(end_ms)}
        found = self._session.all(
            query, {"instruments": list(instruments), "timeframe": timeframe, **window, **facts}, binary=True
        )
        packed = {row["instrument"]: row["packed"] for row in found}
        for column, symbol in enumerate(instruments):
            rows = np.frombuffer(packed.get(symbol, b""), dtype=_PACKED)
            since_first = rows["time_us"] // 1000 + _POSTGRES_EPOCH_MS - first_ms
            place, off_grid = np.divmod(since_first, step_ms)
            on_grid = off_grid == 0
            cube[:, place[on_grid], column] = rows["values"][on_grid].T
        return Panel(tuple(instruments), timeframe, open_ms, *cube)

    def count(self) -> int:
        """How many candles there are."""
        row = self._session.one("count_candles")
        return int(row["candles"]) if row else 0
