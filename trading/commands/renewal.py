"""`trading secrets rotate`: a new secret for an old one, in the order that leaves no moment without a valid one."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import typer

from trading.clock import SystemClock
from trading.config.known_secrets import (
    DATABASE_PASSWORD,
    EXCHANGE_KEYS,
    FERNET_KEY,
    KNOWN,
    NEXT_DATABASE_PASSWORD,
    KnownSecret,
    known,
)
from trading.config.secret import Secret
from trading.config.secret_files import fault_of_text, write_text
from trading.config.settings import TradingConfig
from trading.domain.key_rights import KeyRights
from trading.errors import ConfigurationError, TradingError
from trading.logging.redaction import register_secret

_SCRIPT_S: Final = 60


def run_script(config: TradingConfig, folder: Path, *names: str) -> None:
    """Let scripts/init-secrets.sh make what is missing in `folder`; of these names alone, where there are some."""
    script = config.root / "scripts" / "init-secrets.sh"
    try:
        done = subprocess.run(["bash", str(script), str(folder), *names], check=False, timeout=_SCRIPT_S)  # noqa: S603, S607
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{script} could not be run: {error}") from None
    if done.returncode:
        raise ConfigurationError(f"{script} ended with code {done.returncode}; its last line says why")


def rotate(config: TradingConfig, environ: Mapping[str, str], name: str) -> str:
    """Renew the secret `name` in its file; what is left to do. Where ConfigurationError rises, the old one stands."""
    row = _row(name)
    variable = next((each for each in (name.upper(), f"{name.upper()}_FILE") if environ.get(each)), None)
    if variable:
        raise ConfigurationError(f"the secret {name!r} comes from {variable} in the environment: renew it there")
    if name in EXCHANGE_KEYS:
        ask_exchange_keys(config)
    elif row.origin != "generated":
        _write(config, name, _asked(name, row))
    elif name == DATABASE_PASSWORD:
        _rotate_database_password(config, environ)
    elif name == FERNET_KEY:
        _write(config, name, f"{_generated(config, name)},{_only_fernet_key(config, environ)}")
    else:
        _write(config, name, _generated(config, name))
    return row.renewal


def finish_fernet_key(config: TradingConfig, environ: Mapping[str, str]) -> None:
    """Drop the old key, once `airflow rotate-fernet-key` has encrypted everything with the new one."""
    _write(config, FERNET_KEY, config.secrets(environ).get_secret(FERNET_KEY).reveal().split(",")[0])


def ask_exchange_keys(config: TradingConfig) -> None:
    """Ask for the venue's key and secret, without echo, and keep them if the venue says that they are safe."""
    key, secret = (_asked(name, _row(name)) for name in EXCHANGE_KEYS)
    if config.mode == "live":
        require_safe_key(config, Secret(EXCHANGE_KEYS[0], key), Secret(EXCHANGE_KEYS[1], secret))
    for name, value in zip(EXCHANGE_KEYS, (key, secret), strict=True):
        _write(config, name, value)


def require_safe_key(config: TradingConfig, key: Secret, secret: Secret) -> KeyRights:
    """What the venue says that the key may do. Raises ConfigurationError for one that may move money, or cannot trade.

    A key of which the venue does not say it is not taken either.
    """
    from trading.adapters.ccxt_exchange import CcxtExchange  # noqa: PLC0415 - imports a venue's client

    exchange = CcxtExchange(
        config.venue,
        clock=SystemClock(),
        base_url=config.exchange_url,
        api_key=key.reveal,
        api_secret=secret.reveal,
        secrets_named=f"{key.name} and {secret.name}",
        recv_window_ms=config.recv_window_ms,
        api_timeout_s=config.api_timeout_s,
    )
    try:
        rights = exchange.key_rights()
    except TradingError as error:
        raise ConfigurationError(
            f"{config.venue} did not say what the key {key.name!r} may do, without which it is not used live: {error}"
        ) from None
    fault = rights.fault()
    if fault:
        raise ConfigurationError(f"the key {key.name!r} {fault}")
    return rights


def _row(name: str) -> KnownSecret:
    row = known(name)
    if row is None or (row.is_family and name == row.name) or name == NEXT_DATABASE_PASSWORD:
        names = ", ".join(each.name for each in KNOWN if not each.is_family and each.name != NEXT_DATABASE_PASSWORD)
        raise ConfigurationError(f"no secret of ours is called {name[:80]!r}: expected one of {names}")
    return row


def _asked(name: str, row: KnownSecret) -> str:
    """What a person enters, or a line of standard input where that is no terminal."""
    if sys.stdin.isatty():
        value = str(typer.prompt(f"{name} (not shown)", hide_input=True, err=True))
    else:
        value = sys.stdin.readline().rstrip("\r\n")
    fault = fault_of_text(value) or row.fault(value)
    register_secret(value)
    if fault:
        raise ConfigurationError(f"what was entered for {name!r} {fault}; nothing was changed")
    return value


def _generated(config: TradingConfig, name: str) -> str:
    """A new value, made as the first one was."""
    folder = Path(tempfile.mkdtemp(prefix="trading-rotate-"))
    try:
        run_script(config, folder, name)
        value = (folder / name).read_text(encoding="utf-8").strip()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    register_secret(value)
    return value


def _write(config: TradingConfig, name: str, value: str) -> None:
    path = config.secrets_dir / name
    try:
        write_text(path, value)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be renewed ({error.strerror}): rotate where the files are kept, as their owner; what mounts"
            " them read-only only shows them"
        ) from None


def _only_fernet_key(config: TradingConfig, environ: Mapping[str, str]) -> str:
    held = config.secrets(environ).get_secret(FERNET_KEY).reveal()
    if "," in held:
        raise ConfigurationError(
            f"{FERNET_KEY} still holds the key before: run `trading airflow -- rotate-fernet-key`, then"
            f" `trading secrets rotate {FERNET_KEY} --finish`; dropped earlier, what it encrypted would be lost"
        )
    return held


def _rotate_database_password(config: TradingConfig, environ: Mapping[str, str]) -> None:
    """Write the next one beside the one of now, tell the database, try it, and only then let it take its place.

    Whatever breaks this off: both are on the disk, both are tried by whoever connects, and running it again ends it.
    """
    from trading.adapters.postgres.connection import connect_plain  # noqa: PLC0415 - imports the driver
    from trading.adapters.postgres.password import change_password, working_url  # noqa: PLC0415

    following = config.secrets_dir / NEXT_DATABASE_PASSWORD
    secrets = config.secrets(environ, on_read=register_secret)
    if len(config.database_urls(secrets)) == 0:
        raise ConfigurationError(
            f"no database takes its password from {DATABASE_PASSWORD}: expected TRADING_DATABASE_URL, or the secret"
            " database_url, with a user and a host and without a password"
        )
    if not following.exists():
        _write(config, NEXT_DATABASE_PASSWORD, _generated(config, DATABASE_PASSWORD))
    urls = config.database_urls(secrets)
    if len(urls) == 1:
        following.unlink()
        raise ConfigurationError(
            f"the database's URL does not take its password from {DATABASE_PASSWORD}: expected one with a user and a"
            " host and without a password, and that secret"
        )
    new = secrets.get_secret(NEXT_DATABASE_PASSWORD).reveal()
    if working_url(urls) != urls[1]:
        change_password(urls[0], new)
    connect_plain(urls[1]).close()
    following.replace(config.secrets_dir / DATABASE_PASSWORD)
