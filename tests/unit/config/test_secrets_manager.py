"""The secrets manager reads as if an adversary had written the files, and never tells what it read."""

import copy
import json
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.config.broker import broker_url
from trading.config.secret import Secret
from trading.config.secrets import SecretsManager
from trading.errors import ConfigurationError

NAME = "kill_switch_secret"
CANARY = "canary-7f3a91c2d4e5b6a7-Zq0-93bd61"


def write(folder: Path, content: bytes | str, name: str = NAME, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def refusal(manager: SecretsManager, name: str = NAME) -> str:
    """The message of the refusal, after checking that the canary is nowhere in the error and its chain."""
    with pytest.raises(ConfigurationError) as caught:
        manager.get_secret(name)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(error))
    return str(error)


def test_a_link_may_point_inside_its_folder_only(tmp_path: Path) -> None:
    """Kubernetes mounts name -> ..data/name, and ..data -> a folder beside it."""
    mount, outside = tmp_path / "mount", tmp_path / "outside"
    (mount / "..2026").mkdir(parents=True)
    outside.mkdir()
    write(mount / "..2026", CANARY)
    write(outside, "stolen", "other")
    (mount / "..data").symlink_to("..2026")
    (mount / NAME).symlink_to(f"..data/{NAME}")
    (mount / "leaves").symlink_to("../outside/other")
    (mount / "nowhere").symlink_to("missing")
    (mount / "loop").symlink_to("loop")
    manager = SecretsManager((mount,), {"LEAVES": "decoy", "NOWHERE": "decoy", "LOOP": "decoy"})
    assert manager.get_secret(NAME).reveal() == CANARY
    assert "leaves its folder" in refusal(manager, "leaves")
    for broken in ("nowhere", "loop"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            manager.get_secret(broken)


def test_a_missing_secret_names_itself_and_every_place_that_was_looked_at(tmp_path: Path) -> None:
    message = refusal(SecretsManager((tmp_path / "one", tmp_path / "two"), {}))
    for part in (repr(NAME), str(tmp_path / "one" / NAME), str(tmp_path / "two" / NAME), NAME.upper(), "init-secrets"):
        assert part in message


def test_file_and_environment_may_agree_but_not_differ(tmp_path: Path) -> None:
    write(tmp_path, CANARY)
    assert SecretsManager((tmp_path,), {NAME.upper(): CANARY}).get_secret(NAME).reveal() == CANARY
    assert "set twice" in refusal(SecretsManager((tmp_path,), {NAME.upper(): CANARY + "x"}))


def test_name_file_points_at_a_file_that_must_exist_and_be_safe(tmp_path: Path) -> None:
    path = write(tmp_path, CANARY, "elsewhere")
    variable = f"{NAME.upper()}_FILE"
    assert SecretsManager((), {variable: str(path)}).get_secret(NAME).reveal() == CANARY
    assert "does not exist" in refusal(SecretsManager((), {variable: str(tmp_path / "no")}))
    assert "set twice" in refusal(SecretsManager((), {variable: str(path), NAME.upper(): CANARY}))
    path.chmod(0o644)
    assert "mode 0644" in refusal(SecretsManager((), {variable: str(path)}))


def test_live_takes_a_secret_from_the_environment_only_where_it_is_listed() -> None:
    environ = {"TRADING_MODE": "live", NAME.upper(): CANARY}
    assert "TRADING_SECRETS_FROM_ENVIRONMENT" in refusal(SecretsManager((), environ))
    listed = {**environ, "TRADING_SECRETS_FROM_ENVIRONMENT": f"other, {NAME}"}
    assert SecretsManager((), listed).get_secret(NAME).reveal() == CANARY


def test_a_database_url_with_a_password_is_a_secret_in_live_and_one_without_is_not() -> None:
    with_password = {"TRADING_MODE": "live", "TRADING_DATABASE_URL": f"postgresql://u:{CANARY}@h/d"}
    with pytest.raises(ConfigurationError, match="TRADING_DATABASE_URL"):
        SecretsManager((), with_password).get_database_url()
    without = {"TRADING_MODE": "live", "TRADING_DATABASE_URL": "postgresql://u@h/d"}
    url = SecretsManager((), without).get_database_url()
    assert url is not None
    assert url.reveal() == "postgresql://u@h/d"
    assert SecretsManager((), {"DATABASE_URL": "postgresql://stray/db"}).get_database_url() is None


def test_a_url_that_names_a_user_alone_gets_the_password_of_the_secret(tmp_path: Path) -> None:
    """Only where it is meant: not for a URL with a password, without a host, or where the file database_url differs."""
    write(tmp_path, "p@ss/w:rd-long", "db_password")

    def asked(url: str) -> str:
        found = SecretsManager((tmp_path,), {"TRADING_MODE": "live", "TRADING_DATABASE_URL": url}).get_database_url()
        assert found is not None
        return found.reveal()

    assert asked("postgresql://u@h:5432/d?x=1") == "postgresql://u:p%40ss%2Fw%3Ard-long@h:5432/d?x=1"
    for untouched in ("postgresql://u@/d?host=/run", "postgresql://h/d", "postgresql:///d"):
        assert asked(untouched) == untouched
    write(tmp_path, "postgresql://u:other@h:5432/d", "database_url")
    with pytest.raises(ConfigurationError, match="set twice and differs"):
        asked("postgresql://u@h:5432/d")


def test_the_broker_s_url_is_made_from_its_password_or_named_as_a_whole(tmp_path: Path) -> None:
    assert broker_url(SecretsManager((tmp_path,), {})) is None
    write(tmp_path, "p@ss-of-a-broker", "redis_password")
    made = broker_url(SecretsManager((tmp_path,), {}))
    assert made is not None
    assert made.reveal() == "redis://:p%40ss-of-a-broker@redis:6379/0"
    write(tmp_path, "rediss://:x@elsewhere:6380/1", "airflow_conf_broker_url")
    named = broker_url(SecretsManager((tmp_path,), {}))
    assert named is not None
    assert named.reveal() == "rediss://:x@elsewhere:6380/1"


def test_the_paper_exchange_has_keys_of_its_own(tmp_path: Path) -> None:
    for name in ("paper_api_key", "paper_api_secret", "exchange_api_key", "exchange_api_secret"):
        write(tmp_path, f"value of {name}", name)
    manager = SecretsManager((tmp_path,), {})
    assert manager.get_exchange_credentials("binance", "paper").api_key.reveal() == "value of paper_api_key"
    assert manager.get_exchange_credentials("binance", "live").api_secret.reveal() == "value of exchange_api_secret"


def test_a_short_kill_switch_secret_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "short")
    with pytest.raises(ConfigurationError, match="at least 32 characters"):
        SecretsManager((tmp_path,), {}).get_kill_switch_key("kill_switch_secret")


def test_each_content_that_is_found_is_handed_to_the_redactor(tmp_path: Path) -> None:
    write(tmp_path, CANARY)
    seen: list[str] = []
    SecretsManager((tmp_path,), {}, on_read=seen.append).get_secret(NAME)
    assert seen == [CANARY]


@pytest.mark.parametrize(
    "leak", [str, "{}".format, "{0!s:>9}".format, pickle.dumps, copy.copy, copy.deepcopy, json.dumps, orjson.dumps]
)
def test_a_secret_refuses_every_way_out_but_reveal(leak: object) -> None:
    assert callable(leak)
    with pytest.raises(TypeError) as caught:
        leak(Secret("x", CANARY))
    assert CANARY not in str(caught.value)


def test_a_secret_does_not_show_in_reprs() -> None:
    assert CANARY not in repr([Secret("x", CANARY)])
    assert repr(Secret("x", CANARY)) == "Secret('x')"


@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_one_line_secret_or_the_documented_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    write(folder, content)
    try:
        value = SecretsManager((folder,), {}).get_secret(NAME).reveal()
    except ConfigurationError:
        return
    assert value.strip()
    assert len(value.splitlines()) == 1
    assert content.decode().startswith(value)


def test_the_secrets_module_needs_nothing_beyond_the_standard_library() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import trading.config.secrets as s;"
        "print([m for m in ('pydantic', 'airflow', 'orjson') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[3])
    run = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"
