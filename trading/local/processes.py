"""Finding and ending processes: by the marker in their environment, by their session, never by a number alone."""

import hashlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from trading.clock import Clock

#: Every process of an instance carries this variable, and so do its children in whatever session.
MARKER: Final = "TRADING_INSTANCE"
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process that was started: its number means nothing without the instant at which it was created."""

    name: str
    pid: int
    created_at_s: float


def instance_id(home: Path) -> str:
    """What the marker says for the instance whose state lives in `home`."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def created_at_s(pid: int) -> float | None:
    """When the live process `pid` was created; None where there is none (a zombie is none)."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def is_alive(record: ProcessRecord) -> bool:
    """Whether exactly this process lives, and not another that was given its number."""
    return created_at_s(record.pid) == record.created_at_s


def members(instance: str, sessions: Iterable[int], *, trusted: bool) -> list[ProcessRecord]:
    """The live processes of an instance, this one and its ancestors apart.

    A process belongs by its marker. One in a component's session belongs too where the sessions are `trusted` (we lead
    them now); otherwise only where its environment cannot be read, as Airflow's task supervisors forbid it.
    """
    ours = {os.getpid(), *(parent.pid for parent in _ancestors())}
    leaders = set(sessions)
    found = []
    for process in psutil.process_iter(["name", "create_time", "status"]):
        if process.pid in ours or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if _belongs(process, instance, leaders, trusted=trusted):
            found.append(ProcessRecord(process.info["name"], process.pid, process.info["create_time"]))
    return found


def end(
    instance: str, sessions: Iterable[int], *, trusted: bool, patience_s: float, clock: Clock
) -> list[ProcessRecord]:
    """Kill what `members` finds until it finds nothing, for at most `patience_s`; return what is still there then."""
    leaders = tuple(sessions)
    deadline = clock.monotonic() + patience_s
    while left := members(instance, leaders, trusted=trusted):
        if clock.monotonic() > deadline:
            return left
        for record in left:
            if is_alive(record):
                send(record.pid, signal.SIGKILL)
        clock.sleep(_POLL_S)
    return []


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process; one that has gone in the meantime is no error."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def send_to_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process group; one that has gone in the meantime is no error."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def _ancestors() -> list[psutil.Process]:
    try:
        return list(psutil.Process().parents())
    except psutil.Error:
        return []


def _belongs(process: psutil.Process, instance: str, leaders: set[int], *, trusted: bool) -> bool:
    try:
        environ = process.environ()
    except (psutil.Error, OSError):
        environ = None
    if environ and environ.get(MARKER) == instance:
        return True
    if environ and not trusted:
        return False
    try:
        return os.getsid(process.pid) in leaders
    except OSError:
        return False
