"""Ingest: the venue's closed candles, checked, into the store."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.market import Instrument, from_ms, timeframe_s, to_ms
from trading.errors import ConfigurationError, DataError, ExchangeError, ExchangeUnavailable
from trading.flows.recording import recorded
from trading.flows.store_candles import REREAD_CANDLES, Window, is_complete, store_window
from trading.logging.events import log_event
from trading.ports.ledger import Ledger
from trading.ports.market import MarketData

logger = logging.getLogger(__name__)

#: (timeframe, instrument, candles so far, candles expected)
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestReport:
    """What one ingest did, and the newest close by instrument."""

    inserted: int
    revised: int
    quarantined: int
    newest_close: dict[str, datetime]
    gaps: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what became of them."""
        return {
            "candles": self.inserted,
            "revised": self.revised,
            "quarantined": self.quarantined,
            "gaps": self.gaps,
            "failed_instruments": len(self.failed),
        }

    @property
    def event(self) -> dict[str, object]:
        """What an asset's event says of it beside the counts."""
        return {"newest_close": max(self.newest_close.values()).isoformat() if self.newest_close else None}


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestRequest:
    """From the newest stored candle on, or from `since`; `history` back where nothing is stored.

    `only_missing` leaves windows alone of which everything is stored or known to be missing. `jump_accepted`: a person
    has looked at a leap in the price, and it is right.
    """

    instruments: tuple[str, ...]
    timeframe: str
    history: timedelta
    since: datetime | None = None
    until: datetime | None = None
    only_missing: bool = False
    jump_accepted: bool = False

    def reaching_back(self, history: timedelta) -> "IngestRequest":
        """The same request with that much history where nothing is stored yet."""
        return replace(self, history=history)


@dataclass
class _Totals:
    """Rows so far."""

    inserted: int = 0
    revised: int = 0
    quarantined: int = 0
    gaps: int = 0


class Ingest:
    """Bring the stored candles up to the venue's clock. `every_candle`: it makes one where nothing was traded too."""

    def __init__(
        self,
        ledger: Ledger,
        market: MarketData,
        clock: Clock,
        *,
        chunk_candles: int = 5_000,
        every_candle: bool = True,
    ) -> None:
        self._every_candle = every_candle
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._chunk = chunk_candles

    def run(
        self, run: Run, requests: Sequence[IngestRequest], progress: Progress | None = None, *, flow: str = "ingest"
    ) -> IngestReport:
        """Ingest every instrument; a bad one never stops the others. Raises ExchangeUnavailable where all failed.

        `flow` names it in the books: one run may hold several, each of its own name.
        """
        show = progress or _silent
        return recorded(
            self._ledger,
            self._clock,
            run,
            flow,
            lambda: _together([self._ingest(run, request, show) for request in requests]),
        )

    def _ingest(self, run: Run, request: IngestRequest, progress: Progress) -> IngestReport:
        server_time = self._market.server_time()
        known = self._refresh_instruments(run, request, server_time)
        server_ms = to_ms(server_time)
        with self._ledger.transaction() as books:
            newest = books.candles.newest_open_ms(request.instruments, request.timeframe)
        totals = _Totals()
        failed: dict[str, str] = {}
        for symbol in request.instruments:
            window_ms = _window(request, newest.get(symbol), server_ms)
            try:
                _require_alive(known[symbol], request)
                for done in self._windows(run, symbol, request, window_ms, server_ms=server_ms, totals=totals):
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
            gaps=totals.gaps,
            newest_close={symbol: from_ms(open_ms + step_ms) for symbol, open_ms in newest.items()},
            failed=failed,
        )

    def _refresh_instruments(self, run: Run, request: IngestRequest, server_time: datetime) -> dict[str, Instrument]:
        """The instruments with the venue's filters, by symbol.

        They are fetched where one is missing or does not trade, and once an hour, in its first minute.
        """
        with self._ledger.transaction() as books:
            known = books.instruments.all()
        if server_time.minute and all(symbol in known and known[symbol].trading for symbol in request.instruments):
            return known
        instruments = self._listed(request.instruments, known)
        with self._ledger.transaction() as books:
            changed = books.instruments.save(instruments, at=self._clock.now(), run=run)
        if changed:
            log_event(logger, "instruments_changed", instruments=[i.symbol for i in instruments], changed=changed)
        return known | {instrument.symbol: instrument for instrument in instruments}

    def _listed(self, symbols: Sequence[str], known: Mapping[str, Instrument]) -> list[Instrument]:
        """The venue's filters; of one that it lists no more, or as another thing, the last known, as not trading."""
        try:
            return self._market.instruments(symbols)
        except (ConfigurationError, DataError):
            instruments = []
            for symbol in symbols:
                try:
                    instruments += self._market.instruments([symbol])
                except (ConfigurationError, DataError) as error:
                    if symbol not in known:
                        raise  # never traded here: a mistake in the portfolio file
                    instruments.append(replace(known[symbol], trading=False))
                    log_event(logger, "instrument_not_listed", level=logging.ERROR, symbol=symbol, reason=str(error))
            return instruments

    def _windows(
        self,
        run: Run,
        symbol: str,
        request: IngestRequest,
        window_ms: tuple[int, int],
        *,
        server_ms: int,
        totals: _Totals,
    ) -> Iterator[tuple[int, int]]:
        """Store one instrument in explicit windows, each committed by itself, so that a crash loses at most one.

        Yields (candles so far, candles expected).
        """
        start_ms, end_ms = window_ms
        step_ms = timeframe_s(request.timeframe) * 1000
        for chunk_ms in range(start_ms, end_ms, self._chunk * step_ms):
            window = Window(
                symbol=symbol,
                timeframe=request.timeframe,
                window_ms=(chunk_ms, min(chunk_ms + self._chunk * step_ms, end_ms)),
                server_ms=server_ms,
                every_candle=self._every_candle,
                jump_accepted=request.jump_accepted,
            )
            if not (request.only_missing and self._is_complete(window)):
                since_ms, until_ms = window.window_ms
                series = self._market.candles(symbol, request.timeframe, since_ms=since_ms, until_ms=until_ms)
                stored = store_window(self._ledger, window, series, at=self._clock.now(), run=run)
                totals.inserted += stored.inserted
                totals.revised += stored.revised
                totals.quarantined += stored.quarantined
                totals.gaps += stored.gaps
            yield (window.window_ms[1] - start_ms) // step_ms, max(0, (end_ms - start_ms) // step_ms)

    def _is_complete(self, window: Window) -> bool:
        with self._ledger.transaction() as books:
            return is_complete(books.candles, window)


def _require_alive(instrument: Instrument, request: IngestRequest) -> None:
    """Raise DataError for new candles of what the venue does not trade now; its past may be read."""
    if request.since is None and not instrument.trading:
        raise DataError(f"{instrument.symbol}: the venue does not trade it now, so its candles stop here")


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
        gaps=sum(report.gaps for report in reports),
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
