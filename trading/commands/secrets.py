"""`trading secrets`: which there are, how old, whose, and whether each can be used. Content is never shown."""

import os
import pwd
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import typer

from trading.alerting import channel_names
from trading.clock import SystemClock
from trading.commands.invocation import examples
from trading.commands.listing import AsJson, Column, show
from trading.config.secrets import KILL_SWITCH_KEYS, SecretsManager
from trading.config.settings import TradingConfig
from trading.domain.market import from_ms
from trading.errors import ConfigurationError

app = typer.Typer()
secrets = typer.Typer(no_args_is_help=True)
app.add_typer(secrets, name="secrets", help="The secrets: creating and checking them; their content is never shown.")

#: What every mode needs, and what the venue of each asks for.
_ALWAYS: Final = (
    "kill_switch_secret",
    "audit_secret",
    "airflow_conf_fernet_key",
    "airflow_conf_secret_key",
    "airflow_conf_jwt_secret",
    "ui_admin_password",
)
_PAPER: Final = ("paper_api_key", "paper_api_secret")
_EXCHANGE: Final = ("exchange_api_key", "exchange_api_secret")
_OPTIONAL: Final = ("kill_switch_secret_b", "db_password", "database_url")
_INIT_S: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretRow:
    """One secret as it was found; `problem` is empty where it can be used or is not needed."""

    name: str
    needed: bool
    source: str
    age: timedelta | None = None
    mode: str = ""
    owner: str = ""
    problem: str = ""


@secrets.command(epilog=examples("trading secrets init"))
def init() -> None:
    """Create every secret that this project generates; what is there is never overwritten."""
    config = TradingConfig.from_env(os.environ)
    script = config.root / "scripts" / "init-secrets.sh"
    try:
        done = subprocess.run(["bash", str(script), str(config.secrets_dir)], check=False, timeout=_INIT_S)  # noqa: S603, S607
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{script} could not be run: {error}") from None
    if done.returncode:
        raise ConfigurationError(f"{script} ended with code {done.returncode}; its last line says why")
    typer.echo(f"the secrets are in {config.secrets_dir}", err=True)


@secrets.command(epilog=examples("trading secrets status", "trading secrets status --json"))
def status(*, as_json: AsJson = False) -> None:
    """Which secrets there are, where, how old and whose; none is opened."""
    config = TradingConfig.from_env(os.environ)
    _show(
        [_found(config, name, os.environ) for name in (*needed(config), *_optional(config, os.environ))],
        as_json=as_json,
    )


@secrets.command(epilog=examples("trading secrets check"))
def check(*, as_json: AsJson = False) -> None:
    """Read every secret as the pipeline does, and fail where one is missing or bad."""
    rows = checked(TradingConfig.from_env(os.environ), os.environ)
    _show(rows, as_json=as_json)
    for row in rows:
        if row.problem and not as_json:
            typer.echo(row.problem, err=True)
    require_usable(rows)


def needed(config: TradingConfig) -> tuple[str, ...]:
    """The secrets without which this mode does not run."""
    return _ALWAYS + (_PAPER if config.mode in ("replay", "paper") else _EXCHANGE)


def _optional(config: TradingConfig, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What may be there, with the channels of alerts that are."""
    return (*_OPTIONAL, *channel_names(config.secrets(environ)))


def checked(config: TradingConfig, environ: Mapping[str, str]) -> list[SecretRow]:
    """Every secret, opened and judged as the pipeline does it."""
    manager = config.secrets(environ)
    names = (*needed(config), *_optional(config, environ))
    return [_judged(manager, _found(config, name, environ)) for name in names]


def require_usable(rows: Sequence[SecretRow]) -> None:
    """Raise ConfigurationError naming every secret that is missing or bad, with the first one's whole story."""
    bad = [row for row in rows if row.problem]
    if len(bad) == 1:
        raise ConfigurationError(bad[0].problem)
    if bad:
        others = ", ".join(row.name for row in bad[1:])
        raise ConfigurationError(f"{bad[0].problem}; neither can these be used: {others}")


def _judged(manager: SecretsManager, row: SecretRow) -> SecretRow:
    try:
        if row.name in KILL_SWITCH_KEYS and (row.needed or row.source != "not set"):
            manager.get_kill_switch_key(row.name)
        elif row.name == "audit_secret":
            manager.get_audit_secret()
        elif row.name == "database_url":
            manager.get_database_url()
        elif row.needed:
            manager.get_secret(row.name)
        else:
            manager.find_secret(row.name)
    except ConfigurationError as error:
        return replace(row, problem=str(error))
    return row


def _found(config: TradingConfig, name: str, environ: Mapping[str, str]) -> SecretRow:
    """Where the secret is, and what the file system says of it."""
    variable = "TRADING_DATABASE_URL" if name == "database_url" else name.upper()
    is_needed = name in needed(config)
    path = config.secrets_dir / name
    if not os.path.lexists(path) and environ.get(f"{variable}_FILE"):
        path = Path(environ[f"{variable}_FILE"])
    try:
        status = path.stat()
    except OSError:
        source = f"environment {variable}" if environ.get(variable) else "missing" if is_needed else "not set"
        return SecretRow(name=name, needed=is_needed, source=source)
    return SecretRow(
        name=name,
        needed=is_needed,
        source=str(path),
        age=SystemClock().now() - _changed_at(status),
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        owner=_owner(status.st_uid),
    )


def _changed_at(status: os.stat_result) -> datetime:
    return from_ms(status.st_mtime_ns // 1_000_000)


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _show(rows: list[SecretRow], *, as_json: bool) -> None:
    columns: list[Column[SecretRow]] = [
        Column("name", lambda row: row.name),
        Column("needed", lambda row: row.needed, rank=2),
        Column("source", lambda row: row.source, rank=1),
        Column("mode", lambda row: row.mode),
        Column("owner", lambda row: row.owner, rank=3),
    ]
    if as_json:
        columns += [
            Column("age_s", lambda row: None if row.age is None else int(row.age.total_seconds())),
            Column("problem", lambda row: row.problem or None),
        ]
    else:
        columns.insert(2, Column("age", lambda row: _age(row.age)))
    show(rows, columns, as_json=as_json, none="no secret")


def _age(age: timedelta | None) -> str:
    if age is None:
        return ""
    if age.days:
        return f"{age.days} days"
    return f"{int(age.total_seconds()) // 60} min"
