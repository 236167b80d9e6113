"""`trading why`: signal → gates → size → order, one line a step."""

from typing import Annotated

import typer

from trading.commands.invocation import examples, open_manager
from trading.commands.listing import AsJson, show_json

app = typer.Typer()


@app.command(epilog=examples("trading why", "trading why place_orders__manual__2026-03-02T12:00:00+00:00 --json"))
def why(
    run: Annotated[
        str | None, typer.Argument(help="A run's id (`trading runs`); without one, the newest `place`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Why a run did or did not trade: signal, gates, size, order."""
    with open_manager() as manager:
        explanation = manager.explain.run(run)
    if as_json:
        steps = [{"stage": step.stage, "text": step.text, **step.facts} for step in explanation.steps]
        show_json({"run_id": explanation.run_id or None, "steps": steps})
        return
    for line in explanation.lines():
        typer.echo(line)
