"""Settings: resolved once, able to say where each came from, and clear about every mistake at once."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from trading.config import settings
from trading.config.settings import TradingConfig, mask_url, sqlalchemy_url
from trading.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_mounted_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "MOUNTED_SECRETS", tmp_path / "run-secrets")


def problems(environ: dict[str, str], root: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        TradingConfig.from_env(environ, root=root)
    return str(caught.value)


def test_an_empty_environment_is_a_replay_inside_the_project(tmp_path: Path) -> None:
    config = TradingConfig.from_env({}, root=tmp_path)
    assert (config.mode, config.account, config.venue) == ("replay", "replay", "binance")
    assert config.home == tmp_path / ".trading"
    assert config.log_path == tmp_path / ".trading/logs/trading.jsonl"
    assert config.secrets_dir == tmp_path / "secrets"
    assert config.portfolio_path == tmp_path / "portfolio.toml"
    assert config.exchange_url == "http://127.0.0.1:8900"
    assert config.database_url is None
    assert set(config.sources.values()) == {"default"}


def test_the_default_root_holds_the_shipped_portfolio() -> None:
    assert (TradingConfig.from_env({}).root / "trading" / "errors.py").is_file()


def test_docker_s_secrets_folder_comes_before_the_project_s(tmp_path: Path) -> None:
    (tmp_path / "run-secrets").mkdir()
    assert TradingConfig.from_env({}, root=tmp_path).secrets_dir == tmp_path / "run-secrets"


def test_each_value_names_its_source(tmp_path: Path) -> None:
    environ = {"TRADING_MODE": "paper", "TRADING_EXCHANGE_PORT": "9100", "TRADING_HOME": "", "OTHER": "x"}
    config = TradingConfig.from_env(environ, root=tmp_path)
    assert config.exchange_url == "http://127.0.0.1:9100"
    assert config.account == "paper"
    assert config.sources["mode"] == "environment TRADING_MODE"
    assert config.sources["home"] == "default"
    rows = {row.name: (row.value, row.source) for row in config.describe()}
    assert rows["exchange_port"] == ("9100", "environment TRADING_EXCHANGE_PORT")
    assert set(rows) == set(TradingConfig.model_fields) - {"sources"}


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert TradingConfig.from_env({"TRADING_HOME": "state"}, root=tmp_path).home == tmp_path / "state"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("TRADING_MODE", "Live", "replay, paper, sandbox, live"),
        ("TRADING_VENUE", "mtgox", "binance"),
        ("TRADING_LOG_LEVEL", "loud", "DEBUG"),
        ("TRADING_UI_PORT", "0", "from 1 to 65535"),
        ("TRADING_UI_PORT", "8_080", "from 1 to 65535"),
        ("TRADING_UI_PORT", "٨٠٨٠", "from 1 to 65535"),
        ("TRADING_RECV_WINDOW_MS", "2001", "from 1 to 2000"),
        ("TRADING_API_TIMEOUT_S", "-1", "from 1 to 60"),
        ("TRADING_ACCOUNT", "../x", "1 to 32"),
        ("TRADING_EXCHANGE_URL", "ftp://x", "http or https"),
        ("TRADING_EXCHANGE_URL", "http://h:99999", "out of range"),
        ("TRADING_SECRETS_POLICY", "none", "strict, mounted"),
    ],
)
def test_a_bad_value_names_variable_value_choices_and_place(
    tmp_path: Path, variable: str, value: str, allowed: str
) -> None:
    message = problems({variable: value}, tmp_path)
    for part in (variable, repr(value), allowed, "environment"):
        assert part in message


def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    message = problems({"TRADING_UIPORT": "1"}, tmp_path)
    assert "TRADING_UIPORT" in message
    assert "did you mean TRADING_UI_PORT?" in message


def test_the_supervisor_s_mark_is_no_mistake(tmp_path: Path) -> None:
    assert TradingConfig.from_env({"TRADING_INSTANCE": "x"}, root=tmp_path).mode == "replay"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    message = problems({"TRADING_MODE": "x", "TRADING_UI_PORT": "y", "TRADING_Z": "1"}, tmp_path)
    assert all(name in message for name in ("TRADING_MODE", "TRADING_UI_PORT", "TRADING_Z"))


def test_two_servers_cannot_share_a_port(tmp_path: Path) -> None:
    assert "both 8900" in problems({"TRADING_UI_PORT": "8900"}, tmp_path)


def test_live_talks_https_to_the_exchange_and_nothing_else(tmp_path: Path) -> None:
    assert TradingConfig.from_env({"TRADING_MODE": "live"}, root=tmp_path).exchange_url == "https://api.binance.com"
    assert "https" in problems({"TRADING_MODE": "live", "TRADING_EXCHANGE_URL": "http://127.0.0.1:1"}, tmp_path)


def test_no_password_leaves_through_describe_errors_or_reprs(tmp_path: Path) -> None:
    environ = {"TRADING_DATABASE_URL": "postgresql://u:canary@h:5432/d?password=canary"}
    config = TradingConfig.from_env(environ, root=tmp_path)
    shown = {row.name: row for row in config.describe()}["database_url"]
    assert shown.value == "postgresql://u:***@h:5432/d?password=***"
    assert shown.source == "environment TRADING_DATABASE_URL"
    assert "canary" not in repr(config)
    assert "canary" not in problems({"TRADING_DATABASE_URL": "mysql://u:canary@h/d"}, tmp_path)
    assert "canary" not in problems({"TRADING_EXCHANGE_URL": "http://u:canary@h"}, tmp_path)


def test_the_database_url_may_be_a_secret_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    path = tmp_path / "secrets" / "database_url"
    path.write_text("postgresql://u:p@h/d\n")
    path.chmod(0o600)
    config = TradingConfig.from_env({}, root=tmp_path)
    assert config.database_url is not None
    assert config.database_url.reveal() == "postgresql://u:p@h/d"
    assert config.sources["database_url"] == "secret file"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    config = TradingConfig.from_env({}, root=tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        config.mode = "live"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@ss/w@rd@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?host=/x", "postgresql://u@h/d?host=/x"),
        ("http://127.0.0.1:8900", "http://127.0.0.1:8900"),
        ("postgresql://h/d?user=u&password=p&x=1", "postgresql://h/d?user=u&password=***&x=1"),
    ],
)
def test_passwords_of_urls_are_masked(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_the_database_url_becomes_sqlalchemy_s() -> None:
    assert sqlalchemy_url("postgresql://u@/d?host=/x") == "postgresql+psycopg://u@/d?host=/x"
    assert sqlalchemy_url("postgres://u@h/d") == "postgresql+psycopg://u@h/d"


def test_an_installed_package_is_told_where_the_rest_of_the_project_is(tmp_path: Path) -> None:
    config = TradingConfig.from_env({"TRADING_ROOT": str(tmp_path)})
    assert (config.root, config.home, config.portfolio_path) == (
        tmp_path,
        tmp_path / ".trading",
        tmp_path / "portfolio.toml",
    )
