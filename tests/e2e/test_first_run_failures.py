"""The ways in which a first run goes wrong elsewhere, each provoked: one clear sentence, and what to do.

The seventh, that nothing trades and nobody says why, needs an instance that is halted: test_pipeline.py.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.running_pipeline import RunningPipeline, clean_environ, command
from tests.e2e.terminal import Terminal
from tests.free_ports import free_port

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

CONFIGURATION = 78
#: The real `trading up`, whose patience is cut from minutes to seconds.
IMPATIENT = """
import sys
from trading.cli import main
from trading.local import screen, start_up
screen._STILL_S, start_up._GIVE_UP_S = 1.0, 6.0
sys.exit(main(["up"]))
"""


def environ(folder: Path, home: Path, **more: str) -> dict[str, str]:
    ports = {"TRADING_UI_PORT": str(free_port()), "TRADING_EXCHANGE_PORT": str(free_port())}
    folders = {"TRADING_HOME": str(home), "TRADING_SECRETS_DIR": str(folder / "secrets")}
    return clean_environ() | ports | folders | more


def refusal(words: tuple[str, ...], environment: dict[str, str]) -> str:
    """The one sentence with which a command refuses."""
    answer = subprocess.run(command(*words), env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == CONFIGURATION, answer.stderr
    assert answer.stdout == ""
    sentence = answer.stderr.removesuffix("\n")
    assert sentence.startswith("error: ")
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


@pytest.mark.parametrize("variable", ["TRADING_UI_PORT", "TRADING_EXCHANGE_PORT"])
def test_a_taken_port_is_named_with_its_holder_and_the_setting(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refusal(("up",), environ(tmp_path, tmp_path / "home", **{variable: str(port)}))
    assert f"port {port}" in said
    assert "is taken" in said
    assert f"{variable}={port + 1}" in said


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file stands where a folder should be made."""
    (tmp_path / "file").touch()
    said = refusal(("up",), environ(tmp_path, tmp_path / "file" / "home"))
    assert f"{tmp_path / 'file' / 'home'} cannot be created" in said
    assert "set TRADING_HOME" in said


def test_a_home_that_is_not_writable_is_named(tmp_path: Path) -> None:
    """For root, whom no permission stops, a folder in which the system itself forbids it."""
    home = tmp_path / "home"
    if os.geteuid() == 0:
        home = Path("/sys")
        if sys.platform != "linux":
            pytest.skip("root may write everywhere here")
    else:
        home.mkdir(mode=0o500)
    said = refusal(("up",), environ(tmp_path, home))
    assert f"the folder {home} is not writable" in said
    assert "set TRADING_HOME" in said


def test_a_home_of_another_user_is_named_with_both(tmp_path: Path) -> None:
    home = tmp_path / "home"
    if os.geteuid() == 0:
        home.mkdir()
        os.chown(home, 12345, 12345)
    else:
        home = Path("/etc")
    said = refusal(("up",), environ(tmp_path, home))
    assert f"the folder {home} belongs to the user" in said
    assert f"(uid {os.geteuid()})" in said
    assert "run as its owner, or set TRADING_HOME" in said


@pytest.mark.parametrize("words", [("status",), ("down",), ("orders",), ("why",), ("airflow", "--", "dags", "list")])
def test_a_command_before_the_set_up_names_the_one_to_run(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = refusal(words, environ(tmp_path, tmp_path / "home"))
    assert said == f"error: nothing is set up in {tmp_path / 'home'}: run `make run` first"


def test_a_slow_start_says_that_it_goes_on_and_gives_up_with_the_logs_end(home_of_other: RunningPipeline) -> None:
    """Airflow's migration hangs: off a terminal too, lines say so, and after the limit what it wrote last."""
    other = home_of_other
    other.start([sys.executable, "-c", IMPATIENT])
    other.until(lambda: "airflow-migrate" in other.components(), 60, "Airflow's tables are made")
    os.kill(other.components()["airflow-migrate"], signal.SIGSTOP)
    code = other.process.wait(60)
    said = other.person.read_text()
    assert code == 1
    assert re.search(r"^… still: Airflow's tables \([1-5] s\)$", said, re.MULTILINE)
    assert "error: airflow-migrate took longer than 6 s; the last lines of " in said
    assert "Traceback" not in said
    assert other.alive() == []


def test_the_login_is_repeated_to_a_terminal_and_never_to_a_log(pipeline: RunningPipeline) -> None:
    """`trading status` brings back a login that scrolled away; off a terminal nothing secret is written anywhere."""
    address = f"http://127.0.0.1:{pipeline.environ['TRADING_UI_PORT']}"
    terminal = Terminal()
    assert terminal.run(command("status"), pipeline.environ).wait(60) == 0
    last = terminal.wait_for_end().splitlines()[-2:]
    assert last == [f"Web UI   {address}", f"Login    admin / {pipeline.password}"]

    plain, as_json = pipeline.cli("status"), pipeline.cli("status", "--json")
    assert address in plain.stdout
    assert json.loads(as_json.stdout)["ui"] == address
    assert "`trading status` shows it on a terminal" in pipeline.person.read_text()
    written = [plain.stdout, plain.stderr, as_json.stdout, as_json.stderr, pipeline.person.read_text()]
    written += [path.read_text(errors="replace") for path in (pipeline.home / "logs").rglob("*") if path.is_file()]
    secrets = [path for path in (pipeline.folder / "secrets").iterdir() if path.is_file()]
    found = [path.name for path in secrets for text in written if path.read_text().strip() in text]
    assert found == []


def test_another_instance_is_named_and_left_alone(pipeline: RunningPipeline) -> None:
    ports = {"TRADING_UI_PORT": str(free_port()), "TRADING_EXCHANGE_PORT": str(free_port())}
    said = refusal(("up",), pipeline.environ | ports)
    assert f"another instance runs in {pipeline.home} (process {pipeline.process.pid}, since " in said
    assert "`trading status` shows it, `trading down` stops it" in said
    assert psutil.Process(pipeline.process.pid).is_running()
    assert pipeline.phase() == "running"
