"""Listings: a table for people, which sheds its least important columns where the terminal is narrow, or JSON."""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trading.domain.money import plain

R = TypeVar("R")

AsJson = Annotated[bool, typer.Option("--json", help="JSON: money as text, times as RFC 3339 in UTC.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")]

#: A file or a pipe gets every column, on one line a row.
_NO_TERMINAL_WIDTH: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column. `rank` 0 is always shown; the highest ones go first where the terminal is narrow."""

    name: str
    value: Callable[[R], object]
    rank: int = 0
    right: bool = False


def show(rows: Sequence[R], columns: Sequence[Column[R]], *, as_json: bool, none: str) -> None:
    """Rows on standard output; `none` is said where there are none."""
    if as_json:
        show_json([{column.name: column.value(row) for column in columns} for row in rows])
        return
    if not rows:
        typer.echo(none)
        return
    is_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, width=None if is_terminal else _NO_TERMINAL_WIDTH)
    kept = list(columns)
    unbounded = console.options.update(width=_NO_TERMINAL_WIDTH)
    while (table := _table(rows, kept)) and console.measure(table, options=unbounded).maximum > console.width:
        least = max(kept, key=lambda column: column.rank)
        if least.rank == 0:
            break
        kept.remove(least)
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    hidden = [column.name for column in columns if column not in kept]
    if hidden:
        typer.echo(f"(not shown for lack of width: {', '.join(hidden)}; --json has them)", err=True)


def show_json(value: object) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(encoded(value), ensure_ascii=False, indent=2))


def show_fields(fields: Mapping[str, object], *, as_json: bool) -> None:
    """One thing: a name and a value a line, or one JSON object."""
    if as_json:
        show_json(fields)
        return
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        typer.echo(f"{name:<{width}}  {text_of(value)}".rstrip())


def encoded(value: object) -> Any:
    """`value` as JSON takes it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    if isinstance(value, Mapping):
        return {str(key): encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encoded(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def text_of(value: object) -> str:
    """`value` as people read it: times to the second, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text_of(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(text_of(item) for item in value)
    return str(encoded(value))


def _table(rows: Sequence[R], columns: Sequence[Column[R]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.name, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(text_of(column.value(row))) for column in columns))
    return table
