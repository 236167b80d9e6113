"""Starts named processes, watches them, and ends every one of them, whatever sessions they made."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trading.clock import Clock
from trading.errors import TradingError
from trading.local import processes
from trading.local.processes import MARKER, ProcessRecord

_RESTARTS: Final = 3
_RESTART_WINDOW_S: Final = 600.0
_BACKOFF_S: Final = 1.0
_LOG_LIMIT_BYTES: Final = 50_000_000
_LAST_LINES: Final = 20
_SWEEP_S: Final = 3.0
_POLL_S: Final = 0.05


class ComponentFailed(TradingError):
    """A process that must run does not; the message ends with its log's last lines."""


class Stopping(TradingError):
    """The instance is being stopped: nothing is started any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """A process to run. Those of a higher stage are stopped first; all of a stage get `patience_s` together."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    stage: int = 0
    patience_s: float = 5.0


@dataclass(slots=True)
class _Running:
    component: Component
    process: subprocess.Popen[bytes]
    record: ProcessRecord
    restarts_s: list[float] = field(default_factory=list)
    restart_at_s: float | None = None


class Supervisor:
    """The processes of one instance. `start`, `run` and `stop` may be called from several threads."""

    def __init__(self, *, home: Path, clock: Clock, report: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._instance = processes.instance_id(home)
        self._records = home / "run" / "processes.json"
        self._logs = home / "logs"
        self._running: dict[str, _Running] = {}
        self._once: dict[str, ProcessRecord] = {}
        self._lock = threading.RLock()
        self._stopping = False
        for folder in (self._records.parent, self._logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def log_path(self, name: str) -> Path:
        """Where a component's standard output and error go."""
        return self._logs / f"{name}.log"

    def records(self) -> list[ProcessRecord]:
        """The components that run now."""
        with self._lock:
            return [running.record for running in self._running.values()]

    def recover(self) -> int:
        """End what an earlier supervisor of this instance left behind, and say how many processes that were.

        Raises ComponentFailed where something cannot be ended. The caller holds the instance's lock.
        """
        sessions = [record.pid for record in read_records(self._records)]
        found = processes.members(self._instance, sessions, trusted=False)
        left = processes.end(self._instance, sessions, trusted=False, patience_s=_SWEEP_S, clock=self._clock)
        if left:
            names = ", ".join(f"{record.name} (process {record.pid})" for record in left)
            raise ComponentFailed(f"an earlier run left processes that do not end: {names}; end them and start again")
        self._records.unlink(missing_ok=True)
        return len(found)

    def start(self, component: Component) -> None:
        """Start a component in a session of its own. Raises Stopping after `stop` has begun."""
        with self._lock:
            self._running[component.name] = self._spawn(component, restarts_s=[])
            self._write_records()

    def run(self, component: Component, *, limit_s: float) -> None:
        """Run a command to its end. Raises ComponentFailed where it fails or takes longer than `limit_s`."""
        with self._lock:
            running = self._spawn(component, restarts_s=[])
            self._once[component.name] = running.record
            self._write_records()
        try:
            code = running.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._end_sessions([running.record.pid])
            code = None
        with self._lock:
            self._once.pop(component.name, None)
            if self._stopping:
                raise Stopping(f"{component.name} was stopped")
        if code != 0:
            why = f"took longer than {limit_s:.0f} s" if code is None else f"ended with exit code {code}"
            raise ComponentFailed(f"{component.name} {why}; {self.last_lines(component.name)}")

    def watch(self, *, restart: bool = True) -> None:
        """Look at every component once; start again what has exited.

        Raises ComponentFailed for one that exited more than three times in ten minutes, or at all without `restart`.
        """
        with self._lock:
            for running in list(self._running.values()):
                self._look_at(running, restart=restart)

    def stop(self) -> list[ProcessRecord]:
        """End everything, stage by stage: SIGTERM to each group, SIGKILL after the stage's patience, then a sweep.

        Returns what could not be ended. Safe to call twice.
        """
        with self._lock:
            self._stopping = True
            once = [record.pid for record in self._once.values()]
            running = list(self._running.values())
        self._end_sessions(once)
        for stage in sorted({each.component.stage for each in running}, reverse=True):
            self._stop_stage([each for each in reversed(running) if each.component.stage == stage])
        sessions = [*once, *(each.record.pid for each in running)]
        left = processes.end(self._instance, sessions, trusted=True, patience_s=_SWEEP_S, clock=self._clock)
        if not left:
            self._records.unlink(missing_ok=True)
        with self._lock:
            self._running.clear()
        return left

    def last_lines(self, name: str) -> str:
        """The end of a component's log, for an error message."""
        path = self.log_path(name)
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = [line[:500] for line in text[-50_000:].splitlines()[-_LAST_LINES:]]
        return f"the last lines of {path}:\n" + ("\n".join(lines) or "(empty)")

    def _spawn(self, component: Component, *, restarts_s: list[float]) -> _Running:
        if self._stopping:
            raise Stopping(f"{component.name} is not started: the instance is being stopped")
        path = self.log_path(component.name)
        with path.open("ab") as log:
            path.chmod(0o600)
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                component.command,
                env={**component.environment, MARKER: self._instance},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created_at_s = processes.created_at_s(process.pid) or 0.0
        return _Running(component, process, ProcessRecord(component.name, process.pid, created_at_s), restarts_s)

    def _look_at(self, running: _Running, *, restart: bool) -> None:
        name, now_s = running.component.name, self._clock.monotonic()
        self._bound_log(self.log_path(name))
        code = running.process.poll()
        if code is None:
            return
        if running.restart_at_s is None:
            recent = [at_s for at_s in running.restarts_s if at_s > now_s - _RESTART_WINDOW_S]
            if not restart or len(recent) >= _RESTARTS:
                often = f" for the {len(recent) + 1}th time in ten minutes" if recent else ""
                raise ComponentFailed(f"{name} exited with code {code}{often}; {self.last_lines(name)}")
            # Its children go first: a dead scheduler's workers hold its database connection and stall the new one.
            self._end_sessions([running.record.pid])
            running.restarts_s[:] = recent
            running.restart_at_s = now_s + _BACKOFF_S * 2 ** len(recent)
            self._report(f"{name} exited with code {code} and is started again")
        elif now_s >= running.restart_at_s:
            self._running[name] = self._spawn(running.component, restarts_s=[*running.restarts_s, now_s])
            self._write_records()

    def _stop_stage(self, stage: list[_Running]) -> None:
        deadline = self._clock.monotonic() + max(each.component.patience_s for each in stage)
        for each in stage:
            if each.process.poll() is None:
                processes.send_to_group(each.record.pid, signal.SIGTERM)
        while any(each.process.poll() is None for each in stage) and self._clock.monotonic() < deadline:
            self._clock.sleep(_POLL_S)
        self._end_sessions([each.record.pid for each in stage])
        for each in stage:
            each.process.wait(_SWEEP_S)

    def _end_sessions(self, leaders: list[int]) -> None:
        """Kill what lives in the sessions of these leaders; no process of another component."""
        for leader in leaders:
            processes.send_to_group(leader, signal.SIGKILL)
        if leaders:
            processes.end("", leaders, trusted=True, patience_s=_SWEEP_S, clock=self._clock)

    def _bound_log(self, path: Path) -> None:
        """Keep one older part of a log that has grown too long; the process goes on appending to the same file."""
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)

    def _write_records(self) -> None:
        records = [*(each.record for each in self._running.values()), *self._once.values()]
        write_private(self._records, json.dumps([[each.name, each.pid, each.created_at_s] for each in records]))


def read_records(path: Path) -> list[ProcessRecord]:
    """The processes that a supervisor wrote down; none where the file is missing or was cut short."""
    try:
        return [ProcessRecord(str(name), int(pid), float(at_s)) for name, pid, at_s in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def write_private(path: Path, text: str) -> None:
    """Replace a file, readable by its owner alone, in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
