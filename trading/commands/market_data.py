"""`trading data`: what is stored of the market, whether it holds together, and the way in and out by files."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from trading.commands.data import instant
from trading.commands.invocation import Verbose, examples, open_manager, open_run
from trading.commands.listing import AsJson, Column, show, show_fields
from trading.domain.market import timeframe_s
from trading.errors import DataError
from trading.flows.export_candles import ExportCandles, ExportRequest
from trading.flows.import_candles import ImportCandles, ImportRequest
from trading.flows.verify_candles import Comparison, VerifyCandles
from trading.ports.candle_files import CandleFiles
from trading.ports.candles import CandleStanding

app = typer.Typer()
data = typer.Typer(no_args_is_help=True)
app.add_typer(data, name="data", help="Market data: what is stored, whether it holds together, files in and out.")

Instruments = Annotated[
    list[str] | None, typer.Option("--instrument", help="Like BTC/USDT; may be repeated; all if left out.")
]
AcceptJump = Annotated[
    bool, typer.Option("--accept-jump", help="Store prices that leap between a close and the next open: I looked.")
]
_UNTRUSTED: Final = DataError.exit_code


@data.callback()
def _group() -> None:
    """Market data: what is stored, whether it holds together, files in and out."""


@data.command(epilog=examples("trading data status", "trading data status --instrument BTC/USDT --json"))
def status(*, instrument: Instruments = None, as_json: AsJson = False) -> None:
    """What is stored of each instrument and timeframe, what is missing of it, and how old it is."""
    with open_manager() as manager:
        with manager.ledger.transaction() as books:
            found = [one for one in books.candles.standings() if not instrument or one.instrument in instrument]
        at = manager.clock.now()
    columns: list[Column[CandleStanding]] = [
        Column("instrument", lambda one: one.instrument),
        Column("timeframe", lambda one: one.timeframe),
        Column("candles", lambda one: one.candles, right=True),
        Column("first_open", lambda one: one.first_open, rank=3),
        Column("last_open", lambda one: one.last_open, rank=1),
        Column("behind_s", lambda one: _behind_s(one, at), right=True),
        Column("gaps", lambda one: one.gaps, right=True),
        Column("missing_outage", lambda one: one.missing_outage, right=True, rank=2),
        Column("missing_no_trades", lambda one: one.missing_no_trades, right=True, rank=4),
        Column("quarantined", lambda one: one.quarantined, right=True, rank=2),
        Column("revisions", lambda one: one.revisions, right=True, rank=5),
        Column("last_revision_at", lambda one: one.last_revision_at, rank=6),
    ]
    show(found, columns, as_json=as_json, none="no candle is stored: `trading ingest` or `trading data import` does it")


@data.command(epilog=examples("trading data verify", "trading data verify --instrument BTC/USDT --json"))
def verify(*, instrument: Instruments = None, as_json: AsJson = False) -> None:
    """Derive coarser candles from finer ones, and gaps from what is missing; exits 65 where what is stored differs."""
    with open_manager() as manager:
        found = VerifyCandles(manager.ledger).run(instrument or ())
    columns: list[Column[Comparison]] = [
        Column("instrument", lambda one: one.instrument),
        Column("timeframe", lambda one: one.timeframe),
        Column("derived_from", lambda one: one.derived_from),
        Column("compared", lambda one: one.compared, right=True),
        Column("differing", lambda one: one.differing, right=True),
        Column("first_difference", lambda one: one.first_difference, rank=1),
    ]
    show(found, columns, as_json=as_json, none="no candle is stored, so there is nothing to compare")
    if any(one.differing for one in found):
        raise typer.Exit(_UNTRUSTED)


@data.command(
    "import",
    epilog=examples(
        "trading data import BTC-USDT_1m.csv.gz --taken-at 2026-03-02",
        "trading data import trades.parquet --timeframe 5m --instrument BTC/USDT",
    ),
)
def import_files(
    files: Annotated[list[Path], typer.Argument(help="CSV, gzipped CSV or Parquet.", exists=True, dir_okay=False)],
    *,
    timeframe: Annotated[str | None, typer.Option(help="Else the one at the end of a file's name.")] = None,
    instrument: Annotated[
        str | None, typer.Option(help="Like BTC/USDT; else the column symbol, or the one in the file's name.")
    ] = None,
    taken_at: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="When the files were made; else last rows are refused."),
    ] = None,
    quiet_periods: Annotated[
        bool, typer.Option("--quiet-periods", help="The venue makes no candle for a period without trades.")
    ] = False,
    accept_jump: AcceptJump = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Load files of candles: timestamp_ms, open, high, low, close, volume, and symbol where there are several."""
    if timeframe is not None:
        timeframe_s(timeframe)
    request = ImportRequest(
        files=tuple(files),
        timeframe=timeframe,
        instrument=instrument,
        taken_at=taken_at,
        every_candle=not quiet_periods,
        jump_accepted=accept_jump,
    )
    with open_run(verbose=verbose) as (manager, run):
        report = ImportCandles(manager.ledger, _files(), manager.clock).run(run, request)
    fields: dict[str, object] = {"run_id": run.run_id, **report.counts}
    show_fields(fields | ({"failed": report.failed} if report.failed else {}), as_json=as_json)
    if report.failed:
        raise typer.Exit(_UNTRUSTED)


@data.command(
    epilog=examples(
        "trading data export candles_1m.parquet --timeframe 1m",
        "trading data export btc_1h.parquet --timeframe 1h --instrument BTC/USDT --since 2024-01-01",
    )
)
def export(
    path: Annotated[Path, typer.Argument(help="The Parquet file to write; it must not exist.")],
    *,
    timeframe: Annotated[str, typer.Option(help="Like 1m.")],
    instrument: Instruments = None,
    since: Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="From here on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="Up to here, UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write stored candles to a Parquet file that `trading data import` reads back to the same rows."""
    timeframe_s(timeframe)
    request = ExportRequest(
        path=path, timeframe=timeframe, instruments=tuple(instrument or ()), since=since, until=until
    )
    with open_manager() as manager:
        rows = ExportCandles(manager.ledger, _files()).run(request)
    show_fields({"file": path, "rows": rows}, as_json=as_json)


def _files() -> CandleFiles:
    from trading.adapters.candle_files import ArrowCandleFiles  # noqa: PLC0415 - its readers take 0.1 s to import

    return ArrowCandleFiles()


def _behind_s(one: CandleStanding, at: datetime) -> int:
    """Seconds since the newest stored candle closed."""
    return int((at - one.last_open - timedelta(seconds=timeframe_s(one.timeframe))).total_seconds())
