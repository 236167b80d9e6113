"""Files of candles through arro3, the Rust readers of Apache Arrow: CSV, gzipped CSV and Parquet, in batches.

Imported only when a file is read or written.
"""

import gzip
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import read_csv, read_parquet, write_parquet
from numpy.typing import NDArray

from trading.domain.market import TIMEFRAMES, CandleSeries
from trading.errors import ConfigurationError, DataError
from trading.ports.candle_files import Batch

_NUMBERS: Final = ("open", "high", "low", "close", "volume")
_COLUMNS: Final = ("timestamp_ms", *_NUMBERS)
_BATCH_ROWS: Final = 32_768
#: Longer than any header that names these columns; a file without a line end is not read into memory for one.
_LONGEST_HEADER: Final = 4_096
#: Beyond the year 9999 there are no dates.
_LAST_MS: Final = 253_402_300_799_999
_TIMEFRAME: Final = re.compile(r"_(?P<timeframe>[0-9]+[mhd])\.(csv|csv\.gz|parquet)$")
_INSTRUMENT: Final = re.compile(r"(?:^|_)(?P<base>[A-Z0-9]+)-(?P<quote>[A-Z0-9]+)_")
_PARQUET_MARK: Final = b"PAR1"


class ArrowCandleFiles:
    """CandleFiles."""

    def timeframe(self, path: Path) -> str:
        """The timeframe that the file's name ends with. Raises ConfigurationError for another name."""
        match = _TIMEFRAME.search(path.name)
        if match is None or match["timeframe"] not in TIMEFRAMES:
            raise ConfigurationError(
                f"{path.name}: expected a name like BTC-USDT_1m.csv.gz or candles_5m.parquet with a timeframe of"
                f" {', '.join(TIMEFRAMES)}; rename it, or say --timeframe"
            )
        return match["timeframe"]

    def read(self, path: Path, instrument: str | None = None) -> Iterator[Batch]:
        """The candles of a file; of `instrument` where it has no column of symbols, or else of the one in its name.

        Raises DataError for what is no such file, ConfigurationError where it cannot be opened or names no instrument.
        """
        with _reading(path), _opened(path) as reader:
            lacking = [name for name in _COLUMNS if name not in reader.schema.names]
            if lacking:
                raise DataError(
                    f"{path.name}: expected the columns {', '.join(_COLUMNS)}, there is no {', '.join(lacking)}"
                )
            named = "symbol" in reader.schema.names
            symbol = "" if named else instrument or _instrument(path)
            for batch in reader:
                series = _series(path, batch)
                if named:
                    yield from _by_symbol(series, batch.column("symbol").to_pylist(), only=instrument)
                else:
                    yield symbol, series

    def write(self, path: Path, batches: Iterable[Batch], *, timeframe: str) -> int:
        """Write a Parquet file whole or not at all; its rows. Raises ConfigurationError where it is there already."""
        if path.exists():
            raise ConfigurationError(f"{path} exists: expected a new file; remove it or name another")
        rows = 0

        def counted() -> Iterator[Any]:
            nonlocal rows
            for symbol, series in batches:
                rows += len(series)
                yield _batch(symbol, series)

        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            write_parquet(
                RecordBatchReader.from_batches(_SCHEMA, counted()),
                str(unfinished),
                compression="zstd(3)",
                key_value_metadata={"timeframe": timeframe},
            )
            unfinished.rename(path)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written ({error.strerror or error})") from None
        finally:
            unfinished.unlink(missing_ok=True)
        return rows


_SCHEMA: Final = Schema(
    [
        Field("symbol", DataType.utf8()),
        Field("timestamp_ms", DataType.int64()),
        *(Field(name, DataType.float64()) for name in _NUMBERS),
    ]
)


def _batch(symbol: str, series: CandleSeries) -> Any:
    symbols = Array([symbol] * len(series), type=DataType.utf8())
    columns = [Array.from_numpy(np.ascontiguousarray(getattr(series, name))) for name in ("open_ms", *_NUMBERS)]
    return RecordBatch.from_arrays([symbols, *columns], schema=_SCHEMA)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a reader makes of a broken file as one DataError. A panic of Rust is no `Exception` to Python."""
    try:
        yield
    except (DataError, ConfigurationError):
        raise
    except OSError as error:
        raise DataError(f"{path}: expected a readable file of candles ({error.strerror or error})") from None
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise DataError(f"{path.name}: expected candles, the reader says: {str(error)[:200]}") from None
        raise


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A reader of the file's batches, closed with it."""
    with path.open("rb") as file:
        if path.suffix == ".parquet":
            _require_parquet(path, file)
            yield read_parquet(str(path), batch_size=_BATCH_ROWS)
        elif path.suffix == ".gz":
            with gzip.open(file, "rb") as text:
                yield _csv(path, text)
        else:
            yield _csv(path, file)


def _require_parquet(path: Path, file: IO[bytes]) -> None:
    """Raise DataError for what is no Parquet file, before its reader panics."""
    start = file.read(len(_PARQUET_MARK))
    size = file.seek(0, 2)
    file.seek(max(0, size - len(_PARQUET_MARK)))
    if not start == file.read() == _PARQUET_MARK:
        raise DataError(f"{path.name}: expected a whole Parquet file, it lacks the mark at its start or end")


def _csv(path: Path, text: Any) -> Any:
    """A reader of CSV: the types of its columns follow from the names in its header."""
    header = text.readline(_LONGEST_HEADER).decode("utf-8", errors="replace").strip()
    kinds = {"timestamp_ms": DataType.int64(), **dict.fromkeys(_NUMBERS, DataType.float64())}
    fields = [Field(name, kinds.get(name, DataType.utf8())) for name in header.split(",")]
    if "timestamp_ms" not in header:
        raise DataError(f"{path.name}: expected a first line with {','.join(_COLUMNS)}, got {header[:80]!r}")
    return read_csv(text, Schema(fields), has_header=False, batch_size=_BATCH_ROWS)


def _series(path: Path, batch: Any) -> CandleSeries:
    open_ms = _column(path, batch, "timestamp_ms", DataType.int64())
    if len(open_ms) and not 0 <= int(open_ms.min()) <= int(open_ms.max()) <= _LAST_MS:
        raise DataError(
            f"{path.name}: expected timestamp_ms between 1970 and 9999, got {open_ms.min()}…{open_ms.max()}"
        )
    return CandleSeries(open_ms, *(_column(path, batch, name, DataType.float64()) for name in _NUMBERS))


def _column(path: Path, batch: Any, name: str, kind: Any) -> NDArray[Any]:
    column = batch.column(name).cast(kind)
    if column.null_count:
        raise DataError(f"{path.name}: expected a number in each row of {name}, {column.null_count} are empty")
    return column.to_numpy()  # type: ignore[no-any-return]


def _by_symbol(series: CandleSeries, symbols: list[str], *, only: str | None) -> Iterator[Batch]:
    """Runs of rows of one symbol."""
    names = np.array(symbols)
    starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    for start, end in pairwise(starts):
        if end > start and only in (None, symbols[start]):
            yield symbols[start], series.take(np.arange(start, end))


def _instrument(path: Path) -> str:
    match = _INSTRUMENT.search(path.name)
    if match is None:
        raise ConfigurationError(
            f"{path.name}: expected a column symbol, a name like BTC-USDT_1m.csv.gz, or --instrument"
        )
    return f"{match['base']}/{match['quote']}"
