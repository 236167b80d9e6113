"""Files of candles: read in batches, written in batches, so that no file has to fit into memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from trading.domain.market import CandleSeries

#: Candles of one instrument, in the order in which the file has them.
Batch = tuple[str, CandleSeries]


class CandleFiles(Protocol):
    """CSV and Parquet files with timestamp_ms, open, high, low, close, volume and, where there are several, symbol."""

    def timeframe(self, path: Path) -> str:
        """The timeframe that the file's name ends with. Raises ConfigurationError for another name."""
        ...

    def read(self, path: Path, instrument: str | None = None) -> Iterator[Batch]:
        """The candles of a file; of `instrument` where it has no column of symbols, or else of the one in its name.

        Raises DataError for what is no such file.
        """
        ...

    def write(self, path: Path, batches: Iterable[Batch], *, timeframe: str) -> int:
        """Write a Parquet file whole or not at all; its rows. Raises ConfigurationError where it is there already."""
        ...
