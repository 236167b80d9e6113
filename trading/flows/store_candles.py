"""One window of candles into the store, in one transaction: what may be trusted, what is refused, what is missing."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.candles import leaps, split_candles
from trading.domain.gaps import gaps_after, missing_opens
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, from_ms, timeframe_s
from trading.errors import DataError
from trading.logging.events import log_event
from trading.ports.candles import CandleStore
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)

#: Venues restate, and may be late: the last few candles are read again, and none of them is called missing yet.
REREAD_CANDLES: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What was asked for, [start, end), and what is known of whoever answered.

    `server_ms` is the venue's clock. `every_candle`: it makes one for a period without trades too. `jump_accepted`: a
    person has looked at the leap in price, and it is right.
    """

    symbol: str
    timeframe: str
    window_ms: tuple[int, int]
    server_ms: int
    every_candle: bool = True
    jump_accepted: bool = False

    @property
    def step_ms(self) -> int:
        """Milliseconds between two opens."""
        return timeframe_s(self.timeframe) * 1000

    @property
    def closed_ms(self) -> tuple[int, int]:
        """The part of the window whose candles are closed."""
        return self.window_ms[0], min(self.window_ms[1], self.server_ms // self.step_ms * self.step_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Rows by what became of them; `gaps` are those that were noted."""

    inserted: int
    revised: int
    quarantined: int
    gaps: int


def store_window(ledger: Ledger, window: Window, series: CandleSeries, *, at: datetime, run: Run) -> Stored:
    """Store what may be trusted of `series`, keep what is refused, and note what is missing.

    Raises DataError, storing nothing, where the price leaves its scale: that instrument may be another thing now.
    """
    symbol, timeframe = window.symbol, window.timeframe
    good, refused = split_candles(series, timeframe, window_ms=window.window_ms, server_ms=window.server_ms)
    with ledger.transaction() as books:
        candles = books.candles
        _require_scale(candles, window, good)
        change = candles.upsert(symbol, timeframe, good, at=at, run=run)
        if refused:
            candles.quarantine(symbol, timeframe, refused, at=at, run=run)
        refused_ms = np.array([candle.open_ms for candle in refused], dtype=np.int64)
        noted = _note_gaps(candles, window, good, refused_ms, at=at, run=run)
    stored = Stored(inserted=change.inserted, revised=change.revised, quarantined=len(refused), gaps=noted)
    if change.inserted or change.revised or refused or noted:
        log_event(
            logger,
            "candles_stored",
            symbol=symbol,
            timeframe=timeframe,
            inserted=stored.inserted,
            revised=stored.revised,
            quarantined=stored.quarantined,
            gaps=stored.gaps,
            newest_open=from_ms(int(good.open_ms[-1])) if len(good) else None,
        )
    return stored


def is_complete(candles: CandleStore, window: Window) -> bool:
    """Whether each closed candle of the window is stored or known to be missing."""
    since_ms, until_ms = window.closed_ms
    if window.window_ms[1] > window.server_ms - REREAD_CANDLES * window.step_ms:
        return False
    series = candles.series(window.symbol, window.timeframe, since_ms=since_ms, until_ms=until_ms)
    missing = missing_opens(series.open_ms, (since_ms, until_ms), window.step_ms)
    if not len(missing):
        return True
    known = np.zeros(len(missing), dtype=bool)
    for gap in candles.gaps(window.symbol, window.timeframe, since_ms=since_ms, until_ms=until_ms):
        known |= (missing >= gap.from_ms) & (missing < gap.to_ms)
    return bool(known.all())


def _require_scale(candles: CandleStore, window: Window, good: CandleSeries) -> None:
    """Raise DataError where the price leaps from a close to the next open, which no trading does.

    What is stored was accepted when it was.
    """
    if window.jump_accepted or not len(good):
        return
    symbol, timeframe = window.symbol, window.timeframe
    found = leaps(good, candles.close_before(symbol, timeframe, int(good.open_ms[0])))
    for open_ms, leap in found.items():
        if len(candles.series(symbol, timeframe, since_ms=open_ms, until_ms=open_ms + 1)):
            continue
        raise DataError(
            f"{symbol} {timeframe}: the price leaps {leap}, which no trading does: was the instrument"
            " re-scaled, or its name given to another thing? Nothing of this window was stored; look, and either take"
            " the instrument out of the portfolio file or store it with --accept-jump"
        )


def _note_gaps(
    candles: CandleStore, window: Window, good: CandleSeries, refused_ms: NDArray[np.int64], *, at: datetime, run: Run
) -> int:
    """Bring the known gaps in line with what the window lacks now; the number of those that are new."""
    symbol, timeframe, closed_ms = window.symbol, window.timeframe, window.closed_ms
    missing = missing_opens(good.open_ms, closed_ms, window.step_ms)
    before = candles.gaps(symbol, timeframe, since_ms=closed_ms[0], until_ms=max(closed_ms))
    if not len(missing) and not before:
        return 0
    stored = candles.series(symbol, timeframe, since_ms=closed_ms[0], until_ms=max(closed_ms)) if len(missing) else good
    missing = missing_opens(stored.open_ms, closed_ms, window.step_ms)
    missing = missing[_is_settled(candles, window, missing)]
    is_outage = np.isin(missing, refused_ms) | window.every_candle
    after = gaps_after(
        before,
        window_ms=closed_ms,
        outages_ms=missing[is_outage],
        quiet_ms=missing[~is_outage],
        timeframe=timeframe,
    )
    gone = [gap for gap in before if gap not in after]
    noted = [gap for gap in after if gap not in before]
    if gone or noted:
        candles.change_gaps(symbol, timeframe, gone=gone, noted=noted, at=at, run=run)
    return len(noted)


def _is_settled(candles: CandleStore, window: Window, missing: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the missing opens are gaps: after the first candle of all, and before a later one or long enough ago."""
    first_ms = candles.oldest_open_ms(window.symbol, window.timeframe)
    if first_ms is None:
        return np.zeros(len(missing), dtype=bool)
    newest_ms = candles.newest_open_ms([window.symbol], window.timeframe)[window.symbol]
    closed_ms = window.server_ms // window.step_ms * window.step_ms
    settled_ms = max(newest_ms, closed_ms - REREAD_CANDLES * window.step_ms)
    return (missing > first_ms) & (missing < settled_ms)
