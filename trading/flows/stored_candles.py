"""The ledger's candles as a backtest takes them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from trading.domain.candles import aligned
from trading.domain.market import CandleSeries, Panel, from_ms, timeframe_s, to_ms
from trading.errors import ConfigurationError, DataError
from trading.flows.backtest import Candles
from trading.ports.candles import CandleStore
from trading.ports.ledger import Ledger

#: Candles are read in stretches of this many.
_STRETCH: Final = 200_000
_COLUMNS: Final = ("open_ms", "open", "high", "low", "close", "volume")


def stored_candles(
    ledger: Ledger, names: Sequence[str], timeframe: str, since: datetime | None, until: datetime | None
) -> Candles:
    """Those of `names`, or of all instruments. Raises ConfigurationError or DataError for what is not there."""
    with ledger.transaction() as books:
        known = books.instruments.all()
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"unknown instrument {name}: expected one of {', '.join(sorted(known)) or 'none'}, which are"
                    " stored; run `trading ingest` first"
                )
        chosen = list(names or known)
        newest = books.candles.newest_open_ms(chosen, timeframe)
        if not newest:
            raise DataError(
                f"no {timeframe} candle of {', '.join(chosen)} is stored: run `trading ingest --timeframe {timeframe}`,"
                " or use `--data sample` or a folder"
            )
        step_ms = timeframe_s(timeframe) * 1000
        end_ms = min(max(newest.values()) + step_ms, to_ms(until) if until else 2**62) // step_ms * step_ms
        first_ms = -(-to_ms(since) // step_ms) * step_ms if since else 0
        series = _read_back(books.candles, chosen, timeframe, first_ms, end_ms)
    opens = [int(one.open_ms[0]) for one in series.values() if len(one)]
    if not opens:
        raise DataError(
            f"no {timeframe} candle of {', '.join(chosen)} is stored from {since or 'the start'} to"
            f" {until or 'the end'}: choose another stretch"
        )
    panel = aligned(series, timeframe, first_ms=min(opens), end_ms=end_ms)
    return Candles(panel=panel, instruments=known, source="the ledger")


def _read_back(
    store: CandleStore, symbols: Sequence[str], timeframe: str, first_ms: int, end_ms: int
) -> dict[str, CandleSeries]:
    """What is stored of [first_ms, end_ms), read backwards until a whole stretch is empty."""
    step_ms = timeframe_s(timeframe) * 1000
    stretches: list[Panel] = []
    while end_ms > first_ms:
        candles = min(_STRETCH, (end_ms - first_ms) // step_ms)
        stretch = store.panel(symbols, timeframe, until=from_ms(end_ms), candles=candles)
        if not np.isfinite(stretch.close).any():
            break
        stretches.insert(0, stretch)
        end_ms -= candles * step_ms
    found = {}
    for column, symbol in enumerate(symbols):
        parts = [
            CandleSeries(
                one.open_ms, *(values[:, column] for values in (one.open, one.high, one.low, one.close, one.volume))
            )
            for one in stretches
        ]
        kept = [part.take(np.isfinite(part.close)) for part in parts]
        joined = (np.concatenate([getattr(part, name) for part in kept]) for name in _COLUMNS) if kept else ()
        found[symbol] = CandleSeries(*joined) if kept else CandleSeries.from_rows([])
    return found
