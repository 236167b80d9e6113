"""`trading up`, `down` and `status`: one instance on this machine."""

import json
import os
import sys
import threading
from typing import Annotated

import typer

from trading.clock import SystemClock
from trading.config.settings import TradingConfig
from trading.local.pipeline import PipelineFactory
from trading.local.status import down, status, wipe
from trading.local.up import Instance, login_lines


def register(app: typer.Typer, pipeline_factory: PipelineFactory) -> None:
    """Add the commands to `app`; `up` builds its pipeline with `pipeline_factory`."""

    @app.command("up")
    def up_command(
        once: Annotated[
            bool, typer.Option(help="One full cycle, its summary as JSON on standard output, stop.")
        ] = False,
    ) -> None:
        """Start everything on this machine, and trade until Ctrl-C."""
        config = TradingConfig.from_env()
        instance = Instance(config=config, environ=os.environ, clock=SystemClock(), pipeline_factory=pipeline_factory)
        code = instance.run(once=once)
        if threading.active_count() > 1:
            # A step that a signal interrupted may sit in a library's call for as long as that likes.
            sys.stdout.flush()
            os._exit(code)
        raise typer.Exit(code)

    @app.command("down")
    def down_command(
        wipe_state: Annotated[bool, typer.Option("--wipe", help="Delete the state in $TRADING_HOME as well.")] = False,
    ) -> None:
        """Stop the instance that runs, from another terminal; or end what a killed one left."""
        end = wipe if wipe_state else down
        typer.echo(end(TradingConfig.from_env(), SystemClock()), err=True)

    @app.command("status")
    def status_command(
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> None:
        """What runs, where the web UI is, and its login (on a terminal only)."""
        config = TradingConfig.from_env()
        found = status(config, SystemClock())
        if as_json:
            typer.echo(json.dumps(found))
            return
        for name, value in found.items():
            parts = value.items() if isinstance(value, dict) else ()
            typer.echo(f"{name:<14} {'' if parts else value}".rstrip())
            for part, state in parts:
                typer.echo(f"  {part:<14} {state}")
        if found["running"]:
            for line in login_lines(str(found["ui"]), config, os.environ, to_terminal=sys.stdout.isatty()):
                typer.echo(line)
        else:
            typer.echo("nothing runs: start it with `make run`")
