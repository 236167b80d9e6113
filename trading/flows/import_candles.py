"""Import: candles of files into the store, through the same checks as the venue's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from trading.clock import Clock
from trading.domain.candles import RejectedCandle
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, timeframe_s, to_ms
from trading.errors import DataError
from trading.flows.recording import recorded
from trading.flows.store_candles import Window, store_window
from trading.logging.events import log_event
from trading.ports.candle_files import CandleFiles
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)

#: Rows that wait for their transaction, of all instruments of a file: bounds the memory, at 48 bytes each.
MOST_WAITING: Final = 100_000
PERHAPS_OPEN: Final = "perhaps still open: the last row of a file that does not say when it was made"
STILL_OPEN: Final = "still open when the file was made"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """Files of one timeframe, and what is known of them.

    `taken_at`: when they were made, by the venue's clock; without it the last candle of each instrument may have been
    open then, and is refused. `every_candle`: the venue makes one for a period without trades too.
    """

    files: tuple[Path, ...]
    timeframe: str | None = None
    instrument: str | None = None
    taken_at: datetime | None = None
    every_candle: bool = True
    jump_accepted: bool = False


@dataclass
class ImportReport:
    """Rows by what became of them."""

    files: int = 0
    rows: int = 0
    inserted: int = 0
    revised: int = 0
    quarantined: int = 0
    gaps: int = 0
    instruments: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Whole numbers by name."""
        return {
            "files": self.files,
            "rows": self.rows,
            "instruments": len(self.instruments),
            "candles": self.inserted,
            "revised": self.revised,
            "quarantined": self.quarantined,
            "gaps": self.gaps,
            "failed_instruments": len(self.failed),
        }


class ImportCandles:
    """Files into the store. What is there already is left alone, so that an import may be broken off and repeated."""

    def __init__(self, ledger: Ledger, files: CandleFiles, clock: Clock) -> None:
        self._ledger = ledger
        self._files = files
        self._clock = clock

    def run(self, run: Run, request: ImportRequest) -> ImportReport:
        """Import every file; an instrument that cannot be trusted never stops the others. Raises DataError."""
        return recorded(self._ledger, self._clock, run, "import_candles", lambda: self._import(run, request))

    def _import(self, run: Run, request: ImportRequest) -> ImportReport:
        report = ImportReport()
        for path in request.files:
            timeframe = request.timeframe or self._files.timeframe(path)
            one = _OneFile(self._ledger, self._clock, run, request=request, timeframe=timeframe, report=report)
            one.store(self._files, path)
            report.files += 1
            log_event(logger, "file_imported", file=path.name, timeframe=timeframe, rows=report.rows)
        return report


class _OneFile:
    """One file's rows on their way: each instrument's wait until they are many, or the file is at its end."""

    def __init__(
        self, ledger: Ledger, clock: Clock, run: Run, *, request: ImportRequest, timeframe: str, report: ImportReport
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._run = run
        self._request = request
        self._timeframe = timeframe
        self._step_ms = timeframe_s(timeframe) * 1000
        self._report = report
        self._waiting: dict[str, list[CandleSeries]] = {}
        self._end_ms: dict[str, int] = {}  # of what was stored of this file, by instrument

    def store(self, files: CandleFiles, path: Path) -> None:
        """Store all of it."""
        waiting = 0
        for symbol, series in files.read(path, self._request.instrument):
            self._report.rows += len(series)
            self._report.instruments.add(symbol)
            self._waiting.setdefault(symbol, []).append(series)
            waiting += len(series)
            if waiting > MOST_WAITING:
                for name in list(self._waiting):
                    self._flush(name, at_end=False)
                waiting = sum(len(one) for parts in self._waiting.values() for one in parts)
        for symbol in list(self._waiting):
            self._flush(symbol, at_end=True)

    def _flush(self, symbol: str, *, at_end: bool) -> None:
        """Store what waits. The newest rows wait on, while more may come: one of them may contradict them."""
        series = joined(self._waiting.pop(symbol))
        newest = series.open_ms == series.open_ms.max()
        now_ms = to_ms(self._request.taken_at or self._clock.now())
        is_open = newest if self._request.taken_at is None else series.open_ms + self._step_ms > now_ms
        if not at_end:
            self._waiting[symbol] = [series.take(newest)]
            is_open = newest
        rest = series.take(~is_open)
        if symbol in self._report.failed:
            return
        try:
            if len(rest):
                self._store(symbol, rest, now_ms)
        except DataError as error:
            self._report.failed[symbol] = str(error)
            log_event(logger, "instrument_failed", level=logging.ERROR, symbol=symbol, reason=str(error))
            return
        if at_end and is_open.any():
            self._refuse(symbol, series.take(is_open))

    def _store(self, symbol: str, series: CandleSeries, server_ms: int) -> None:
        first_ms, end_ms = int(series.open_ms.min()), int(series.open_ms.max()) + self._step_ms
        window = Window(
            symbol=symbol,
            timeframe=self._timeframe,
            window_ms=(min(first_ms, self._end_ms.get(symbol, first_ms)), end_ms),
            server_ms=server_ms,
            every_candle=self._request.every_candle,
            jump_accepted=self._request.jump_accepted,
        )
        stored = store_window(self._ledger, window, series, at=self._clock.now(), run=self._run)
        self._end_ms[symbol] = end_ms
        self._report.inserted += stored.inserted
        self._report.revised += stored.revised
        self._report.quarantined += stored.quarantined
        self._report.gaps += stored.gaps

    def _refuse(self, symbol: str, series: CandleSeries) -> None:
        """Keep apart what may not have been closed when the file was made."""
        reason = PERHAPS_OPEN if self._request.taken_at is None else STILL_OPEN
        columns = (series.open, series.high, series.low, series.close, series.volume)
        rows = zip(series.open_ms.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
        refused = [RejectedCandle(open_ms=open_ms, values=values, reason=reason) for open_ms, values in rows]
        with self._ledger.transaction() as books:
            books.candles.quarantine(symbol, self._timeframe, refused, at=self._clock.now(), run=self._run)
        self._report.quarantined += len(refused)


def joined(parts: Sequence[CandleSeries]) -> CandleSeries:
    """Several series one after the other."""
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return CandleSeries(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
