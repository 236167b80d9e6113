"""`trading backtest`: a strategy over candles of the past, alone or over a grid of parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from trading.commands.candle_source import SHIPPED, candles_from
from trading.commands.data import instant
from trading.commands.invocation import examples, take_own_strategies
from trading.commands.listing import AsJson, Column, show, show_fields, show_json
from trading.commands.parameters import named_values
from trading.domain.backtest import BacktestRules
from trading.domain.matching import FeeModel, SlippageModel, VolumeShareModel
from trading.errors import ConfigurationError
from trading.flows.backtest import MOST_COMBINATIONS, Candles, Round, Study, combinations, study, sweep, walk_forward
from trading.flows.backtest_page import Tried, page
from trading.flows.backtest_summary import (
    Trial,
    best_of,
    luck_of,
    made_by,
    parameters_of,
    round_fields,
    spoken,
    spoken_figure,
    summary,
    trial_of,
)
from trading.strategies import registry
from trading.strategies.parameters import Parameters

app = typer.Typer()

#: Rows of a sweep that are shown to people.
_SHOWN = 15


def _amount(text: str | Decimal) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r}: expected a number") from None
    if not value.is_finite() or value < 0:
        raise typer.BadParameter(f"{text}: expected a number of 0 or more")
    return value


def bps(help_: str) -> Any:
    """An option in 1/100 %, 0 or more."""
    return typer.Option(parser=_amount, metavar="BPS", help=help_)


@app.command(
    epilog=examples(
        "trading backtest sma_crossover",
        "trading backtest sma_crossover --timeframe 4h --param fast=20 --param slow=80 --report r.html",
        "trading backtest sma_crossover --sweep fast=5:50:5 --sweep slow=60:200:20 --json",
        "trading backtest donchian_breakout --data stored --since 2026-03-01",
    )
)
def backtest(
    strategy: Annotated[str, typer.Argument(help="One of `trading strategies list`.")],
    *,
    instrument: Annotated[
        list[str] | None, typer.Option(help="May be repeated; the strategy's own if left out.")
    ] = None,
    timeframe: Annotated[str | None, typer.Option(help="The strategy's own if left out.")] = None,
    since: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="TIME", help="The first close that is decided, UTC.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="Up to here, UTC.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter; may be repeated.")] = None,
    sweep_: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="NAME=FROM:TO:STEP", help="Try each value, or each of NAME=A,B,C."),
    ] = None,
    fee_bps: Annotated[Decimal, bps("What a fill costs, in 1/100 %.")] = Decimal(10),
    slippage_bps: Annotated[Decimal, bps("How far from the open a fill is, in 1/100 %.")] = Decimal(2),
    volume_share: Annotated[
        Decimal, typer.Option(parser=_amount, metavar="SHARE", help="Of the candle before: more is not filled.")
    ] = Decimal("0.1"),
    cash: Annotated[Decimal, typer.Option(parser=_amount, metavar="AMOUNT", help="To begin with, in quote.")] = Decimal(
        10_000
    ),
    walk_forward_: Annotated[
        str | None,
        typer.Option(
            "--walk-forward", metavar="TRAIN:TEST", help="Choose on so many candles, judge on the next; with --sweep."
        ),
    ] = None,
    rebalance_threshold_bps: Annotated[
        Decimal, bps("Smaller changes are left alone, in 1/100 % of the equity.")
    ] = Decimal(100),
    data: Annotated[str, typer.Option(help="`stored`, `sample` or a folder of candle files.")] = SHIPPED,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page that needs nothing else.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide at each close of the past, fill at the next open: figures, sweeps and a report."""
    rules = BacktestRules(
        cash=cash,
        fees=FeeModel(taker_bps=fee_bps, maker_bps=fee_bps),
        slippage=SlippageModel(bps=slippage_bps),
        volume_share=VolumeShareModel(share=volume_share),
        rebalance_threshold_bps=rebalance_threshold_bps,
    )
    take_own_strategies()
    fixed, swept, walk = named_values(param), _swept(sweep_), _walk(walk_forward_, sweep_)
    grid, refused = combinations(strategy, fixed, swept)
    registered = registry.get(strategy)
    candles = candles_from(
        data,
        instruments=instrument or registered.instruments,
        timeframe=timeframe or registered.timeframe,
        since=since,
        until=until,
        warmup=max(registered.warmup(parameters) for parameters in grid),
    )
    tried = _tried(strategy, grid, swept, candles=candles, rules=rules, since=since, walk=walk)
    best = best_of(tried.trials).parameters if swept else grid[0]
    found = study(strategy, best, candles, rules, since=since)
    if swept:
        tried = replace(tried, luck=luck_of(tried.trials, found))
    _show(found, tried, refused, as_json=as_json)
    if report is not None:
        write_report(report, page(found, tried))


def _tried(
    strategy: str,
    grid: Sequence[Parameters],
    swept: Mapping[str, Sequence[Decimal]],
    *,
    candles: Candles,
    rules: BacktestRules,
    since: datetime | None,
    walk: tuple[int, int] | None,
) -> Tried:
    """Every combination, without its curve; and the rounds of walking forward, where they are asked for."""
    if not swept:
        return Tried()
    trials = [trial_of(found) for found in sweep(strategy, grid, candles, rules, since=since)]
    rounds: list[Round] = []
    if walk is not None:
        rounds = walk_forward(strategy, grid, candles, rules, train=walk[0], test=walk[1], since=since)
    return Tried(trials=trials, names=tuple(swept), rounds=rounds)


def _show(found: Study, tried: Tried, refused: int, *, as_json: bool) -> None:
    fields = summary(found)
    if tried.luck is not None:
        fields["sweep"] = {
            "combinations": tried.luck.trials,
            "refused": refused,
            "deflated_sharpe": tried.luck.deflated_sharpe,
            "trials": [{**parameters_of(one.parameters), **one.figures.as_dict()} for one in tried.trials],
        }
    if tried.rounds:
        fields["walk_forward"] = {"made": made_by(tried.rounds), "rounds": [round_fields(one) for one in tried.rounds]}
    if as_json:
        show_json(fields)
        return
    if tried.luck is not None:
        ranked = sorted(tried.trials, key=lambda one: -one.sharpe_per_candle)[:_SHOWN]
        show(ranked, _columns(tried.names), as_json=False, none="")
        told = f"{tried.luck.trials} combinations ({refused} more are no valid parameters); the best one in full:"
        typer.echo(f"\n{told}\n")
    show_fields(spoken(fields), as_json=False)


def _columns(names: Sequence[str]) -> list[Column[Trial]]:
    def of_parameters(name: str) -> Column[Trial]:
        return Column(name, lambda trial: getattr(trial.parameters, name), right=True)

    def of_figures(name: str, rank: int) -> Column[Trial]:
        return Column(name, lambda trial: spoken_figure(name, getattr(trial.figures, name)), rank=rank, right=True)

    figures = (("sharpe", 0), ("total_return", 1), ("max_drawdown", 2), ("turnover", 3), ("sales", 4))
    return [*(of_parameters(name) for name in names), *(of_figures(*figure) for figure in figures)]


def _swept(items: Sequence[str] | None) -> dict[str, list[Decimal]]:
    """NAME=FROM:TO:STEP, both ends among them, or NAME=A,B,C."""
    return {name: _values(name, text) for name, text in named_values(items).items()}


def _values(name: str, text: str) -> list[Decimal]:
    try:
        if ":" not in text:
            return [Decimal(part) for part in text.split(",")]
        first, last, step = (Decimal(part) for part in text.split(":"))
        count = int((last - first) / step) + 1
    except (InvalidOperation, ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"{name}={text}: expected FROM:TO:STEP or A,B,C in numbers") from None
    if not (step > 0 and 1 <= count <= MOST_COMBINATIONS):
        raise typer.BadParameter(
            f"{name}={text}: expected FROM ≤ TO and a STEP > 0, at most {MOST_COMBINATIONS} values"
        )
    return [first + step * number for number in range(count)]


def _walk(text: str | None, swept: Sequence[str] | None) -> tuple[int, int] | None:
    if text is None:
        return None
    train, _, test = text.partition(":")
    if not (train.isdigit() and test.isdigit() and int(train) > 1 and int(test) > 0 and swept):
        raise typer.BadParameter(f"--walk-forward {text}: expected TRAIN:TEST in candles, beside a --sweep")
    return int(train), int(test)


def write_report(path: Path, text: str) -> None:
    """Write a page. Raises ConfigurationError where the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written ({error.strerror}): name another file") from None
    typer.echo(f"report: {path}", err=True)
