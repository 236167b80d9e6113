"""The ledger's candles as a backtest takes them: those that live would have seen."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from trading.domain.market import from_ms, timeframe_s, to_ms
from trading.errors import ConfigurationError, DataError
from trading.flows.backtest import Candles
from trading.flows.trusted_panel import trusted_panel
from trading.ports.candles import CandleStore
from trading.ports.ledger import Ledger


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
        first_ms, end_ms = _stored_span(books.candles, chosen, timeframe)
        step_ms = timeframe_s(timeframe) * 1000
        if since:
            first_ms = max(first_ms, -(-to_ms(since) // step_ms) * step_ms)
        if until:
            end_ms = min(end_ms, to_ms(until) // step_ms * step_ms)
        rows = max(0, (end_ms - first_ms) // step_ms)
        panel = trusted_panel(books.candles, chosen, timeframe, until=from_ms(end_ms), candles=rows)
    if not np.isfinite(panel.close).any():
        raise DataError(
            f"no {timeframe} candle of {', '.join(chosen)} is stored from {since or 'the start'} to"
            f" {until or 'the end'}: choose another stretch"
        )
    return Candles(panel=panel, instruments=known, source="the ledger")


def _stored_span(store: CandleStore, symbols: Sequence[str], timeframe: str) -> tuple[int, int]:
    """From the first stored open to the last close, in ms. Raises DataError where nothing is stored."""
    newest = store.newest_open_ms(symbols, timeframe)
    oldest = [open_ms for open_ms in (store.oldest_open_ms(symbol, timeframe) for symbol in newest) if open_ms]
    if not oldest:
        raise DataError(
            f"no {timeframe} candle of {', '.join(symbols)} is stored: run `trading ingest --timeframe {timeframe}`,"
            " or use `--data sample` or a folder"
        )
    return min(oldest), max(newest.values()) + timeframe_s(timeframe) * 1000
