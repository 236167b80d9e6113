"""How a command in another terminal finds the running instance: its database, its mode and its ports."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError
from trading.local.embedded_postgres import DATABASE, running_pid
from trading.local.home import Home

_ANSWER_S: Final = 2.0
#: The lines of PostgreSQL's postmaster.pid that say where it listens.
_PORT_LINE: Final = 3
_FOLDER_LINE: Final = 4


def environ_of_instance(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ`, completed by what the running instance says, so that it names a database.

    Raises ConfigurationError where neither the settings nor a running instance name one, saying which command to run.
    """
    config = TradingConfig.from_env(environ)
    complete = {**environ, **instance_settings(config, environ)}
    if config.database_url is None and "TRADING_DATABASE_URL" not in complete:
        Home(config.home).require_set_up()
        raise ConfigurationError(
            f"the database in {config.home} does not run: start the instance with `make run`, or name another database"
            " in TRADING_DATABASE_URL"
        )
    return complete


def instance_settings(config: TradingConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """What the running instance adds to `environ`; what that sets itself is left alone, and nothing runs: nothing."""
    found: dict[str, str] = {}
    state = Home(config.home).state()
    if state is not None:
        found["TRADING_MODE"] = state.mode
        found["TRADING_UI_PORT"] = str(state.ui_port)
        found["TRADING_EXCHANGE_PORT"] = str(state.exchange_port)
    url = None if config.database_url is not None else _embedded_url(config.home)
    if url is not None:
        found["TRADING_DATABASE_URL"] = url
    return {name: value for name, value in found.items() if not environ.get(name)}


def _embedded_url(home: Path) -> str | None:
    """The embedded server's URL, where it lives and its socket answers."""
    data = home.resolve() / "postgres"
    if running_pid(data) is None:
        return None
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        folder, port = lines[_FOLDER_LINE], lines[_PORT_LINE]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ANSWER_S)
            client.connect(f"{folder}/.s.PGSQL.{port}")
    except (OSError, IndexError):
        return None
    return f"postgresql://postgres@/{DATABASE}?host={quote(folder, safe='/')}"
