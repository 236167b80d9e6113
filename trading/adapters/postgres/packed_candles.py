"""Candles as PostgreSQL's own binary formats, whole series at a time: no object a value on either way."""

import struct
from datetime import datetime
from typing import Final

import numpy as np

from trading.domain.market import CandleSeries, to_ms

#: Milliseconds from 1970 to 2000, where PostgreSQL's binary times start.
_POSTGRES_EPOCH_MS: Final = 946_684_800_000
#: One candle as the query `panel` packs it.
_PACKED: Final = np.dtype([("time_us", ">i8"), ("values", ">f8", (5,))])
#: What a binary COPY starts and ends with.
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER: Final = struct.pack(">h", -1)
_FIELDS: Final = 10
_NUMBERS: Final = ("open", "high", "low", "close", "volume")


def unpacked(packed: bytes) -> CandleSeries:
    """The candles of one packed row of the query `panel`, in its order."""
    rows = np.frombuffer(packed, dtype=_PACKED)
    values = rows["values"].T.astype(np.float64)
    return CandleSeries(rows["time_us"] // 1000 + _POSTGRES_EPOCH_MS, *values)


def copy_rows(instrument: str, timeframe: str, series: CandleSeries, *, run_id: str, at: datetime) -> bytes:
    """A binary COPY of instrument, timeframe, open_time, open, high, low, close, volume, run_id, ingested_at.

    Each row is the number of its fields, then each field's length and bytes: all rows have the same lengths.
    """
    texts = {"instrument": instrument.encode(), "timeframe": timeframe.encode(), "run_id": run_id.encode()}
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name in ("instrument", "timeframe", "open_time", *_NUMBERS, "run_id", "ingested_at"):
        kind = f"V{len(texts[name])}" if name in texts else ">f8" if name in _NUMBERS else ">i8"
        layout += [(f"{name}_length", ">i4"), (name, kind)]
    rows = np.empty(len(series), dtype=layout)
    rows["fields"] = _FIELDS
    for name, _ in layout[2::2]:
        rows[f"{name}_length"] = rows.dtype[name].itemsize
    for name, text in texts.items():
        rows[name] = np.void(text)
    rows["open_time"] = (series.open_ms - _POSTGRES_EPOCH_MS) * 1000
    rows["ingested_at"] = (to_ms(at) - _POSTGRES_EPOCH_MS) * 1000 + at.microsecond % 1000
    for name in _NUMBERS:
        rows[name] = getattr(series, name)
    return _HEADER + rows.tobytes() + _TRAILER
