"""What is wrong with portfolio.toml, in this project's words: file, line, table, key, value, what was expected."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trading.config.portfolio_tables import (
    InstrumentLimitsTable,
    LimitsTable,
    PortfolioFile,
    StrategyLimitsTable,
    StrategyTable,
    Table,
)

_HEADER: Final = re.compile(r"^\s*(\[\[?)(.+?)\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"^\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*=")
_PART: Final = re.compile(r"\"([^\"]*)\"|([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Source:
    """The file as it was read: its text, for the numbers of lines, and what TOML makes of it."""

    path: Path
    text: str
    document: Mapping[str, Any]

    def at(self, *place: str | int) -> str:
        """The file, and the line of a key, or of the nearest table around it that stands on a line of its own."""
        lines = dict(_lines(self.text))
        while place and place not in lines:
            place = place[:-1]
        return f"{self.path}:{lines[place]}" if place else str(self.path)


def _lines(text: str) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The line of each table and key; of doubled ones the last."""
    table: tuple[str | int, ...] = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            names: tuple[str | int, ...] = tuple(quoted or bare for quoted, bare in _PART.findall(header[2]))
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                names = (*names, counts[header[2]])
            table = names
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, key[1].strip('"')), number


def complaint(source: Source, item: Mapping[str, Any]) -> str:
    """One of pydantic's errors."""
    *tables, key = item["loc"] or ("",)
    if key == "[key]":  # a table's own name is at fault
        *tables, key, _ = item["loc"]
    where = f"{source.at(*tables, key)}: {_table_name(source.document, tables)}"
    value = str(item["input"])[:100]
    match item["type"]:
        case "extra_forbidden":
            allowed = _allowed_keys(tables)
            unit = [name for name in allowed if name.startswith(f"{key}_")]
            hint = f"; the unit stands in the name: {' or '.join(unit)}" if unit else ""
            return f"{where}unknown key {key!r}: expected one of {', '.join(allowed)}{hint}"
        case "missing":
            return f"{where}the key {key!r} is missing"
        case _:
            expected = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
            return f"{where}{key} is {value!r}: expected {expected.removeprefix('expected ')}"


def _table_name(document: Mapping[str, Any], tables: Sequence[Any]) -> str:
    if not tables:
        return ""
    if tables[0] != "strategies":
        return f"[{'.'.join(str(table) for table in tables)}] "
    entry = document["strategies"][tables[1]] if len(tables) > 1 else {}
    name = entry.get("name") if isinstance(entry, dict) else None
    below = "".join(f"{table}." for table in tables[2:])
    return f"[[strategies]] {name or 'number ' + str(tables[1] + 1 if len(tables) > 1 else 1)}: {below}"


def _allowed_keys(tables: Sequence[Any]) -> list[str]:
    models: dict[tuple[Any, ...], type[Table]] = {
        ("strategies",): StrategyTable,
        ("limits",): LimitsTable,
        ("limits", "strategy"): StrategyLimitsTable,
        ("limits", "instrument"): InstrumentLimitsTable,
    }
    named = tuple(tables[:2]) if len(tables) > 2 else tuple(tables[:1])  # noqa: PLR2004 - a kind, and whose they are
    return list(models.get(named, models.get(named[:1], PortfolioFile)).model_fields)
