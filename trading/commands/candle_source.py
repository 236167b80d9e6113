"""Where a backtest's candles come from: the ledger, a folder of candle files, or the sample that is shipped."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from trading.adapters.binance_answers import instrument
from trading.commands.invocation import open_manager
from trading.domain.candles import aligned
from trading.domain.market import CandleSeries, Instrument, timeframe_s, to_ms
from trading.domain.resampling import aggregated
from trading.errors import ConfigurationError, DataError
from trading.flows.backtest import Candles
from trading.flows.stored_candles import stored_candles
from trading.paper.candle_files import CandleFile, read_candle_file
from trading.paper.opening import SAMPLE

#: Words that stand for no folder.
STORED: Final = "stored"
SHIPPED: Final = "sample"


def candles_from(
    source: str,
    *,
    instruments: Sequence[str],
    timeframe: str,
    since: datetime | None,
    until: datetime | None,
    warmup: int,
) -> Candles:
    """The candles of these instruments (none: all that the source has), with `warmup` more before `since`.

    Raises ConfigurationError for a folder or instrument that is not there, DataError where the range is empty.
    """
    early = since - timedelta(seconds=timeframe_s(timeframe) * (warmup - 1)) if since else None
    if source == STORED:
        with open_manager() as manager:
            return stored_candles(manager.ledger, instruments, timeframe, early, until)
    return _from_folder(SAMPLE if source == SHIPPED else Path(source), instruments, timeframe, early, until)


def _from_folder(
    folder: Path, names: Sequence[str], timeframe: str, since: datetime | None, until: datetime | None
) -> Candles:
    wanted_s = timeframe_s(timeframe)
    found: dict[str, dict[int, Path]] = {}
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")]):
        name, _, rest = path.name.partition("_")
        found.setdefault(name.replace("-", "/"), {})[timeframe_s(rest.partition(".")[0])] = path
    if not found:
        raise ConfigurationError(f"{folder}: expected candle files like BTC-USDT_1h.csv.gz, found none")
    _require_known(names, found, f"in {folder}")
    exact = [symbol for symbol, files in found.items() if wanted_s in files]
    chosen = list(names) or exact or list(found)
    series = {symbol: _series(found[symbol], symbol, timeframe) for symbol in chosen}
    step_ms = wanted_s * 1000
    first_ms = max(min(int(one.open_ms[0]) for one in series.values()), to_ms(since) if since else 0)
    end_ms = min(max(int(one.open_ms[-1]) for one in series.values()) + step_ms, to_ms(until) if until else 2**62)
    first_ms, end_ms = -(-first_ms // step_ms) * step_ms, end_ms // step_ms * step_ms
    source = "the shipped sample" if folder == SAMPLE else str(folder)
    _require_some(end_ms - first_ms, timeframe, chosen, (since, until), source)
    panel = aligned(series, timeframe, first_ms=first_ms, end_ms=end_ms)
    return Candles(panel=panel, instruments=_filters(folder, chosen), source=source)


def _series(files: Mapping[int, Path], symbol: str, timeframe: str) -> CandleSeries:
    """The file of that timeframe, or the coarsest that it can be put together from."""
    wanted_s = timeframe_s(timeframe)
    finer = [seconds for seconds in files if wanted_s % seconds == 0]
    if not finer:
        raise ConfigurationError(f"{symbol}: expected a file of {timeframe} or finer, found {sorted(files.values())}")
    series = _parsed(read_candle_file(files[max(finer)]))
    return series if max(finer) == wanted_s else aggregated(series, timeframe)


def _parsed(file: CandleFile) -> CandleSeries:
    try:
        rows = np.array(orjson.loads(b"[" + b",".join(file.lines) + b"]"), dtype=np.float64).reshape(-1, 6)
    except ValueError as error:
        raise DataError(f"{file.path.name}: expected six numbers a line: {error}") from None
    first, high, low, close, volume = (np.ascontiguousarray(rows[:, part]) for part in range(1, 6))
    return CandleSeries(np.array(file.open_ms, dtype=np.int64), first, high, low, close, volume)


def _filters(folder: Path, symbols: Sequence[str]) -> dict[str, Instrument]:
    """The instruments' filters: from the folder's exchange_info.json, or from the sample's."""
    path = folder / "exchange_info.json"
    info = json.loads((path if path.is_file() else SAMPLE / "exchange_info.json").read_text(encoding="utf-8"))
    entries = {f"{entry['baseAsset']}/{entry['quoteAsset']}": entry for entry in info["symbols"]}
    for symbol in symbols:
        if symbol not in entries:
            raise ConfigurationError(f"{symbol}: expected its filters in {path}, as Binance's exchangeInfo states them")
    return {symbol: instrument(entries[symbol], symbol) for symbol in symbols}


def _require_known(names: Sequence[str], known: Mapping[str, object], where: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(f"unknown instrument {name}: expected one of {', '.join(sorted(known))} {where}")


def _require_some(
    rows: int, timeframe: str, names: Sequence[str], between: tuple[datetime | None, datetime | None], source: str
) -> None:
    if rows <= 0:
        since, until = (
            one.isoformat() if one else end for one, end in zip(between, ("the start", "the end"), strict=True)
        )
        bounds = f" from {since} to {until}"
        raise DataError(f"no {timeframe} candle of {', '.join(names)}{bounds} in {source}: choose another range")
