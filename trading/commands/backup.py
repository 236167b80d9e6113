"""`trading db backup` and `trading db restore`: an archive of the whole database, and the way back."""

import os
from pathlib import Path
from typing import Annotated

import typer

from trading.adapters.postgres.backup import back_up, bring_back
from trading.adapters.postgres.connection import address
from trading.adapters.postgres.migrations import migrate
from trading.clock import SystemClock
from trading.commands.restored import restored
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError
from trading.local.instance_environment import environ_of_instance

_NAMES = "ledger-*.dump"


def backup(
    *,
    file: Annotated[
        Path | None, typer.Argument(help="A new file; one named by the time in $TRADING_HOME/backups if left out.")
    ] = None,
    keep: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of the files in that folder the newest N stay; all if left out.")
    ] = 0,
) -> None:
    """Write an archive of the whole database, Airflow's tables too; the pipeline may go on meanwhile."""
    config = TradingConfig.from_env(environ_of_instance(os.environ))
    url = _url(config)
    if keep and file is not None:
        raise typer.BadParameter("--keep is for the folder $TRADING_HOME/backups: leave the file's name out")
    folder = config.home / "backups"
    path = file or folder / SystemClock().now().strftime("ledger-%Y%m%dT%H%M%SZ.dump")
    size = back_up(url, path)
    typer.echo(f"{address(url)} is in {path} ({size:,} bytes)")
    for old in sorted(folder.glob(_NAMES), reverse=True)[keep:] if keep else ():
        old.unlink()
        typer.echo(f"deleted {old}", err=True)


def restore(
    *,
    file: Annotated[Path, typer.Argument(help="An archive that `trading db backup` made.")],
    why: Annotated[str, typer.Option("--why", help="What is restored, and why; it stays in the audit log.")],
    by: Annotated[str | None, typer.Option("--person", help="Who does it; the user if left out.")] = None,
) -> None:
    """Load an archive into an empty database, and say so: new ids, a halt, and a look at the venue's full history."""
    if not why.strip():
        raise typer.BadParameter("--why is empty: expected a sentence for whoever reads the audit log")
    url = _url(TradingConfig.from_env(environ_of_instance(os.environ)))
    bring_back(url, file)
    migrate(url)
    typer.echo(f"{file} is in {address(url)}")
    restored(why=why, by=by, yes=True)


def _url(config: TradingConfig) -> str:
    if config.database_url is None:
        raise ConfigurationError("no database is named: expected TRADING_DATABASE_URL or the secret database_url")
    return config.database_url.reveal()
