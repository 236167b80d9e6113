"""A whole instance, `trading up` in a process of its own, and what a test may know of it from outside."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.e2e import two_books
from tests.e2e.airflow_rest import AirflowRest
from tests.e2e.terminal import Terminal
from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]
PORTFOLIO = ROOT / "tests" / "benchmarks" / "every_candle.toml"
#: In the environment of everything that the instance starts.
MARK = "TEST_OF_PIPELINE"
#: Of an idle machine's needs this is the three- to fivefold; a start gives itself five minutes for each step.
START_S, CANDLE_S, STOP_S = 420.0, 150.0, 15.0
_LAST_LINES = 25


class RunningPipeline:
    """One home, which may be started, stopped and started again. `person` is what a terminal shows: standard error."""

    def __init__(self) -> None:
        # Short, since a socket's path has a limit; open, since as root PostgreSQL runs as another user.
        self.folder = Path(tempfile.mkdtemp(prefix="trading-e2e-"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.person = self.folder / "person.log"
        self.mark = uuid.uuid4().hex
        self.process: subprocess.Popen[bytes] | None = None
        self.environ = clean_environ() | {
            "TRADING_HOME": str(self.home),
            "TRADING_SECRETS_DIR": str(self.folder / "secrets"),
            "TRADING_PORTFOLIO": str(PORTFOLIO),
            "TRADING_UI_PORT": str(free_port()),
            "TRADING_EXCHANGE_PORT": str(free_port()),
            MARK: self.mark,
        }
        self._rest: AirflowRest | None = None
        self._children: set[psutil.Process] = set()

    @property
    def book(self) -> Path:
        """The paper exchange's own file."""
        return self.home / "exchange" / "book.sqlite"

    @property
    def password(self) -> str:
        """Of the web UI's only user."""
        return (self.folder / "secrets" / "ui_admin_password").read_text().strip()

    @property
    def rest(self) -> AirflowRest:
        """Airflow's API, logged in."""
        if self._rest is None:
            self._rest = AirflowRest(f"http://127.0.0.1:{self.environ['TRADING_UI_PORT']}", self.password)
        return self._rest

    def start(self, words: list[str] | None = None) -> None:
        """Begin, off any terminal; `ensure_running` waits."""
        self._rest = None
        with self.person.open("wb") as stderr:
            self.process = subprocess.Popen(
                words or command("up"),
                env=self.environ,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

    def start_in(self, terminal: Terminal) -> None:
        """Begin, as a person does."""
        self._rest = None
        self.process = terminal.run(command("up"), self.environ)

    def ensure_stopped(self) -> "RunningPipeline":
        """Nothing runs."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        return self

    def ensure_running(self) -> "RunningPipeline":
        """Running, with its first cycle done."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        self.until(lambda: self.phase() == "running", START_S, "the first cycle has ended")
        return self

    def phase(self) -> str:
        """What the instance says of itself; empty where it is not, or not yet, the one that was started last."""
        state = self._read("instance.json") or {}
        return str(state["phase"]) if state.get("pid") == self.process.pid else ""

    def components(self) -> dict[str, int]:
        """Name and number of each process that the supervisor started."""
        return {name: pid for name, pid, _ in (self._read("processes.json") or [])} if self.phase() else {}

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.home / "run" / name).read_text())
        except (OSError, ValueError):
            return None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the supervisor, and see everything end."""
        self.note_children()
        self.process.send_signal(number)
        return self.end_in_time()

    def end_in_time(self) -> int:
        """The exit code of an instance that was asked to stop; all that it started must be gone in time."""
        deadline = time.monotonic() + STOP_S
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            code = None
        while (left := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"alive after {STOP_S} s: {left}\n{self.tail()}"
        assert code is not None
        return code

    def note_children(self) -> None:
        """Remember what runs below the supervisor: only root may read the environment of Airflow's task supervisors."""
        self._children = set(psutil.Process(self.process.pid).children(recursive=True))

    def alive(self) -> list[str]:
        """The live processes with this test's mark, with a child's number, or on the database's folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and self._is_ours(process):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
            except psutil.NoSuchProcess:
                continue
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        if process in self._children or str(self.home / "postgres") in process.cmdline():
            return True
        try:
            return process.environ().get(MARK) == self.mark
        except psutil.AccessDenied:
            return False

    def remove(self) -> None:
        """End whatever lives and delete everything."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.home.exists():
            self.cli("down")
        shutil.rmtree(self.folder, ignore_errors=True)

    def cli(self, *words: str, given: str | None = None, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A command from another terminal."""
        return subprocess.run(
            command(*words), env=self.environ, input=given, capture_output=True, text=True, timeout=seconds, check=False
        )

    def json(self, *words: str) -> Any:
        """What a command prints with --json."""
        answer = self.cli(*words, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the ledger."""
        with psycopg.connect(self.database_url()) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def database_url(self) -> str:
        """The embedded server's address, from its own file."""
        lines = (self.home / "postgres" / "postmaster.pid").read_text().splitlines()
        return f"host={lines[4]} port={lines[3]} user=postgres dbname=trading"

    def venue(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the paper exchange's book."""
        with sqlite3.connect(f"file:{self.book}?mode=ro", uri=True) as book:
            return book.execute(query).fetchall()

    def posts(self) -> list[str]:
        """The client order id of every order that was sent."""
        return two_books.posts(self.book)

    def until_books_agree(self) -> None:
        """Between a fill and its reconciliation the books differ for some seconds; not for longer."""
        found: list[str] = []

        def agree() -> bool:
            found[:] = two_books.differences(self.book, self.database_url())
            return not found

        self.until(agree, CANDLE_S, lambda: f"both books agree; they differ: {found}", poll_s=1)

    def lines(self) -> list[dict[str, Any]]:
        """The project's log; every line must be an object in JSON."""
        path = self.home / "logs" / "trading.jsonl"
        return [json.loads(line) for line in path.read_bytes().decode("utf-8").splitlines()]

    def finish(self, dag_id: str, run_id: str, seconds: float = CANDLE_S) -> str:
        """Wait for a run's end; its state."""
        ended = ("success", "failed")
        self.until(lambda: self.rest.state(dag_id, run_id) in ended, seconds, f"{dag_id} {run_id} ends")
        return self.rest.state(dag_id, run_id)

    def run(self, dag_id: str) -> str:
        """Trigger a run by hand and wait for its end; its id."""
        run_id = self.rest.trigger(dag_id)
        self.finish(dag_id, run_id)
        return run_id

    def until(
        self, holds: Callable[[], object], seconds: float, what: str | Callable[[], str], *, poll_s: float = 0.25
    ) -> None:
        """Wait for a condition; where it does not come true, or the instance ends, say so with the logs' ends."""
        deadline = time.monotonic() + seconds
        while not holds():
            said = what if isinstance(what, str) else what()
            assert self.process.poll() is None, f"the instance ended before {said}\n{self.tail()}"
            assert time.monotonic() < deadline, f"waited {seconds} s in vain until {said}\n{self.tail()}"
            time.sleep(poll_s)

    def tail(self) -> str:
        """The last lines of what people saw and of every log."""
        paths = [self.person, *sorted((self.home / "logs").glob("*.log")), self.home / "logs" / "trading.jsonl"]
        parts = []
        for path in paths:
            if path.exists():
                last = path.read_text(errors="replace").splitlines()[-_LAST_LINES:]
                parts += [f"--- {path}", *(line[:400] for line in last)]
        return "\n".join(parts)


def command(*words: str) -> list[str]:
    """The project's command line."""
    return [sys.executable, "-m", "trading", *words]


def clean_environ() -> dict[str, str]:
    """This process's environment without settings of the project, of Airflow and of make."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TRADING_", "AIRFLOW", "MAKE", "TEST_OF_"))}
