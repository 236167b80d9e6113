"""Every setting, once: read from TRADING_* variables, checked, and able to say where it came from."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from trading.config.secret import Secret
from trading.config.secret_files import Policy
from trading.config.secrets import SecretsManager
from trading.errors import ConfigurationError

_T = TypeVar("_T")

Mode = Literal["replay", "paper", "sandbox", "live"]

MODES: Final = ("replay", "paper", "sandbox", "live")
VENUES: Final = ("binance",)
POLICIES: Final = ("strict", "mounted")
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
MOUNTED_SECRETS: Final = Path("/run/secrets")

#: Where orders go unless TRADING_EXCHANGE_URL says otherwise; the other modes use the local paper exchange.
_VENUE_URLS: Final = {"sandbox": "https://testnet.binance.vision", "live": "https://api.binance.com"}

#: Set by the supervisor and by the test suite for themselves.
_NOT_SETTINGS: Final = frozenset({"TRADING_INSTANCE", "TRADING_TEST_DATABASE_URL"})


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `trading config show`; the value is masked where it could hold a password."""

    name: str
    value: str
    source: str


class TradingConfig(BaseModel):
    """The resolved settings. Paths are absolute, times in the unit that ends their name."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    mode: Mode
    root: Path
    home: Path
    secrets_dir: Path
    secrets_policy: Policy
    database_url: Secret | None  # None: the embedded PostgreSQL
    venue: str
    account: str
    dual_control: bool
    portfolio_path: Path
    strategies_path: tuple[Path, ...]
    log_level: str
    log_path: Path
    ui_port: int
    exchange_port: int
    exchange_url: str
    recv_window_ms: int
    api_timeout_s: int
    clock_skew_s: int
    visibility_lag_s: int
    sources: Mapping[str, str]

    @property
    def alerts_sign(self) -> Path:
        """Touched by the watcher of alerts whenever it has looked; the container's health check asks for it."""
        return self.log_path.with_name("alerts.alive")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, *, root: Path | None = None) -> "TradingConfig":
        """Settings from `environ`. Raises one ConfigurationError that names everything that is wrong with them.

        `root` holds dags/, plugins/, scripts/ and portfolio.toml: the checkout, or what TRADING_ROOT names.
        """
        reader = _Reader(environ)
        values = _read_all(reader, (root or Path(__file__).parents[2]).absolute())
        if reader.problems:
            raise ConfigurationError("; ".join(reader.problems))
        manager = SecretsManager((values["secrets_dir"],), environ, values["secrets_policy"])
        database_url = manager.get_database_url()
        if database_url is not None:
            _check_database_url(database_url)
        reader.sources["database_url"] = _database_source(environ, database_url)
        return cls(database_url=database_url, sources=reader.sources, **values)

    def secrets(
        self, environ: Mapping[str, str] = os.environ, *, on_read: Callable[[str], object] | None = None
    ) -> SecretsManager:
        """The secrets of this configuration; `on_read` is handed each content, so that logs can redact it."""
        return SecretsManager((self.secrets_dir,), environ, self.secrets_policy, on_read=on_read)

    def database_urls(self, secrets: SecretsManager) -> tuple[str, ...]:
        """The database's URL as it is now, and the one to come while its password is changed; for asking again."""
        fresh = secrets.get_database_urls() or ((self.database_url,) if self.database_url else ())
        return tuple(url.reveal() for url in fresh)

    def describe(self) -> list[SettingRow]:
        """Each setting with its value and source, passwords masked."""
        rows = []
        for name in type(self).model_fields:
            if name == "sources":
                continue
            value: Any = getattr(self, name)
            text = "(embedded)" if value is None else str(value.reveal() if isinstance(value, Secret) else value)
            if isinstance(value, tuple):
                text = os.pathsep.join(map(str, value))
            shown = mask_url(text) if "://" in text else text
            rows.append(SettingRow(name, shown, self.sources.get(name, "default")))
        return rows


class _Reader:
    """Collects values, where each came from, and every problem, so that one start names them all."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known = {"TRADING_DATABASE_URL", "TRADING_SECRETS_FROM_ENVIRONMENT"}  # read by the secrets manager
        self.sources: dict[str, str] = {}
        self.problems: list[str] = []

    def get(self, field: str, variable: str, default: _T, parse: Callable[[str], _T]) -> _T:
        """The parsed value of `variable`, or `default` where it is unset, empty or wrong (then it is a problem)."""
        self._known.add(variable)
        text = self._environ.get(variable, "")
        self.sources[field] = f"environment {variable}" if text else "default"
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{variable} is {mask_url(text)[:100]!r} in the environment: {error}")
            return default

    def refuse_unknown(self) -> None:
        """A name that nothing reads is a typing mistake that would otherwise be ignored."""
        for name in sorted(self._environ):
            if name.startswith("TRADING_") and name not in self._known | _NOT_SETTINGS:
                near = get_close_matches(name, self._known, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                self.problems.append(
                    f"{name} is set in the environment but no such setting exists: {hint}expected one of"
                    f" {', '.join(sorted(self._known))}"
                )


def _read_all(reader: _Reader, root: Path) -> dict[str, Any]:
    """Every field but `database_url` and `sources`; problems stay in `reader`."""
    get = reader.get
    root = get("root", "TRADING_ROOT", root, _path)
    mode = get("mode", "TRADING_MODE", "replay", _one_of(MODES))
    venue = get("venue", "TRADING_VENUE", "binance", _one_of(VENUES))
    home = get("home", "TRADING_HOME", root / ".trading", _path)
    default_secrets = MOUNTED_SECRETS if MOUNTED_SECRETS.is_dir() else root / "secrets"
    exchange_port = get("exchange_port", "TRADING_EXCHANGE_PORT", 8900, _integer(1, 65_535))
    default_url = _VENUE_URLS.get(mode, f"http://127.0.0.1:{exchange_port}")
    values = {
        "mode": mode,
        "root": root,
        "home": home,
        "secrets_dir": get("secrets_dir", "TRADING_SECRETS_DIR", default_secrets, _path),
        "secrets_policy": get("secrets_policy", "TRADING_SECRETS_POLICY", "strict", _one_of(POLICIES)),
        "venue": venue,
        "account": get("account", "TRADING_ACCOUNT", mode, _account),
        # Said in a setting, not by a file that is there: whoever removes a key must not lower what is asked for.
        "dual_control": get("dual_control", "TRADING_DUAL_CONTROL", mode == "live", _yes_or_no),
        "portfolio_path": get("portfolio_path", "TRADING_PORTFOLIO", root / "portfolio.toml", _path),
        "strategies_path": get("strategies_path", "TRADING_STRATEGIES_PATH", _paths(str(root / "strategies")), _paths),
        "log_level": get("log_level", "TRADING_LOG_LEVEL", "INFO", _one_of(LOG_LEVELS)),
        "log_path": home / "logs" / "trading.jsonl",
        "ui_port": get("ui_port", "TRADING_UI_PORT", 8080, _integer(1, 65_535)),
        "exchange_port": exchange_port,
        "exchange_url": get("exchange_url", "TRADING_EXCHANGE_URL", default_url, _exchange_url(mode)),
        "recv_window_ms": get("recv_window_ms", "TRADING_RECV_WINDOW_MS", 2_000, _integer(1, 2_000)),
        "api_timeout_s": get("api_timeout_s", "TRADING_API_TIMEOUT_S", 10, _integer(1, 60)),
        "clock_skew_s": get("clock_skew_s", "TRADING_CLOCK_SKEW_S", 1, _integer(0, 30)),
        "visibility_lag_s": get("visibility_lag_s", "TRADING_VISIBILITY_LAG_S", 10, _integer(0, 600)),
    }
    reader.refuse_unknown()
    if values["ui_port"] == exchange_port:
        reader.problems.append(f"TRADING_UI_PORT and TRADING_EXCHANGE_PORT are both {exchange_port}: expected two")
    return values


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return text

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _yes_or_no(text: str) -> bool:
    return _one_of(("0", "1"))(text) == "1"


def _path(text: str) -> Path:
    if "\0" in text or "\n" in text:
        raise ValueError("expected a path without NUL and newline")
    return Path(text).expanduser().absolute()


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(_path(part) for part in text.split(os.pathsep) if part)


def _account(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text):
        raise ValueError("expected 1 to 32 of a-z, 0-9, _ and -, starting with a letter or digit")
    return text


def _exchange_url(mode: str) -> Callable[[str], str]:
    schemes = ("https",) if mode in _VENUE_URLS else ("http", "https")

    def parse(text: str) -> str:
        parts = urlsplit(text)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        if parts.scheme not in schemes or not parts.hostname or not plain or parts.port == 0:
            raise ValueError(f"expected {' or '.join(schemes)}://host[:port] without login and query in mode {mode}")
        return text.rstrip("/")

    return parse


def mask_url(text: str) -> str:
    """`text` with the passwords of URLs in it replaced: postgresql://user:***@host/db."""
    masked = re.sub(r"(://[^/?#\s:@]*:)\S*@", r"\1***@", text)
    return re.sub(r"(?i)([?&](?:ssl)?password=)[^&#\s]*", r"\1***", masked)


def sqlalchemy_url(url: str) -> str:
    """`url` as SQLAlchemy wants it, with psycopg 3 as the driver, which serves its sync and its async engine."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _check_database_url(url: Secret) -> None:
    if not url.reveal().startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            "the database URL (TRADING_DATABASE_URL or the secret 'database_url') has another scheme: expected"
            " postgresql://user@host:port/database"
        )


def _database_source(environ: Mapping[str, str], url: Secret | None) -> str:
    if url is None:
        return "default"
    return "environment TRADING_DATABASE_URL" if environ.get("TRADING_DATABASE_URL") else "secret file"
