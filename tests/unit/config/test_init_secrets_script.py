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
    "airflow_conf_fernet_key",
    "airflow_conf_secret_key",
    "airflow_conf_jwt_secret",
    "db_password",
    "redis_password",
    "ui_admin_password",
    "paper_api_key",
    "paper_api_secret",
}


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), str(folder)],
        env={"PATH": os.environ["PATH"], **environ},
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
