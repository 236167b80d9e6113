"""The table of secrets: what is refused as too short or as an example, and that the script makes what it says."""

import re
from pathlib import Path

import pytest

from trading.config.known_secrets import KNOWN, known
from trading.config.secrets import SecretsManager
from trading.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
GOOD = "d4ngerd4ngerd4ngerd4ngerd4ngerd4ngerd4nger0="
KEYS = [row for row in KNOWN if row.least]


def refusal(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        SecretsManager((folder,), {name.upper(): GOOD}).get_secret(name)
    assert content not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("row", KEYS, ids=lambda row: row.name)
def test_a_short_one_is_refused(tmp_path: Path, row: object) -> None:
    message = refusal(tmp_path, row.name, GOOD[: row.least - 1])  # type: ignore[attr-defined]
    assert f"the secret {row.name!r}" in message  # type: ignore[attr-defined]
    assert "too short" in message


@pytest.mark.parametrize(
    "example",
    [
        "changeme-changeme-changeme-changeme-changeme",
        "PLEASE-CHANGE-ME-0000000000000000000000000000",
        "your_api_secret_here________________________",
        "YOUR-BINANCE-API-KEY-GOES-HERE-AND-NOT-ELSE",
        "<the key of the exchange, from its own page>",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "********************************************",
        "${EXCHANGE_API_SECRET_OF_SOME_ENVIRONMENT_UP}",
        "placeholder-0123456789012345678901234567890123",
        "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",  # pragma: allowlist secret
        "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",  # pragma: allowlist secret
    ],
)
@pytest.mark.parametrize("name", ["exchange_api_key", "exchange_api_secret", "kill_switch_secret", "db_password"])
def test_an_example_is_refused(tmp_path: Path, name: str, example: str) -> None:
    assert "is an example" in refusal(tmp_path, name, example)


@pytest.mark.parametrize("key", ["!" * 44, GOOD[:-1] + "g", f"{GOOD},", f"{GOOD},short", "A" * 48])
def test_what_is_no_fernet_key_is_refused(tmp_path: Path, key: str) -> None:
    assert "Fernet" in refusal(tmp_path, "airflow_conf_fernet_key", key)


def test_two_fernet_keys_are_valid_while_one_takes_over(tmp_path: Path) -> None:
    (tmp_path / "airflow_conf_fernet_key").touch(mode=0o600)
    (tmp_path / "airflow_conf_fernet_key").write_text(f"{GOOD},{GOOD[::-1][1:]}=")
    assert SecretsManager((tmp_path,), {}).get_secret("airflow_conf_fernet_key").reveal().count(",") == 1


def test_the_script_makes_exactly_what_is_generated() -> None:
    script = (ROOT / "scripts" / "init-secrets.sh").read_text()
    made = re.search(r"^names=\(\n(.*?)^\)", script, re.MULTILINE | re.DOTALL)
    asked = re.search(r"^asked=\((.*?)\)", script, re.MULTILINE)
    assert made is not None
    assert asked is not None
    assert set(made[1].split()) == {row.name for row in KNOWN if row.origin == "generated"}
    assert set(asked[1].split()) == {row.name for row in KNOWN if row.origin == "asked"}


def test_no_worker_that_evaluates_has_a_key() -> None:
    """Strategy code cannot reach a key of a venue, or one that signs."""
    theirs = {row.name for row in KNOWN if "worker" in row.readers and row.origin != "written"}
    assert theirs == {"db_password", "redis_password"}
    assert set(known("exchange_api_secret").readers) == {"orders", "cli"}  # type: ignore[union-attr]


def test_names_that_share_a_beginning_share_a_row() -> None:
    assert known("alert_url_mail") == known("alert_url_chat") != known("alert_url")
    assert known("somebody_elses") is None
