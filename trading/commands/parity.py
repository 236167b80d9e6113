"""`trading parity`: what was done against what the backtest says, order by order, each difference with its cause."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from trading.commands.backtest import bps, write_report
from trading.commands.data import instant
from trading.commands.invocation import examples, open_manager
from trading.commands.listing import AsJson, Column, show, show_fields, show_json
from trading.domain.matching import FeeModel, SlippageModel, VolumeShareModel
from trading.domain.parity import ParityLine
from trading.errors import ConfigurationError
from trading.flows.parity import Parity, ParityReport
from trading.flows.parity_page import page

app = typer.Typer()

_COLUMNS: list[Column[ParityLine]] = [
    Column("as_of", lambda line: line.as_of),
    Column("instrument", lambda line: line.instrument),
    Column("side", lambda line: line.side),
    Column("ordered", lambda line: line.ordered, rank=3, right=True),
    Column("filled", lambda line: line.live_filled, rank=2, right=True),
    Column("backtest", lambda line: line.backtest_filled, rank=2, right=True),
    Column("price", lambda line: line.live_price.quantize(Decimal("0.00000001")), rank=1, right=True),
    Column("backtest_price", lambda line: line.backtest_price, rank=1, right=True),
    Column("cost", lambda line: line.cost.quantize(Decimal("0.0001")), right=True),
    Column("causes", lambda line: line.causes),
]
#: Orders that are shown to people.
_SHOWN = 30


@app.command(epilog=examples("trading parity --strategy sma_crossover --since 2026-03-01 --report parity.html"))
def parity(
    *,
    strategy: Annotated[str, typer.Option(help="One of the portfolio's.")],
    since: Annotated[datetime, typer.Option(parser=instant, metavar="TIME", help="Closes after this, UTC.")],
    until: Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="Up to here, UTC.")] = None,
    fee_bps: Annotated[Decimal, bps("The fee that the backtest expects, in 1/100 %.")] = Decimal(10),
    slippage_bps: Annotated[Decimal, bps("The slippage that the backtest expects, in 1/100 %.")] = Decimal(2),
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page that needs nothing else.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Each order against what the backtest says of it, with the cause of each difference."""
    with open_manager() as manager:
        plans = {plan.name: plan for plan in manager.portfolio.strategies}
        if strategy not in plans:
            raise ConfigurationError(f"unknown strategy {strategy}: expected one of {', '.join(plans)}")
        flow = Parity(
            manager.ledger,
            account=manager.config.account,
            fees=FeeModel(taker_bps=fee_bps, maker_bps=fee_bps),
            slippage=SlippageModel(bps=slippage_bps),
            share=VolumeShareModel(),
        )
        found = flow.run(plans[strategy], since=since, until=until or manager.clock.now())
    if as_json:
        rows = [{column.name: column.value(line) for column in _COLUMNS} for line in found.lines]
        show_json({**_fields(found), "orders": rows})
    else:
        show_fields(_fields(found), as_json=False)
        differing = [line for line in found.lines if line.causes][-_SHOWN:]
        if differing:
            typer.echo("")
            show(differing, _COLUMNS, as_json=False, none="")
    if report is not None:
        write_report(report, page(found))


def _fields(found: ParityReport) -> dict[str, object]:
    return {
        "strategy": found.strategy,
        "since": found.since,
        "until": found.until,
        "closes": found.closes,
        "undecided": found.undecided,
        "orders": len(found.lines),
        "equal": found.equal,
        "cost": found.cost.quantize(Decimal("0.0001")),
        "by_cause": {
            cause: {"orders": count, "cost": cost.quantize(Decimal("0.0001"))}
            for cause, (count, cost) in found.by_cause.items()
        },
    }
