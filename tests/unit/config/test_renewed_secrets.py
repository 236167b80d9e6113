"""A secret that is renewed is in use within half a minute, without a restart, and never half of it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading.clock import ManualClock
from trading.config.renewed_keys import RENEWED_WITHIN_S
from trading.config.secret import Credentials
from trading.config.secrets import SecretsManager
from trading.errors import ConfigurationError

KEY, SECRET = "exchange_api_key", "exchange_api_secret"


def put(folder: Path, name: str, content: str) -> None:
    """As a rotation does it: a new file under the old name, in one step."""
    new = folder / f".{name}.new"
    new.touch(mode=0o600)
    new.write_text(content)
    new.replace(folder / name)


def key_of(number: int) -> str:
    return f"key-{number}-" + "k" * 20


def secret_of(number: int) -> str:
    return f"secret-{number}-" + "s" * 20


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, tzinfo=UTC))


@pytest.fixture
def credentials(tmp_path: Path, clock: ManualClock) -> Credentials:
    put(tmp_path, KEY, key_of(1))
    put(tmp_path, SECRET, secret_of(1))
    return SecretsManager((tmp_path,), {}, clock=clock).get_exchange_credentials("binance", "trading")


def pair(credentials: Credentials) -> tuple[str, str]:
    return credentials.api_key.reveal(), credentials.api_secret.reveal()


def test_a_renewed_pair_is_used_at_once(credentials: Credentials, tmp_path: Path) -> None:
    assert pair(credentials) == (key_of(1), secret_of(1))
    put(tmp_path, KEY, key_of(2))
    put(tmp_path, SECRET, secret_of(2))
    assert pair(credentials) == (key_of(2), secret_of(2))


@pytest.mark.parametrize(("first", "second"), [(KEY, SECRET), (SECRET, KEY)])
def test_half_a_renewed_pair_is_not_used(credentials: Credentials, tmp_path: Path, first: str, second: str) -> None:
    """Between the two writes every request is signed with the old pair."""
    values = {KEY: key_of(2), SECRET: secret_of(2)}
    put(tmp_path, first, values[first])
    assert pair(credentials) == (key_of(1), secret_of(1))
    put(tmp_path, second, values[second])
    assert pair(credentials) == (key_of(2), secret_of(2))


def test_a_pair_renewed_between_key_and_secret_is_not_torn(credentials: Credentials, tmp_path: Path) -> None:
    """The adapter asks for the key, then for the secret of that key."""
    key = credentials.api_key.reveal()
    put(tmp_path, KEY, key_of(2))
    put(tmp_path, SECRET, secret_of(2))
    assert (key, credentials.api_secret.reveal()) == (key_of(1), secret_of(1))
    assert pair(credentials) == (key_of(2), secret_of(2))


def test_one_file_alone_counts_after_half_a_minute(
    credentials: Credentials, tmp_path: Path, clock: ManualClock
) -> None:
    """Somebody mended a secret that had been written wrongly."""
    put(tmp_path, SECRET, secret_of(2))
    assert pair(credentials) == (key_of(1), secret_of(1))
    clock.advance(RENEWED_WITHIN_S - 0.1)
    assert pair(credentials) == (key_of(1), secret_of(1))
    clock.advance(0.1)
    assert pair(credentials) == (key_of(1), secret_of(2))
    assert RENEWED_WITHIN_S <= 30


@pytest.mark.parametrize("harm", ["gone", "empty", "readable"])
def test_a_bad_renewal_is_refused_after_half_a_minute(
    credentials: Credentials, tmp_path: Path, clock: ManualClock, harm: str
) -> None:
    """An editor may be at it; after that nothing is signed with what is no longer there."""
    path = tmp_path / SECRET
    if harm == "gone":
        path.unlink()
    elif harm == "empty":
        path.write_text("")
    else:
        path.chmod(0o644)
    os.utime(tmp_path / KEY, ns=(1, 1))  # both files changed
    assert pair(credentials) == (key_of(1), secret_of(1))
    clock.advance(RENEWED_WITHIN_S)
    with pytest.raises(ConfigurationError, match=SECRET):
        pair(credentials)


def test_kubernetes_renews_by_turning_one_link(tmp_path: Path, clock: ManualClock) -> None:
    """name -> ..data/name, ..data -> ..2026_03_02: the link ..data is replaced in one step."""
    for number in (1, 2):
        (tmp_path / f"..v{number}").mkdir()
        put(tmp_path / f"..v{number}", KEY, key_of(number))
        put(tmp_path / f"..v{number}", SECRET, secret_of(number))
    (tmp_path / "..data").symlink_to("..v1")
    for name in (KEY, SECRET):
        (tmp_path / name).symlink_to(f"..data/{name}")
    credentials = SecretsManager((tmp_path,), {}, clock=clock).get_exchange_credentials("binance", "trading")
    assert pair(credentials) == (key_of(1), secret_of(1))
    (tmp_path / "..data_tmp").symlink_to("..v2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert pair(credentials) == (key_of(2), secret_of(2))


def test_a_file_named_by_a_variable_is_followed_too(tmp_path: Path, clock: ManualClock) -> None:
    put(tmp_path, "k", key_of(1))
    put(tmp_path, "s", secret_of(1))
    environ = {f"{KEY.upper()}_FILE": str(tmp_path / "k"), f"{SECRET.upper()}_FILE": str(tmp_path / "s")}
    credentials = SecretsManager((), environ, clock=clock).get_exchange_credentials("binance", "trading")
    assert pair(credentials) == (key_of(1), secret_of(1))
    put(tmp_path, "k", key_of(2))
    put(tmp_path, "s", secret_of(2))
    assert pair(credentials) == (key_of(2), secret_of(2))


def test_every_other_secret_is_read_anew_each_time(tmp_path: Path) -> None:
    manager = SecretsManager((tmp_path,), {})
    for number in (1, 2):
        put(tmp_path, "kill_switch_secret", f"{number}" * 40)
        assert manager.get_kill_switch_secret().reveal() == f"{number}" * 40


def test_a_database_url_without_a_password_gets_it_from_its_secret(tmp_path: Path) -> None:
    """Quoted, so that no letter of it ends the URL's login."""
    put(tmp_path, "db_password", "p@ss/w:rd+100%-long")
    environ = {
        "TRADING_MODE": "live",
        "TRADING_DATABASE_URL": "postgresql://trading@db.example:5433/books?sslmode=require",
    }
    url = SecretsManager((tmp_path,), environ).get_database_url()
    assert url is not None
    assert url.reveal() == ("postgresql://trading:p%40ss%2Fw%3Ard%2B100%25-long@db.example:5433/books?sslmode=require")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://trading:its-own@db.example/books",
        "postgresql://trading@db.example/books?password=its-own",
        "postgresql://postgres@/trading?host=/run/socket",
        "postgresql://db.example/books",
    ],
)
def test_a_database_url_that_needs_no_password_is_left_alone(tmp_path: Path, url: str) -> None:
    put(tmp_path, "db_password", "never-to-be-used")
    found = SecretsManager((tmp_path,), {"TRADING_DATABASE_URL": url}).get_database_urls()
    assert [each.reveal() for each in found] == [url]


def test_while_a_password_is_changed_both_are_offered(tmp_path: Path) -> None:
    """PostgreSQL knows one password a role: which of the two it is, only trying tells."""
    environ = {"TRADING_DATABASE_URL": "postgresql://u@h/d"}
    manager = SecretsManager((tmp_path,), environ)
    put(tmp_path, "db_password", "password-of-now")
    put(tmp_path, "db_password_next", "password-of-then")
    urls = [url.reveal() for url in manager.get_database_urls()]
    assert urls == ["postgresql://u:password-of-now@h/d", "postgresql://u:password-of-then@h/d"]
    (tmp_path / "db_password_next").replace(tmp_path / "db_password")
    assert [url.reveal() for url in manager.get_database_urls()] == ["postgresql://u:password-of-then@h/d"]


def test_a_bad_password_beside_a_url_stops(tmp_path: Path) -> None:
    put(tmp_path, "db_password", "readable-by-all")
    (tmp_path / "db_password").chmod(0o644)
    with pytest.raises(ConfigurationError, match="mode 0644"):
        SecretsManager((tmp_path,), {"TRADING_DATABASE_URL": "postgresql://u@h/d"}).get_database_url()
