"""The candles that a strategy may see: what is stored, and periods that are known to be quiet; the rest is NaN."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from trading.domain.gaps import with_quiet_periods
from trading.domain.market import Panel, from_ms, timeframe_s
from trading.ports.candles import CandleStore


def trusted_panel(
    store: CandleStore,
    instruments: Sequence[str],
    timeframe: str,
    *,
    until: datetime,
    candles: int,
    known_at: datetime | None = None,
) -> Panel:
    """The `candles` grid rows that end at `until`; as they were known then, with `known_at`.

    A period in which the venue made no candle because nothing was traded is flat, with volume 0. An outage is NaN.
    """
    panel = store.panel(instruments, timeframe, until=until, candles=candles, known_at=known_at)
    lacking = [
        symbol for symbol, column in zip(panel.instruments, panel.close.T, strict=True) if np.isnan(column).any()
    ]
    if not lacking:
        return panel
    since_ms, until_ms = int(panel.open_ms[0]), int(panel.open_ms[-1]) + timeframe_s(timeframe) * 1000
    gaps = {
        symbol: store.gaps(symbol, timeframe, since_ms=since_ms, until_ms=until_ms, known_at=known_at)
        for symbol in lacking
    }
    closes_before: dict[str, float] = {}
    for symbol, found in gaps.items():
        if found and found[0].from_ms <= since_ms < found[0].to_ms:
            begins = from_ms(found[0].from_ms)
            before = store.panel([symbol], timeframe, until=begins, candles=1, known_at=known_at)
            closes_before[symbol] = float(before.close[0, 0])
    return with_quiet_periods(panel, gaps, closes_before)
