"""`trading secrets`: making them, renewing them, and what can be said of each. Content is never shown."""

import os
import pwd
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from trading.clock import SystemClock
from trading.commands.invocation import examples
from trading.commands.listing import AsJson, Column, show
from trading.commands.renewal import ask_exchange_keys, finish_fernet_key, require_safe_key, run_script
from trading.commands.renewal import rotate as renew
from trading.config.known_secrets import EXCHANGE_KEYS, FERNET_KEY, KNOWN, KnownSecret, known
from trading.config.secrets import SecretsManager
from trading.config.settings import TradingConfig
from trading.domain.market import from_ms
from trading.errors import ConfigurationError

app = typer.Typer()
secrets = typer.Typer(no_args_is_help=True)
app.add_typer(secrets, name="secrets", help="The secrets: creating and checking them; their content is never shown.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretRow:
    """One secret as it was found; `problem` is empty where it can be used or is not needed."""

    name: str
    needed: bool
    source: str
    age: timedelta | None = None
    mode: str = ""
    owner: str = ""
    readers: str = ""  # by the file's mode
    services: tuple[str, ...] = ()  # of docker-compose.yml, by the table of secrets
    purpose: str = ""
    problem: str = ""


@secrets.command(epilog=examples("trading secrets init", "trading secrets init --exchange"))
def init(
    *, exchange: Annotated[bool, typer.Option("--exchange", help="Ask for the exchange's key and secret too.")] = False
) -> None:
    """Create every secret that this project generates; what is there is never overwritten."""
    config = TradingConfig.from_env(os.environ)
    run_script(config, config.secrets_dir)
    there = [name for name in EXCHANGE_KEYS if os.path.lexists(config.secrets_dir / name)]
    if exchange and there:
        raise ConfigurationError(f"{' and '.join(there)} there already: renew them with `trading secrets rotate`")
    if exchange:
        ask_exchange_keys(config)
    typer.echo(f"the secrets are in {config.secrets_dir}", err=True)


@secrets.command(epilog=examples("trading secrets status", "trading secrets status --json"))
def status(*, as_json: AsJson = False) -> None:
    """Which secrets there are, where, how old, whose, and who may read what; none is opened."""
    config = TradingConfig.from_env(os.environ)
    _show([_found(config, row, os.environ) for row in _rows(config, os.environ)], as_json=as_json)


@secrets.command(epilog=examples("trading secrets check", "trading secrets check --service scheduler"))
def check(
    *,
    service: Annotated[
        str, typer.Option(help="This service of docker-compose.yml: it must have its own secrets, and no other.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Read every secret as the pipeline does, and fail where one is missing or bad; live, ask the venue as well."""
    config = TradingConfig.from_env(os.environ)
    rows = _of_service(config, os.environ, service) if service else checked(config, os.environ)
    _show(rows, as_json=as_json)
    for row in rows:
        if row.problem and not as_json:
            typer.echo(row.problem, err=True)
    require_usable(rows)


@secrets.command(
    epilog=examples("trading secrets rotate kill_switch_secret", "trading secrets rotate exchange_api_key")
)
def rotate(
    name: Annotated[str, typer.Argument(help="Which; a venue's key and secret are renewed together.")],
    *,
    finish: Annotated[bool, typer.Option("--finish", help=f"Drop the old key of {FERNET_KEY}.")] = False,
) -> None:
    """Put a new secret in place of the old one, and say what is left to do."""
    config = TradingConfig.from_env(os.environ)
    if not finish:
        left = renew(config, os.environ, name)
        typer.echo(f"{name} is renewed; {left}", err=True)
        return
    if name != FERNET_KEY:
        raise ConfigurationError(f"--finish is for {FERNET_KEY} alone, of which two are valid until then; got {name!r}")
    finish_fernet_key(config, os.environ)
    typer.echo(f"{name} holds the new key alone; restart", err=True)


def needed(config: TradingConfig) -> tuple[str, ...]:
    """The secrets without which this mode does not run."""
    return tuple(row.name for row in KNOWN if config.mode in row.needed_in)


def checked(config: TradingConfig, environ: Mapping[str, str]) -> list[SecretRow]:
    """Every secret, opened and judged as the pipeline does it; in mode live the venue says what its key may do."""
    manager = config.secrets(environ)
    rows = [_judged(manager, _found(config, row, environ)) for row in _rows(config, environ)]
    if config.mode == "live" and not any(row.problem for row in rows if row.name in EXCHANGE_KEYS):
        return [_asked_of_the_venue(config, manager, row) if row.name == EXCHANGE_KEYS[0] else row for row in rows]
    return rows


def _rows(config: TradingConfig, environ: Mapping[str, str]) -> list[KnownSecret]:
    """What this mode needs and what may be there, with each member of a family that is."""
    wanted = [row for row in KNOWN if not row.is_family and (config.mode in row.needed_in or not row.needed_in)]
    there = [(name, known(name)) for name in config.secrets(environ).names("")]
    return wanted + [replace(row, name=name) for name, row in there if row is not None and row.is_family]


def _of_service(config: TradingConfig, environ: Mapping[str, str], service: str) -> list[SecretRow]:
    """The secrets of one service, and every other one that it can read although it should not."""
    services = sorted({reader for row in KNOWN for reader in row.readers})
    if service not in services:
        raise ConfigurationError(f"no service {service!r} has secrets: expected one of {', '.join(services)}")
    manager = config.secrets(environ)
    rows = []
    for name in sorted({row.name for row in KNOWN if not row.is_family} | set(manager.names(""))):
        row = known(name)
        if row is None:
            continue
        found = _found(config, replace(row, name=name), environ)
        is_there = found.source not in ("missing", "not set")
        if service not in row.readers and is_there:
            rows.append(replace(found, problem=f"{service} can read {name}: expected only {', '.join(row.readers)}"))
        elif service in row.readers and (is_there or _is_owed(config, row)):
            rows.append(_judged(manager, replace(found, needed=_is_owed(config, row))))
    return rows


def _is_owed(config: TradingConfig, row: KnownSecret) -> bool:
    """Whether a deployment gives it to its readers: what is generated or asked for, as far as this mode uses it."""
    return row.origin != "written" and (config.mode in row.needed_in or not row.needed_in)


def _asked_of_the_venue(config: TradingConfig, manager: SecretsManager, row: SecretRow) -> SecretRow:
    try:
        rights = require_safe_key(config, *(manager.get_secret(name) for name in EXCHANGE_KEYS))
    except ConfigurationError as error:
        return replace(row, problem=str(error))
    advice = rights.advice()
    return replace(row, purpose=f"{row.purpose}; the key {advice}") if advice else row


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
        if row.name == "database_url":
            manager.get_database_url()
        elif row.needed:
            manager.get_secret(row.name)
        else:
            manager.find_secret(row.name)
    except ConfigurationError as error:
        return replace(row, problem=str(error))
    return row


def _found(config: TradingConfig, row: KnownSecret, environ: Mapping[str, str]) -> SecretRow:
    """Where the secret is, and what the file system says of it."""
    name = row.name
    variable = "TRADING_DATABASE_URL" if name == "database_url" else name.upper()
    found = SecretRow(
        name=name, needed=config.mode in row.needed_in, source="", services=row.readers, purpose=row.purpose
    )
    path = config.secrets_dir / name
    if not os.path.lexists(path) and environ.get(f"{variable}_FILE"):
        path = Path(environ[f"{variable}_FILE"])
    try:
        status = path.stat()
    except OSError:
        missing = "missing" if found.needed else "not set"
        return replace(found, source=f"environment {variable}" if environ.get(variable) else missing)
    return replace(
        found,
        source=str(path),
        age=SystemClock().now() - _changed_at(status),
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        owner=_owner(status.st_uid),
        readers=_readers(status),
    )


def _changed_at(status: os.stat_result) -> datetime:
    return from_ms(status.st_mtime_ns // 1_000_000)


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _readers(status: os.stat_result) -> str:
    """Who may read the file; root may read every one."""
    if status.st_mode & stat.S_IROTH:
        return "everybody"
    group = f", group {status.st_gid}" if status.st_mode & stat.S_IRGRP else ""
    return f"{_owner(status.st_uid)}{group}"


def _show(rows: list[SecretRow], *, as_json: bool) -> None:
    columns: list[Column[SecretRow]] = [
        Column("name", lambda row: row.name),
        Column("needed", lambda row: row.needed, rank=2),
        Column("source", lambda row: row.source, rank=1),
        Column("mode", lambda row: row.mode),
        Column("owner", lambda row: row.owner, rank=3),
        Column("readers", lambda row: row.readers, rank=4),
        Column("services", lambda row: row.services, rank=5),
        Column("purpose", lambda row: row.purpose, rank=6),
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
