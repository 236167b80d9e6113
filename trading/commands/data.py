"""`trading ingest` and `evaluate`, and the list of runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveProgress

from trading.commands.invocation import Verbose, examples, open_manager, open_run
from trading.commands.listing import AsJson, Column, Limit, show, show_fields
from trading.domain.market import timeframe_s
from trading.errors import ConfigurationError
from trading.flows.ingest import Progress
from trading.ports.ledger import RunRecord

app = typer.Typer()

_FLOWS = (
    "ingest",
    "import_candles",
    "evaluate",
    "place",
    "reconcile",
    "lease",
    "halt",
    "resume",
    "open_account",
    "replay",
)


def instant(text: str | datetime) -> datetime:
    """A date or a time of RFC 3339; without an offset it is UTC."""
    if isinstance(text, datetime):
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: expected a time like 2026-03-02 or 2026-03-02T12:00:00Z") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


@app.command(
    epilog=examples("trading ingest", "trading ingest --timeframe 1m --instrument BTC/USDT --since 2026-03-02")
)
def ingest(
    *,
    timeframe: Annotated[list[str] | None, typer.Option(help="May be repeated; the portfolio's if left out.")] = None,
    instrument: Annotated[list[str] | None, typer.Option(help="May be repeated; the portfolio's if left out.")] = None,
    since: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="TIME", help="From here on, UTC; else what is missing.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="TIME", help="Up to here, UTC; else the venue's clock.")
    ] = None,
    accept_jump: Annotated[
        bool, typer.Option("--accept-jump", help="Store prices that leap between a close and the next open: I looked.")
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Bring the stored candles up to the venue's clock."""
    if since and until and since >= until:
        raise typer.BadParameter(f"--since {since.isoformat()} is not before --until {until.isoformat()}")
    for name in timeframe or ():
        _require_timeframe(name)
    with open_run(verbose=verbose) as (manager, run):
        requests = manager.ingest_requests(timeframe, instruments=instrument, since=since, until=until)
        requests = [replace(request, jump_accepted=accept_jump) for request in requests]
        with _progress() as progress:
            report = manager.ingest.run(run, requests, progress)
    fields: dict[str, object] = {"run_id": run.run_id, **report.counts, "newest_close": report.newest_close}
    show_fields(fields | ({"failed": report.failed} if report.failed else {}), as_json=as_json)
    if report.failed:
        raise typer.Exit(1)


@app.command(epilog=examples("trading evaluate", "trading evaluate --strategy sma_crossover --json"))
def evaluate(
    *,
    strategy: Annotated[list[str] | None, typer.Option(help="May be repeated; every enabled one if left out.")] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Turn stored candles into decisions."""
    with open_run(verbose=verbose) as (manager, run):
        report = manager.evaluate(strategy).run(run)
    weights = {decision.strategy: decision.weights for decision in report.decisions}
    fields: dict[str, object] = {"run_id": run.run_id, **report.counts}
    if as_json:
        fields["weights"] = weights
    else:
        fields |= {f"  {name}": targets for name, targets in weights.items()}
    show_fields(fields | ({"failed": report.failed} if report.failed else {}), as_json=as_json)
    if report.failed:
        raise typer.Exit(1)


@app.command(epilog=examples("trading runs", "trading runs --flow place --limit 5 --json"))
def runs(
    *,
    flow: Annotated[str | None, typer.Option(help=f"One of {', '.join(_FLOWS)}.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Runs of the flows, newest first."""
    if flow is not None and flow not in _FLOWS:
        raise typer.BadParameter(f"--flow {flow!r}: expected one of {', '.join(_FLOWS)}")
    with open_manager() as manager, manager.ledger.transaction() as books:
        found = books.runs.recent(flow, limit)
    columns: list[Column[RunRecord]] = [
        Column("run_id", lambda record: record.run.run_id),
        Column("flow", lambda record: record.flow),
        Column("outcome", lambda record: record.outcome),
        Column("started_at", lambda record: record.started_at, rank=1),
        Column("ended_at", lambda record: record.ended_at, rank=4),
        Column("actor", lambda record: record.run.actor, rank=5),
        Column("counts", lambda record: {k: v for k, v in record.counts.items() if v or as_json}, rank=2),
        Column("message", lambda record: record.message, rank=3),
    ]
    if as_json:
        columns += [
            Column("dag_id", lambda record: record.run.dag_id),
            Column("run_type", lambda record: record.run.run_type),
            Column("causes", lambda record: record.run.causes),
        ]
    show(found, columns, as_json=as_json, none="no run is recorded yet: `make run` starts the pipeline")


def _require_timeframe(name: str) -> None:
    try:
        timeframe_s(name)
    except ConfigurationError as error:
        raise ConfigurationError(f"--timeframe: {error}") from None


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A line a timeframe and instrument on standard error, where a person looks on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[tuple[str, str], TaskID] = {}
    with LiveProgress(*columns, console=console) as live:

        def move(timeframe: str, instrument: str, done: int, expected: int) -> None:
            key = (timeframe, instrument)
            if key not in tasks:
                tasks[key] = live.add_task(f"{instrument} {timeframe}", total=expected)
            live.update(tasks[key], completed=done, total=expected)

        yield move
