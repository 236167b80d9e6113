"""`trading secrets rotate`, `init --exchange` and `check --service`: new for old, and never a moment without."""

import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripted_venue import ScriptedVenue, answer, error
from tests.unit.commands.conftest import Trading
from trading.commands import renewal
from trading.config.known_secrets import KNOWN
from trading.config.settings import TradingConfig

Write = Callable[[str, str], Path]

KEY, SECRET = "k3y" * 12, "s3cret" * 8
RIGHTS = {
    "ipRestrict": True,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "permitsUniversalTransfer": False,
    "enableSpotAndMarginTrading": True,
}


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What a person enters, line by line."""

    def give(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return give


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> ScriptedVenue:
    """Mode live, whose venue is a script on this machine."""
    with ScriptedVenue() as venue:
        monkeypatch.setenv("TRADING_MODE", "live")
        real = TradingConfig.from_env

        def at_the_script(*arguments: object, **more: object) -> TradingConfig:
            return real(*arguments, **more).model_copy(update={"exchange_url": venue.url})  # type: ignore[arg-type]

        monkeypatch.setattr(TradingConfig, "from_env", at_the_script)
        yield venue  # type: ignore[misc]


def test_what_is_generated_gets_a_new_value_in_one_step(trading: Trading, tmp_path: Path) -> None:
    """Every other secret stays as it is, and no value is said."""
    assert trading("secrets", "init").code == 0
    folder = tmp_path / "secrets"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    for name in ("kill_switch_secret", "audit_secret", "paper_api_key"):
        said = trading("secrets", "rotate", name)
        assert said.code == 0, said.err
        after = {path.name: path.read_text() for path in folder.iterdir()}
        assert {each for each in before if before[each] != after[each]} == {name}
        assert after.keys() == before.keys()
        assert after[name].strip() not in said.out + said.err
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        before = after
    assert trading("secrets", "check").code == 0


def test_a_fernet_key_keeps_the_old_one_until_told(trading: Trading, tmp_path: Path) -> None:
    """A second rotation before that would lose what the first key encrypted, and is refused."""
    trading("secrets", "init")
    path = tmp_path / "secrets" / "airflow_conf_fernet_key"
    old = path.read_text().strip()
    assert trading("secrets", "rotate", path.name).code == 0
    new, kept = path.read_text().strip().split(",")
    assert kept == old != new
    again = trading("secrets", "rotate", path.name)
    assert (again.code, "--finish" in again.err) == (78, True)
    assert trading("secrets", "rotate", path.name, "--finish").code == 0
    assert path.read_text().strip() == new


def test_a_venues_keys_are_renewed_together_and_unseen(
    trading: Trading, secret: Write, tmp_path: Path, enter: Callable[..., None]
) -> None:
    for name in ("exchange_api_key", "exchange_api_secret"):
        secret(name, "old" * 10)
    enter(KEY, SECRET)
    said = trading("secrets", "rotate", "exchange_api_secret")
    assert said.code == 0, said.err
    assert (tmp_path / "secrets" / "exchange_api_key").read_text() == f"{KEY}\n"
    assert (tmp_path / "secrets" / "exchange_api_secret").read_text() == f"{SECRET}\n"
    assert not any(value in said.out + said.err for value in (KEY, SECRET, "old" * 10))
    assert "delete the old key at the venue" in said.err


@pytest.mark.parametrize("bad", ["short", "your-api-secret-here-0123456789", "", "x" * 40])
def test_what_cannot_be_a_key_changes_nothing(
    trading: Trading, tmp_path: Path, enter: Callable[..., None], bad: str
) -> None:
    enter(KEY, bad)
    said = trading("secrets", "init", "--exchange")
    assert said.code == 78
    assert "exchange_api_secret" in said.err
    assert not (tmp_path / "secrets" / "exchange_api_key").exists()


def test_on_a_terminal_nothing_is_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def prompt(text: str, **options: object) -> str:
        asked.append(options)
        return KEY

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(renewal.typer, "prompt", prompt)
    row = next(row for row in KNOWN if row.name == "exchange_api_key")
    assert renewal._asked("exchange_api_key", row) == KEY
    assert asked == [{"hide_input": True, "err": True}]


@pytest.mark.parametrize(
    ("rights", "complaint"),
    [
        ({"enableWithdrawals": True}, "may withdraw"),
        ({"permitsUniversalTransfer": True}, "may transfer"),
        ({"enableInternalTransfer": True}, "may transfer"),
        ({"enableSpotAndMarginTrading": False}, "may not trade"),
        ({"enableWithdrawals": "no"}, "did not say"),
    ],
)
def test_a_key_that_may_move_money_is_refused_before_it_is_kept(
    *,
    trading: Trading,
    live: ScriptedVenue,
    tmp_path: Path,
    enter: Callable[..., None],
    rights: dict[str, object],
    complaint: str,
) -> None:
    live.will(answer({**RIGHTS, **rights}))
    enter(KEY, SECRET)
    said = trading("secrets", "init", "--exchange")
    assert said.code == 78
    assert complaint in said.err
    assert not any(value in said.out + said.err for value in (KEY, SECRET))
    assert not (tmp_path / "secrets" / "exchange_api_key").exists()


def test_a_safe_key_is_kept_and_checked_again(
    trading: Trading, live: ScriptedVenue, tmp_path: Path, enter: Callable[..., None]
) -> None:
    """`check`, and with it the doctor, asks each time: rights are changed on the venue's page."""
    live.will(answer({**RIGHTS, "ipRestrict": False}), answer(RIGHTS), answer({**RIGHTS, "enableWithdrawals": True}))
    enter(KEY, SECRET)
    assert trading("secrets", "init", "--exchange").code == 0
    assert trading("secrets", "check").code == 0
    refused = trading("secrets", "check")
    assert refused.code == 78
    assert "may withdraw" in refused.err
    assert [seen.path for seen in live.arrived] == ["/sapi/v1/account/apiRestrictions"] * 3
    assert all("signature" in seen.parameters for seen in live.arrived)


def test_a_venue_that_does_not_say_gets_no_orders(trading: Trading, live: ScriptedVenue, secret: Write) -> None:
    trading("secrets", "init")
    secret("exchange_api_key", KEY)
    secret("exchange_api_secret", SECRET)
    live.will(error(-2015, "Invalid API-key, IP, or permissions for action.", 401))
    said = trading("secrets", "check")
    assert said.code == 78
    assert "did not say what the key" in said.err


def test_a_secret_of_the_environment_is_renewed_there(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_API_KEY", KEY)
    said = trading("secrets", "rotate", "paper_api_key")
    assert said.code == 78
    assert "PAPER_API_KEY in the environment" in said.err


@pytest.mark.parametrize("name", ["nonsense", "../etc", "airflow_conn_", "db_password_next"])
def test_an_unknown_name_is_refused(trading: Trading, name: str) -> None:
    said = trading("secrets", "rotate", name)
    assert said.code == 78
    assert "kill_switch_secret, " in said.err


def test_a_folder_that_cannot_be_written_is_one_sentence(
    trading: Trading, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container, which mounts its secrets read-only."""
    trading("secrets", "init")
    before = (tmp_path / "secrets" / "kill_switch_secret").read_text()

    def refuse(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(renewal, "write_text", refuse)
    said = trading("secrets", "rotate", "kill_switch_secret")
    assert said.code == 78
    assert "Read-only file system" in said.err
    assert (tmp_path / "secrets" / "kill_switch_secret").read_text() == before


def test_a_database_that_takes_no_password_of_ours_is_left_alone(
    trading: Trading, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trading("secrets", "init")
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    for url in ("", "postgresql://u:its-own-password@127.0.0.1:1/d", "postgresql://u@/d?host=/nowhere"):
        monkeypatch.setenv("TRADING_DATABASE_URL", url)
        said = trading("secrets", "rotate", "db_password")
        assert said.code == 78
        assert "a user and a host" in " ".join(said.err.split())
        assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before


def test_a_service_must_have_its_own_secrets_and_no_other(
    trading: Trading, secret: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run in a container: what it can read and should not is named, as is what it lacks."""
    for name in ("db_password", "redis_password"):
        secret(name, KEY)
    assert trading("secrets", "check", "--service", "worker").code == 0
    secret("exchange_api_secret", SECRET)
    said = trading("secrets", "check", "--service", "worker")
    assert said.code == 78
    assert "worker can read exchange_api_secret: expected only orders, cli" in said.err
    (tmp_path / "secrets" / "exchange_api_secret").unlink()
    (tmp_path / "secrets" / "redis_password").unlink()
    said = trading("secrets", "check", "--service", "worker")
    assert said.code == 78
    assert "'redis_password' is missing" in said.err
    monkeypatch.setenv("PAPER_API_KEY", KEY)
    assert "worker can read paper_api_key" in trading("secrets", "check", "--service", "worker").err
    assert "expected one of airflow-init" in trading("secrets", "check", "--service", "nobody").err


def test_who_may_read_what_is_told(trading: Trading, secret: Write) -> None:
    secret("kill_switch_secret", KEY).chmod(0o640)
    secret("alert_url_mail", "mailto://x").chmod(0o644)
    rows = {row["name"]: row for row in json.loads(trading("secrets", "status", "--json").out)}
    assert rows["kill_switch_secret"]["readers"].endswith(f", group {os.getegid()}")
    assert rows["alert_url_mail"]["readers"] == "everybody"
    assert rows["kill_switch_secret"]["services"] == ["airflow-init", "orders", "cli"]
    assert rows["kill_switch_secret"]["purpose"] == "signs the way out of a halt"
