"""Export: stored candles into a file, a window at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from trading.domain.market import timeframe_s, to_ms
from trading.errors import ConfigurationError
from trading.ports.candle_files import Batch, CandleFiles
from trading.ports.candles import CandleStanding
from trading.ports.ledger import Ledger

#: Grid rows that are read at once: bounds the memory, at 48 bytes each.
_CHUNK: Final = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """One timeframe's candles, of all stored instruments where none is named, within [since, until)."""

    path: Path
    timeframe: str
    instruments: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


class ExportCandles:
    """Candles into a Parquet file that `import` reads back to the same rows."""

    def __init__(self, ledger: Ledger, files: CandleFiles) -> None:
        self._ledger = ledger
        self._files = files

    def run(self, request: ExportRequest) -> int:
        """Write the file; its rows. Raises ConfigurationError where nothing of it is stored."""
        with self._ledger.transaction() as books:
            stored = [one for one in books.candles.standings() if one.timeframe == request.timeframe]
        found = {one.instrument for one in stored}
        lacking = [symbol for symbol in request.instruments if symbol not in found]
        if lacking or not found:
            raise ConfigurationError(
                f"no candle of {', '.join(lacking) or 'any instrument'} is stored in {request.timeframe}:"
                " `trading data status` lists what is"
            )
        chosen = [one for one in stored if not request.instruments or one.instrument in request.instruments]
        return self._files.write(request.path, self._batches(chosen, request), timeframe=request.timeframe)

    def _batches(self, standings: list[CandleStanding], request: ExportRequest) -> Iterator[Batch]:
        step_ms = timeframe_s(request.timeframe) * 1000
        for one in standings:
            first_ms, end_ms = to_ms(one.first_open), to_ms(one.last_open) + step_ms
            since_ms = max(first_ms, to_ms(request.since)) if request.since else first_ms
            until_ms = min(end_ms, to_ms(request.until)) if request.until else end_ms
            for start_ms in range(since_ms, until_ms, _CHUNK * step_ms):
                with self._ledger.transaction() as books:
                    series = books.candles.series(
                        one.instrument,
                        one.timeframe,
                        since_ms=start_ms,
                        until_ms=min(start_ms + _CHUNK * step_ms, until_ms),
                    )
                if len(series):
                    yield one.instrument, series
