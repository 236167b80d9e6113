"""`trading db`: the ledger's schema, its backups, and word of its restores."""

import os
from typing import Annotated

import orjson
import typer

from trading.adapters.postgres.connection import address
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.migrations import current, head, migrate
from trading.commands.backup import backup, restore
from trading.commands.invocation import command_run, examples, open_manager
from trading.commands.restored import restored
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError
from trading.local.instance_environment import environ_of_instance

app = typer.Typer(help="The ledger's schema, its backups, and word of its restores.", no_args_is_help=True)
app.command("restored", epilog=examples('trading db restored --why "disk failed, backup of 3 March, 02:00"'))(restored)
app.command("backup", epilog=examples("trading db backup", "trading db backup --keep 14"))(backup)
app.command("restore", epilog=examples('trading db restore ledger-20260303T020000Z.dump --why "disk failed"'))(restore)


def _url() -> str:
    """The database that the settings or the running instance name. Raises ConfigurationError where neither does."""
    url = TradingConfig.from_env(environ_of_instance(os.environ)).database_url
    if url is None:
        raise ConfigurationError("no database is named: expected TRADING_DATABASE_URL or the secret database_url")
    return url.reveal()


@app.command("migrate")
def migrate_command() -> None:
    """Bring the schema up to date; safe to repeat."""
    url = _url()
    before = current(url)
    after = migrate(url, tell=lambda sentence: typer.echo(f"warning: {sentence}", err=True))
    ledger = PostgresLedger(url)
    try:
        with ledger.transaction() as books:
            latch = books.control.arm_latch()  # an upgrade of Airflow may have dropped it with its table
    finally:
        ledger.close()
    done = "is up to date at" if before == after else f"went from {before or 'nothing'} to"
    typer.echo(f"the schema in {address(url)} {done} {after}; pausing kill_switch latches a halt: {latch}")
    with open_manager() as manager:
        report = manager.deploy.run(command_run(manager.clock))
    if report.changed:
        typer.echo(f"version {report.before.code} may trade from here on; processes of another one send nothing")


@app.command()
def status(*, json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Which version the schema is at, and which one this code knows."""
    url = _url()
    found = {"database": address(url), "current": current(url), "head": head()}
    up_to_date = found["current"] == found["head"]
    if json:
        typer.echo(orjson.dumps({**found, "up_to_date": up_to_date}))
        return
    typer.echo(f"database {found['database']}: schema {found['current'] or 'none'}, this code knows {found['head']}")
    if not up_to_date:
        typer.echo("run `trading db migrate`")
