"""`trading prepare`: what a deployment does before each start; where nobody runs `make run`, which does the same."""

import os

import typer

from trading.commands.invocation import examples
from trading.local.account_pipeline import AccountPipeline

app = typer.Typer()


@app.command(epilog=examples("trading prepare", "docker compose run --rm airflow-init"))
def prepare() -> None:
    """Before a deployment's start: schema, version, account.

    Brings the schema up to date, notes this version as the one that may trade, opens the account where it is new. Safe
    to repeat. A new account is halted; in replay its first halt is released by a self-signed override.
    """
    pipeline = AccountPipeline.from_environ(os.environ)
    pipeline.migrate()
    typer.echo(pipeline.open_account() or "the account was open before, and no halt stands")
