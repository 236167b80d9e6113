"""`trading strategies`: which there are, a new one with its test, and what is wrong with one."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final

import typer

from trading.commands.invocation import examples, take_own_strategies
from trading.commands.listing import AsJson, Column, show, show_json
from trading.commands.parameters import named_values
from trading.errors import ConfigurationError
from trading.strategies import bias, registry

app = typer.Typer(help="The strategies: listing, beginning a new one, checking for look-ahead.", no_args_is_help=True)

_TEMPLATES: Final = Path(__file__).parent / "templates"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


@app.command("list", epilog=examples("trading strategies list", "trading strategies list --json"))
def list_(*, as_json: AsJson = False) -> None:
    """Every strategy with its parameters; one whose file cannot be loaded says why."""
    take_own_strategies()
    columns: list[Column[dict[str, object]]] = [
        Column("name", lambda row: row["name"]),
        Column("from", lambda row: row["from"], rank=3),
        Column("timeframe", lambda row: row["timeframe"], rank=2),
        Column("parameters", lambda row: row["parameters"], rank=1),
        Column("problem", lambda row: row["problem"]),
    ]
    rows = [_row(name) for name in registry.names()]
    shown = columns if as_json or any(row["problem"] for row in rows) else columns[:-1]
    show(rows, shown, as_json=as_json, none="")


@app.command(epilog=examples("trading strategies new my_idea"))
def new(name: Annotated[str, typer.Argument(help="Lower-case letters, digits and _; the file's name.")]) -> None:
    """Write a working strategy and its test into your own folder (TRADING_STRATEGIES_PATH)."""
    folder = take_own_strategies()[0]
    if not _NAME.fullmatch(name) or name.startswith("test_"):
        raise typer.BadParameter(f"{name!r}: expected up to 32 of a-z, 0-9 and _, a letter first, not test_…")
    if name in registry.names():
        raise ConfigurationError(f"strategy {name} exists already: choose another name")
    written = {folder / f"{name}.py": "strategy.py.txt", folder / f"test_{name}.py": "test_strategy.py.txt"}
    class_name = "".join(part.capitalize() for part in name.split("_"))
    there = [path for path in written if path.exists()]
    if there:
        raise ConfigurationError(f"{there[0]} exists already: it is not overwritten, choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, template in written.items():
            text = (_TEMPLATES / template).read_text(encoding="utf-8")
            with path.open("x", encoding="utf-8") as file:
                file.write(text.replace("NAME", name).replace("CLASS", class_name))
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}") from None
    for path in written:
        typer.echo(path)
    typer.echo(f"next: trading strategies check {name} && trading backtest {name} --report {name}.html", err=True)


@app.command(
    epilog=examples(
        "trading strategies check sma_crossover", "trading strategies check my_idea --param window=20 --json"
    )
)
def check(
    name: Annotated[str, typer.Argument(help="One of `trading strategies list`.")],
    *,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(min=10, max=100_000, help="How often it is cut and poisoned.")] = bias.ROUNDS,
    seed: Annotated[int, typer.Option(min=0, help="Of the random candles.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Cut it short, poison its future, take its history away and make gaps: what is wrong is said in words."""
    take_own_strategies()
    report = bias.examine(name, named_values(param), rounds=rounds, seed=seed)
    if as_json:
        show_json({"strategy": name, "rounds": rounds, "seed": seed, "wrong": report.wrong, "remarks": report.remarks})
    else:
        for sentence in report.wrong:
            typer.echo(f"wrong: {sentence}")
        for sentence in report.remarks:
            typer.echo(f"to know: {sentence}")
        if not report.wrong:
            typer.echo(
                f"{name}: nothing found in {rounds} truncations, poisoned futures and short histories, and a gap"
            )
    if report.wrong:
        raise typer.Exit(1)


def _row(name: str) -> dict[str, object]:
    path = registry.file_of(name)
    row: dict[str, object] = {"name": name, "from": path or "shipped", "timeframe": "", "parameters": {}, "problem": ""}
    try:
        found = registry.get(name)
    except ConfigurationError as error:
        return row | {"problem": str(error)}
    if path is None and not found.module.startswith("trading.strategies."):
        row["from"] = found.module
    bounds = {
        item.name: f"{item.default} ({item.metadata['minimum']}..{item.metadata['maximum']})"
        for item in fields(found.parameters_type)
    }
    return row | {"timeframe": found.timeframe, "parameters": bounds}
