"""`trading config show`: every setting as it is resolved, and where it came from."""

import os
from dataclasses import replace
from typing import Final

import typer

from trading.commands.invocation import examples
from trading.commands.listing import AsJson, Column, show
from trading.config.settings import SettingRow, TradingConfig
from trading.local.instance_environment import instance_settings

app = typer.Typer()
config = typer.Typer(no_args_is_help=True)
app.add_typer(config, name="config", help="The settings as they are resolved.")

#: Which setting each variable that a running instance hands on decides.
_HANDED_ON: Final = {
    "TRADING_MODE": ("mode", "account", "exchange_url"),
    "TRADING_UI_PORT": ("ui_port",),
    "TRADING_EXCHANGE_PORT": ("exchange_port", "exchange_url"),
    "TRADING_DATABASE_URL": ("database_url",),
}


@config.callback()
def _group() -> None:
    """The settings as they are resolved."""


@config.command("show", epilog=examples("trading config show", "trading config show --json"))
def show_config(*, as_json: AsJson = False) -> None:
    """Every setting, its value (passwords masked) and where it was set."""
    columns: list[Column[SettingRow]] = [
        Column("setting", lambda row: row.name),
        Column("value", lambda row: row.value),
        Column("source", lambda row: row.source, rank=1),
    ]
    show(_rows(), columns, as_json=as_json, none="no setting")


def _rows() -> list[SettingRow]:
    """The resolved settings; those that only the running instance knows say so."""
    handed_on = instance_settings(TradingConfig.from_env(os.environ), os.environ)
    resolved = TradingConfig.from_env({**os.environ, **handed_on})
    ours = {name for variable in handed_on for name in _HANDED_ON[variable]}
    own = {name for name, source in TradingConfig.from_env(os.environ).sources.items() if source != "default"}
    return [
        replace(row, source="the running instance") if row.name in ours - own else row for row in resolved.describe()
    ]
