"""`make run` itself: what it says where Python does not suit, and that no signal to make leaves anything behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from trading.clock import random_id

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in_instance.py")
TEST_MARK = "TEST_OF_MAKE"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile and what it calls, but without an environment."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "scripts/make-venv.sh"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(checkout)}
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_python_that_is_too_old_is_named_with_what_to_do(checkout: Path) -> None:
    # Every Python that might be found instead is shadowed by one that does not suit either.
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        program(checkout / "bin" / name, '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    environ = {"PATH": f"{checkout / 'bin'}:/usr/bin:/bin", "HOME": str(checkout)}
    result = subprocess.run(
        ["make", "run"], cwd=checkout, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode != 0
    assert result.stdout == ""
    assert "Python 3.11, 3.12 or 3.13 is needed, found: Python 3.9.2." in result.stderr
    assert "sudo apt install python3 python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()


def test_a_missing_venv_module_names_the_debian_package(checkout: Path) -> None:
    lacking = f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    python = program(checkout / "bin" / "python-without-venv", lacking)
    result = make(checkout, "run", f"PYTHON={python}")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert result.returncode != 0
    assert f"Install it (Debian and Ubuntu: sudo apt install python{version}-venv)" in result.stderr
    assert not (checkout / ".venv").exists()


def test_an_environment_that_is_up_to_date_is_left_alone_and_a_changed_list_is_installed(checkout: Path) -> None:
    python = program(checkout / ".venv" / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program(checkout / "bin" / "uv", '#!/bin/sh\necho "$@" >> "$HOME/uv-calls"\n')
    environ = {"PATH": f"{checkout / 'bin'}:/usr/bin:/bin", "HOME": str(checkout)}

    def calls() -> list[str]:
        subprocess.run(["make", "environment"], cwd=checkout, env=environ, capture_output=True, timeout=60, check=True)
        log = checkout / "uv-calls"
        lines = [line for line in log.read_text().splitlines() if line.startswith("pip")] if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    first = calls()
    assert "--require-hashes -r requirements.txt" in first[0]
    assert "--no-deps --no-build-isolation -e ." in first[1]
    assert calls() == []
    with (checkout / "requirements.txt").open("a") as file:
        file.write("# another package\n")
    assert len(calls()) == 2
    assert python.exists()


@pytest.fixture
def mark() -> Iterator[str]:
    value = random_id()
    yield value
    for process in marked(value):
        process.kill()


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(TEST_MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(holds, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


ALONE = "make alone"
GROUP = "its process group, as a terminal does"


@pytest.mark.parametrize(
    ("number", "to"),
    [
        (signal.SIGTERM, ALONE),
        (signal.SIGKILL, ALONE),
        (signal.SIGINT, GROUP),
        (signal.SIGHUP, GROUP),
        pytest.param(signal.SIGINT, ALONE, marks=pytest.mark.skipif(sys.platform != "linux", reason="make keeps it")),
        pytest.param(signal.SIGHUP, ALONE, marks=pytest.mark.skipif(sys.platform != "linux", reason="make keeps it")),
    ],
)
def test_a_signal_to_make_ends_everything(checkout: Path, tmp_path: Path, mark: str, number: int, to: str) -> None:
    home = tmp_path / "home"
    program(checkout / "bin" / "trading", f'#!/bin/sh\nexec {sys.executable} {STAND_IN} plain "$@"\n')
    program(checkout / "scripts" / "make-venv.sh", "#!/bin/sh\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADING_", "MAKE"))}
    environ = kept | {
        "TRADING_HOME": str(home),
        "TRADING_MODE": "sandbox",
        "TRADING_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        TEST_MARK: mark,
    }
    running = subprocess.Popen(
        ["make", "run", "BIN=bin"],
        cwd=checkout,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    until(lambda: (home / "ready-0").exists() and (home / "ready-1").exists())
    if to == GROUP:
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    until(lambda: not marked(mark), seconds=15)
    assert running.communicate(timeout=5)[0] == ""  # nothing but ONCE's summary goes to standard output
