"""scripts/init-secrets.sh makes every secret once, safely, and says no value."""

import base64
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trading.config.secrets import SecretsManager

SCRIPT = Path(__file__).parents[3] / "scripts" / "init-secrets.sh"
NAMES = {
    "kill_switch_secret",
    "kill_switch_secret_b",
    "audit_secret",
    "airflow_conf_fernet_key",
    "airflow_conf_secret_key",
    "airflow_conf_jwt_secret",
    "db_password",
    "redis_password",
    "ui_admin_password",
    "paper_api_key",
    "paper_api_secret",
}


def run(
    folder: Path, *names: str, options: tuple[str, ...] = (), given: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *options, str(folder), *names],
        env={"PATH": os.environ["PATH"], **environ},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_creates_every_secret_for_its_owner_only_and_shows_names_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "secrets"
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == NAMES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    values = [SecretsManager((folder,), {}).get_secret(name).reveal() for name in NAMES]
    assert len(set(values)) == len(NAMES)
    assert not [value for value in values if value in done.stdout + done.stderr]
    assert done.stdout == ""
    fernet = (folder / "airflow_conf_fernet_key").read_text().strip()
    assert len(base64.urlsafe_b64decode(fernet)) == 32


def test_a_second_run_changes_nothing_and_fills_what_is_missing(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "db_password").write_text("mine")
    (tmp_path / "paper_api_key").unlink()
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    done = run(tmp_path)
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name: after[name] for name in before} == before
    assert done.stderr.split() == ["created", "paper_api_key"]


def test_it_works_without_openssl(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "mkdir", "chmod", "mktemp", "ln", "mv", "rm", "tr", "wc", "id", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool} here"))
    done = run(tmp_path / "secrets", PATH=str(tools), PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == NAMES


def test_two_runs_at_once_leave_one_whole_set(tmp_path: Path) -> None:
    command = ["bash", str(SCRIPT), str(tmp_path)]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    created = [line for process in runs for line in process.communicate(timeout=60)[1].splitlines()]
    assert [process.returncode for process in runs] == [0] * 4
    assert {path.name for path in tmp_path.iterdir()} == NAMES
    assert sorted(created) == sorted(f"created {name}" for name in NAMES)


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path / "file" / "secrets")
    assert done.returncode == 78
    assert done.stderr.startswith("init-secrets: cannot create the folder")
    assert len(done.stderr.splitlines()) == 1


def test_names_after_the_folder_are_made_alone(tmp_path: Path) -> None:
    assert run(tmp_path, "audit_secret").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["audit_secret"]


def test_the_exchanges_keys_are_asked_for_and_never_shown(tmp_path: Path) -> None:
    key, secret = "k3y" * 12, "s3cret" * 8
    done = run(tmp_path, options=("--exchange",), given=f"{key}\n{secret}\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "exchange_api_key").read_text() == f"{key}\n"
    assert (tmp_path / "exchange_api_secret").read_text() == f"{secret}\n"
    assert stat.S_IMODE((tmp_path / "exchange_api_secret").stat().st_mode) == 0o600
    assert key not in done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr
    again = run(tmp_path, options=("--exchange",), given=f"{'n3w' * 12}\n{'n3w' * 12}\n")
    assert again.returncode == 0
    assert (tmp_path / "exchange_api_key").read_text() == f"{key}\n"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("brief", "too short"),
        ("Your-API-Key-Goes-Here-0123", "an example"),
        ("CHANGEME-CHANGEME-CHANGEME", "an example"),
        ("two words and a few more", "white space"),
        ("", "too short"),
    ],
)
def test_what_cannot_be_a_key_of_an_exchange_is_refused(tmp_path: Path, answer: str, complaint: str) -> None:
    done = run(tmp_path, options=("--exchange",), given=f"{answer}\n")
    assert done.returncode == 78
    assert complaint in done.stderr
    assert not answer or answer not in done.stderr
    assert not (tmp_path / "exchange_api_key").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_containers_user_gets_the_folder_and_what_was_there(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path, options=("--owner", "50000")).returncode == 0
    assert {path.stat().st_uid for path in (tmp_path, *tmp_path.iterdir())} == {50000}


def test_an_option_that_it_does_not_know_is_refused(tmp_path: Path) -> None:
    for options in (("--owner", "me"), ("--overwrite",)):
        assert run(tmp_path, options=options).returncode == 78
    assert list(tmp_path.iterdir()) == []
