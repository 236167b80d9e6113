"""Reading a folder of candle files: `<BASE>-<QUOTE>_<timeframe>.csv.gz` (or `.csv`).

Columns `timestamp_ms,open,high,low,close,volume`: the candle's open in UTC milliseconds, prices in quote, volume in
base; ascending, on the timeframe's grid, without duplicates; gaps are allowed. Numbers stay text until somebody asks
for a candle, so that 130,000 rows are read in a fraction of a second and every digit survives.
"""

import gzip
import re
from array import array
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from trading.domain.market import TIMEFRAMES, Candle, from_ms
from trading.errors import ConfigurationError, DataError

COLUMNS: Final = b"timestamp_ms,open,high,low,close,volume"
_ENDLESS: Final = Decimal("Infinity")
_NAME: Final = re.compile(r"^(?P<base>[A-Z0-9]+)-(?P<quote>[A-Z0-9]+)_(?P<timeframe>[0-9]+[mhd])\.csv(\.gz)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleFile:
    """One instrument's candles, with the times that the file has."""

    path: Path
    base: str
    quote: str
    timeframe: str
    open_ms: "array[int]" = field(repr=False)
    lines: list[bytes] = field(repr=False)

    @property
    def timeframe_ms(self) -> int:
        """Milliseconds between two opens."""
        return TIMEFRAMES[self.timeframe] * 1000

    @property
    def end_ms(self) -> int:
        """When the last candle closes."""
        return self.open_ms[-1] + self.timeframe_ms

    def candle(self, row: int, shift_ms: int = 0) -> Candle:
        """The candle in `row`, moved in time by `shift_ms`. Raises DataError naming file and line."""
        try:
            _, *texts = self.lines[row].decode("ascii").split(",")
            first, high, low, close, volume = (Decimal(text) for text in texts)
            sane = 0 < low <= min(first, close) <= max(first, close) <= high < _ENDLESS and 0 <= volume < _ENDLESS
        except (ValueError, ArithmeticError):  # ArithmeticError: not a number, by its text or when compared
            raise DataError(
                f"{self.path.name}, line {row + 2}: expected six numbers, got {self.lines[row]!r}"
            ) from None
        if not sane:
            raise DataError(
                f"{self.path.name}, line {row + 2}: expected 0 < low <= open, close <= high and volume >= 0"
            )
        opened = from_ms(self.open_ms[row] + shift_ms)
        return Candle(open_time=opened, open=first, high=high, low=low, close=close, volume=volume)


def read_candle_file(path: Path) -> CandleFile:
    """One file, its times checked. Raises DataError that names the line."""
    match = _NAME.match(path.name)
    if match is None or match["timeframe"] not in TIMEFRAMES:
        raise ConfigurationError(
            f"{path}: expected a name like BTC-USDT_1m.csv.gz with a timeframe of {', '.join(TIMEFRAMES)}; rename it"
        )
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as wrong:
        raise DataError(f"{path}: expected a readable candle file, got {wrong}") from None
    header, *lines = content.splitlines() or [b""]
    if header != COLUMNS or not lines:
        raise DataError(f"{path.name}: expected the columns {COLUMNS.decode()} and at least one candle")
    open_ms = _times(path, lines, TIMEFRAMES[match["timeframe"]] * 1000)
    return CandleFile(
        path=path,
        base=match["base"],
        quote=match["quote"],
        timeframe=match["timeframe"],
        open_ms=open_ms,
        lines=lines,
    )


def _times(path: Path, lines: list[bytes], step_ms: int) -> "array[int]":
    try:
        open_ms = array("q", [int(line.partition(b",")[0]) for line in lines])
    except (ValueError, OverflowError) as wrong:
        raise DataError(f"{path.name}: expected whole milliseconds in the first column, got {wrong}") from None
    before = open_ms[0] - step_ms
    for number, opened in enumerate(open_ms, start=2):
        if opened <= before or opened % step_ms:
            raise DataError(
                f"{path.name}, line {number}: expected ascending times on the {step_ms} ms grid, got {opened}"
            )
        before = opened
    return open_ms


def read_folder(folder: Path) -> list[CandleFile]:
    """The market of a folder: for each instrument its finest timeframe, from which the coarser ones are aggregated."""
    paths = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])
    if not paths:
        raise ConfigurationError(f"{folder}: expected files like BTC-USDT_1m.csv.gz, found none; pass another --data")
    finest: dict[str, Path] = {}
    for path in paths:
        match = _NAME.match(path.name)
        name = f"{match['base']}-{match['quote']}" if match else path.name
        if name not in finest or _seconds(path) < _seconds(finest[name]):
            finest[name] = path
    return [read_candle_file(path) for path in finest.values()]


def _seconds(path: Path) -> int:
    match = _NAME.match(path.name)
    return TIMEFRAMES.get(match["timeframe"], 0) if match else 0
