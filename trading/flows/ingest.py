"""Ingest: the venue's closed candles, checked, into the store."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from trading.clock import Clock
from trading.domain.candles import split_candles
from trading.domain.ids import Run
from trading.domain.market import Instrument, from_ms, timeframe_s, to_ms
from trading.errors import ConfigurationError, DataError, ExchangeError, ExchangeUnavailable
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Ledger
from trading.ports.market import MarketData

logger = logging.getLogger(__name__)

#: Venues restate: the last few candles are read again.
REREAD_CANDLES: Final = 3

#: (timeframe, instrument, candles so far, candles expected)
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestReport:
    """What one ingest did, and the newest close by instrument."""

    inserted: int
    revised: int
    quarantined: int
    newest_close: dict[str, datetime]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what became of them."""
        return {
            "candles": self.inserted,
            "revised": self.revised,
            "quarantined": self.quarantined,
            "failed_instruments": len(self.failed),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestRequest:
    """From the newest stored candle on, or from `since`; `history` back where nothing is stored."""

    instruments: tuple[str, ...]
    timeframe: str
    history: timedelta
    since: datetime | None = None
    until: datetime | None = None

    def reaching_back(self, history: timedelta) -> "IngestRequest":
        """The same request with that much history where nothing is stored yet."""
        return replace(self, history=history)


@dataclass
class _Totals:
    """Rows so far."""

    inserted: int = 0
    revised: int = 0
    quarantined: int = 0


class Ingest:
    """Bring the stored candles up to the venue's clock."""

    def __init__(self, ledger: Ledger, market: MarketData, clock: Clock, *, chunk_candles: int = 5_000) -> None:
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._chunk = chunk_candles

    def run(self, run: Run, requests: Sequence[IngestRequest], progress: Progress | None = None) -> IngestReport:
        """Ingest every instrument; a bad one never stops the others. Raises ExchangeUnavailable where all failed."""
        show = progress or _silent
        return recorded(
            self._ledger,
            self._clock,
            run,
            "ingest",
            lambda: _together([self._ingest(run, request, show) for request in requests]),
        )

    def _ingest(self, run: Run, request: IngestRequest, progress: Progress) -> IngestReport:
        server_time = self._market.server_time()
        self._refresh_instruments(run, request, server_time)
        server_ms = to_ms(server_time)
        with self._ledger.transaction() as books:
            newest = books.candles.newest_open_ms(request.instruments, request.timeframe)
        totals = _Totals()
        failed: dict[str, str] = {}
        for symbol in request.instruments:
            window_ms = _window(request, newest.get(symbol), server_ms)
            try:
                for done in self._windows(
                    run, symbol, request.timeframe, window_ms, server_ms=server_ms, totals=totals
                ):
                    progress(request.timeframe, symbol, *done)
            except (ExchangeError, DataError) as error:
                failed[symbol] = str(error)
                log_event(logger, "instrument_failed", level=logging.ERROR, symbol=symbol, reason=str(error))
        if failed and len(failed) == len(request.instruments):
            raise ExchangeUnavailable(f"no instrument could be ingested; the first: {next(iter(failed.values()))}")
        with self._ledger.transaction() as books:
            newest = books.candles.newest_open_ms(request.instruments, request.timeframe)
        step_ms = timeframe_s(request.timeframe) * 1000
        return IngestReport(
            inserted=totals.inserted,
            revised=totals.revised,
            quarantined=totals.quarantined,
            newest_close={symbol: from_ms(open_ms + step_ms) for symbol, open_ms in newest.items()},
            failed=failed,
        )

    def _refresh_instruments(self, run: Run, request: IngestRequest, server_time: datetime) -> None:
        """Fetch the venue's filters where one is missing, and once an hour, in its first minute."""
        with self._ledger.transaction() as books:
            known = books.instruments.all()
        if server_time.minute and not set(request.instruments) - known.keys():
            return
        instruments = self._listed(request.instruments, known)
        with self._ledger.transaction() as books:
            changed = books.instruments.save(instruments, at=self._clock.now(), run=run)
        if changed:
            log_event(logger, "instruments_changed", instruments=[i.symbol for i in instruments], changed=changed)

    def _listed(self, symbols: Sequence[str], known: Mapping[str, Instrument]) -> list[Instrument]:
        """The venue's filters; of one that it lists no more the last known ones, as not trading. The others go on."""
        try:
            return self._market.instruments(symbols)
        except ConfigurationError:
            instruments = []
            for symbol in symbols:
                try:
                    instruments += self._market.instruments([symbol])
                except ConfigurationError as error:
                    if symbol not in known:
                        raise  # never traded here: a mistake in the portfolio file
                    instruments.append(replace(known[symbol], trading=False))
                    log_event(logger, "instrument_not_listed", level=logging.ERROR, symbol=symbol, reason=str(error))
            return instruments

    def _windows(
        self, run: Run, symbol: str, timeframe: str, window_ms: tuple[int, int], *, server_ms: int, totals: _Totals
    ) -> Iterator[tuple[int, int]]:
        """Store one instrument in explicit windows, each committed by itself, so that a crash loses at most one.

        Yields (candles so far, candles expected).
        """
        start_ms, end_ms = window_ms
        step_ms = timeframe_s(timeframe) * 1000
        for chunk_ms in range(start_ms, end_ms, self._chunk * step_ms):
            chunk = (chunk_ms, min(chunk_ms + self._chunk * step_ms, end_ms))
            series = self._market.candles(symbol, timeframe, since_ms=chunk[0], until_ms=chunk[1])
            good, refused = split_candles(series, timeframe, window_ms=chunk, server_ms=server_ms)
            at = self._clock.now()
            with self._ledger.transaction() as books:
                change = books.candles.upsert(symbol, timeframe, good, at=at, run=run)
                if refused:
                    books.candles.quarantine(symbol, timeframe, refused, at=at, run=run)
            totals.inserted += change.inserted
            totals.revised += change.revised
            totals.quarantined += len(refused)
            if change.inserted or change.revised or refused:
                log_event(
                    logger,
                    "candles_stored",
                    symbol=symbol,
                    timeframe=timeframe,
                    inserted=change.inserted,
                    revised=change.revised,
                    quarantined=len(refused),
                    newest_open=from_ms(int(good.open_ms[-1])) if len(good) else None,
                )
            yield (chunk[1] - start_ms) // step_ms, max(0, (end_ms - start_ms) // step_ms)


def _together(reports: Sequence[IngestReport]) -> IngestReport:
    """The sum of several timeframes' reports; the newest close by instrument is that of any timeframe."""
    newest: dict[str, datetime] = {}
    for report in reports:
        for symbol, close_at in report.newest_close.items():
            newest[symbol] = max(close_at, newest.get(symbol, close_at))
    return IngestReport(
        inserted=sum(report.inserted for report in reports),
        revised=sum(report.revised for report in reports),
        quarantined=sum(report.quarantined for report in reports),
        newest_close=newest,
        failed={symbol: why for report in reports for symbol, why in report.failed.items()},
    )


def _window(request: IngestRequest, newest_open_ms: int | None, server_ms: int) -> tuple[int, int]:
    """[start, end) on the grid: what is stored is not read again, but for the last few candles."""
    step_ms = timeframe_s(request.timeframe) * 1000
    end_ms = min(server_ms, to_ms(request.until)) if request.until else server_ms
    if request.since is not None:
        start_ms = to_ms(request.since)
    elif newest_open_ms is not None:
        start_ms = newest_open_ms - (REREAD_CANDLES - 1) * step_ms
    else:
        start_ms = end_ms - int(request.history.total_seconds() * 1000)
    return start_ms // step_ms * step_ms, end_ms


def _silent(_timeframe: str, _symbol: str, _done: int, _expected: int) -> None:
    """Show nothing."""
