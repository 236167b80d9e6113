"""`trading replay`: what would have been decided, beside what was."""

from datetime import datetime
from typing import Annotated

import typer

from trading.commands.data import instant
from trading.commands.invocation import Verbose, examples, open_run
from trading.commands.listing import AsJson, show_fields, show_json
from trading.replaying import replay_of

app = typer.Typer()

#: Differences that are shown to people.
_SHOWN = 20


@app.command(epilog=examples("trading replay --since 2026-03-01 --until 2026-03-02"))
def replay(
    *,
    since: Annotated[datetime, typer.Option(parser=instant, metavar="TIME", help="Closes after this, UTC.")],
    until: Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="Up to here, UTC.")] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="May be repeated; every enabled one if left out.")] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Decide again what was decided, store it apart, and tell where it differs."""
    with open_run(verbose=verbose) as (manager, run), replay_of(manager, strategy) as flow:
        report = flow.run(run, since=since, until=until or manager.clock.now())
    lines = [
        {"strategy": line.strategy, "as_of": line.as_of, "explanation": line.explanation} for line in report.differing
    ]
    fields: dict[str, object] = {"run_id": run.run_id, **report.counts}
    if as_json:
        show_json({**fields, "differing": lines, "failed": report.failed})
    else:
        show_fields(fields, as_json=False)
        for line in lines[:_SHOWN]:
            typer.echo(f"  {line['strategy']} at {line['as_of']}: {line['explanation']}")
        for name, reason in report.failed.items():
            typer.echo(f"  {name} failed: {reason}")
    if lines or report.failed:
        raise typer.Exit(1)
