"""Whatever ends an instance, nothing that it started lives on; and the next start finds what a killed one left."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from trading.clock import SystemClock, random_id
from trading.errors import ConfigurationError
from trading.local.home import Home
from trading.local.processes import MARKER, created_at_s, instance_id, is_alive
from trading.local.supervisor import Component, ComponentFailed, Stopping, Supervisor, read_records

pytestmark = pytest.mark.alone

STAND_IN = Path(__file__).with_name("stand_in_instance.py")
TEST_MARK = "TEST_OF_SUPERVISOR"
SLEEPER = (sys.executable, "-c", "import signal; signal.pause()")


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


class RunningInstance:
    """A stand-in instance in a process of its own; every process below it carries this test's mark."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.mark = random_id()
        self.process: subprocess.Popen[str] | None = None

    def start(self, scenario: str, *, terminal: int | None = None) -> "RunningInstance":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADING_", "MAKE"))}
        environ = kept | {
            "TRADING_HOME": str(self.home),
            "TRADING_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "TRADING_MODE": "sandbox",
            TEST_MARK: self.mark,
        }
        for ready in self.home.glob("ready-*"):
            ready.unlink()
        self.process = subprocess.Popen(
            [sys.executable, str(STAND_IN), scenario],
            env=environ,
            stdin=terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
            start_new_session=True,
            preexec_fn=None if terminal is None else partial(fcntl.ioctl, terminal, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        return self

    def start_on_a_terminal(self, scenario: str) -> int:
        """The same on a terminal of its own; the other end of it."""
        end, terminal = pty.openpty()
        self.start(scenario, terminal=terminal)
        os.close(terminal)
        return end

    def until_ready(self, *numbers: str) -> None:
        until(lambda: all((self.home / f"ready-{number}").exists() for number in numbers))

    def until_running(self) -> None:
        until(lambda: '"running"' in (self.home / "run" / "instance.json").read_text())

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; the exit code, standard output and standard error."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        out, error = self.process.communicate(timeout=15)
        return self.process.returncode, out, error

    def left(self) -> list[psutil.Process]:
        """The live processes with this test's mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(TEST_MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[RunningInstance]:
    running = RunningInstance(tmp_path / "home")
    yield running
    for process in running.left():
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_of_a_running_instance(instance: RunningInstance, number: int) -> None:
    instance.start("plain").until_ready("0", "1")
    instance.until_running()
    assert len(instance.left()) == 3
    code, _, _ = instance.end(number)
    assert (code, instance.left()) == (0, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_start_ends_every_process_too(instance: RunningInstance, number: int) -> None:
    instance.start("starting").until_ready("0")
    code, _, error = instance.end(number)
    assert (code, instance.left()) == (128 + number, [])
    assert "stopping" in error


@pytest.mark.parametrize("scenario", ["starting", "grandchild"])
def test_closing_the_terminal_ends_every_process(instance: RunningInstance, scenario: str) -> None:
    terminal = instance.start_on_a_terminal(scenario)
    instance.until_ready("0")
    os.close(terminal)
    instance.process.wait(15)
    assert instance.left() == []


def test_ctrl_c_ends_every_process_and_the_login_went_to_the_terminal(instance: RunningInstance) -> None:
    terminal = instance.start_on_a_terminal("plain")
    shown = b""
    while b"Login" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    instance.process.wait(15)
    assert (instance.process.returncode, instance.left()) == (0, [])
    os.close(terminal)


def test_a_signal_is_heard_while_the_database_that_ended_recovers(instance: RunningInstance) -> None:
    """A server replays its log for as long as it takes; whoever presses Ctrl-C meanwhile does not wait for it."""
    instance.start("database").until_ready("database")
    code, _, error = instance.end(signal.SIGTERM)
    assert (code, instance.left()) == (0, [])
    assert "PostgreSQL had ended and is started again" in error


@pytest.mark.postgres
def test_a_replay_that_ends_while_it_runs_begins_over_with_its_own_database(instance: RunningInstance) -> None:
    """The server that was stopped for it is started again, by the same process."""
    instance.start("replay")
    until((instance.home / "ended").exists, 60)
    instance.until_ready("0")
    instance.until_running()
    code, _, error = instance.end(signal.SIGTERM)
    assert (code, instance.left()) == (0, [])
    assert "it starts over with a fresh account" in error


def test_processes_that_ignore_sigterm_are_killed(instance: RunningInstance) -> None:
    instance.start("stubborn").until_ready("0")
    instance.until_running()
    code, _, _ = instance.end(signal.SIGTERM)
    assert (code, instance.left()) == (0, [])


def test_grandchildren_in_sessions_of_their_own_are_ended(instance: RunningInstance) -> None:
    instance.start("grandchild").until_ready("0", "0.grandchild")
    instance.until_running()
    assert len(instance.left()) == 3
    code, _, _ = instance.end(signal.SIGTERM)
    assert (code, instance.left()) == (0, [])


def test_after_sigkill_the_next_start_ends_what_was_left(instance: RunningInstance) -> None:
    instance.start("grandchild").until_ready("0", "0.grandchild")
    code, _, _ = instance.end(signal.SIGKILL)
    orphans = instance.left()
    assert (code, len(orphans)) == (-signal.SIGKILL, 2)
    instance.start("plain").until_ready("0", "1")
    instance.until_running()
    assert not set(orphans) & set(instance.left())
    code, _, error = instance.end(signal.SIGTERM)
    assert (code, instance.left()) == (0, [])
    assert "an earlier run had left 2 processes behind" in error


def test_a_lost_record_of_processes_does_not_save_orphans(instance: RunningInstance) -> None:
    instance.start("plain").until_ready("0", "1")
    instance.end(signal.SIGKILL)
    (instance.home / "run" / "processes.json").unlink()
    instance.start("plain").until_ready("0", "1")
    assert len(instance.left()) == 3
    instance.end(signal.SIGTERM)


def test_once_prints_one_json_object_on_the_last_line_of_standard_output_and_stops(instance: RunningInstance) -> None:
    code, out, _ = instance.start("once").wait()
    summary = json.loads(out.splitlines()[-1])
    assert (code, instance.left()) == (0, [])
    assert (summary["orders"], summary["runs"]) == (1, {"place_orders": "r"})
    assert summary["seconds"]["total"] > 0


def test_a_component_that_fails_at_the_start_stops_everything_with_its_last_lines(instance: RunningInstance) -> None:
    code, _, error = instance.start("dies").wait()
    assert (code, instance.left()) == (1, [])
    assert "dummy-1 exited with code 1" in error
    assert "no such setting: colour" in error


def test_a_second_instance_is_refused_and_names_the_first(instance: RunningInstance) -> None:
    instance.start("plain").until_ready("0", "1")
    instance.until_running()
    with pytest.raises(ConfigurationError, match=rf"another instance runs .*process {instance.process.pid}, since 20"):
        Home(instance.home).acquire()
    instance.end(signal.SIGTERM)
    Home(instance.home).acquire()


def test_the_death_of_make_stops_the_instance(instance: RunningInstance, tmp_path: Path) -> None:
    child_pid = tmp_path / "pid"
    program = (
        "import subprocess, sys; p = subprocess.Popen(sys.argv[2:]); open(sys.argv[1], 'w').write(str(p.pid)); p.wait()"
    )
    environ = {**os.environ, "TRADING_HOME": str(instance.home), "TRADING_MODE": "sandbox", "MAKELEVEL": "1"}
    environ |= {"TRADING_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", TEST_MARK: instance.mark}
    command = [sys.executable, "-c", program, str(child_pid), sys.executable, str(STAND_IN), "plain"]
    make = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    instance.until_ready("0", "1")
    instance.until_running()
    make.kill()
    make.wait()
    until(lambda: not instance.left())


def supervisor(home: Path) -> Supervisor:
    return Supervisor(home=home, clock=SystemClock(), report=lambda _line: None)


def test_an_exited_component_is_started_again_three_times_and_then_fails(tmp_path: Path) -> None:
    class FastClock(SystemClock):
        def monotonic(self) -> float:
            return super().monotonic() * 50  # the backoff of seconds passes in a blink

    says: list[str] = []
    supervised = Supervisor(home=tmp_path, clock=FastClock(), report=says.append)
    program = "open('starts', 'a').write('x')"
    environment = {**os.environ}
    command = (sys.executable, "-c", program.replace("starts", str(tmp_path / "starts")))
    supervised.start(Component(name="brief", command=command, environment=environment))

    def fails() -> bool:
        try:
            supervised.watch()
        except ComponentFailed as error:
            return "brief exited with code 0 for the 4th time in ten minutes" in str(error)
        return False

    until(fails)
    supervised.stop()
    assert (tmp_path / "starts").read_text() == "xxxx"
    assert len(says) == 3


def test_a_dead_components_children_are_ended_before_it_is_started_again(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = (
        "import os, subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
        "open(sys.argv[1], 'a').write(f'{p.pid}\\n'); os._exit(1)"
    )
    supervised = supervisor(tmp_path)
    command = (sys.executable, "-c", program, str(child))
    supervised.start(Component(name="scheduler", command=command, environment={**os.environ}))
    until(lambda: child.exists() and child.read_text().endswith("\n"))
    orphan = psutil.Process(int(child.read_text()))
    until(lambda: supervised.watch() or not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
    supervised.stop()


def test_nothing_is_started_after_the_stop_has_begun(tmp_path: Path) -> None:
    supervised = supervisor(tmp_path)
    supervised.stop()
    with pytest.raises(Stopping):
        supervised.start(Component(name="late", command=SLEEPER, environment={**os.environ}))


def test_a_command_that_takes_too_long_is_ended_and_named(tmp_path: Path) -> None:
    supervised = supervisor(tmp_path)
    with pytest.raises(ComponentFailed, match=r"migrate took longer than 0 s"):
        supervised.run(Component(name="migrate", command=SLEEPER, environment={**os.environ}), limit_s=0.2)
    assert supervised.stop() == []


def test_a_process_that_was_given_a_recorded_number_is_not_ended(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEPER, start_new_session=True)
    try:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "processes.json").write_text(json.dumps([["scheduler", stranger.pid, 1.0]]))
        assert supervisor(tmp_path).recover() == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_another_instances_processes_are_not_ended(tmp_path: Path) -> None:
    other, ours = supervisor(tmp_path / "other"), supervisor(tmp_path / "ours")
    other.start(Component(name="neighbour", command=SLEEPER, environment={**os.environ}))
    try:
        assert ours.recover() == 0
        assert ours.stop() == []
        assert all(is_alive(record) for record in other.records())
    finally:
        assert other.stop() == []


def test_every_component_carries_the_marker_and_is_written_down(tmp_path: Path) -> None:
    supervised = supervisor(tmp_path)
    supervised.start(Component(name="exchange", command=SLEEPER, environment={**os.environ}))
    try:
        (record,) = read_records(tmp_path / "run" / "processes.json")
        assert (record.name, record.created_at_s) == ("exchange", created_at_s(record.pid))
        until(lambda: psutil.Process(record.pid).environ().get(MARKER) == instance_id(tmp_path))
        assert (tmp_path / "logs" / "exchange.log").stat().st_mode & 0o077 == 0
    finally:
        supervised.stop()
