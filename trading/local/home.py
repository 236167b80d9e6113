"""The folder of one instance: may it be used, who uses it, and what the running instance says of itself."""

import fcntl
import json
import os
import pwd
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from trading.errors import ConfigurationError
from trading.local.processes import created_at_s
from trading.local.supervisor import write_private


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """What a running instance writes down for `trading status` and `trading down`."""

    pid: int
    created_at_s: float  # of the supervising process, as the system counts it
    started_at: str  # RFC 3339, UTC
    mode: str
    ui_port: int
    exchange_port: int
    phase: str  # starting, running

    @property
    def ui_address(self) -> str:
        """Where the web UI is."""
        return f"http://127.0.0.1:{self.ui_port}"


class Home:
    """`path` is $TRADING_HOME. Holding its lock is what makes an instance the only one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def prepare(self) -> None:
        """Create the folder, or raise ConfigurationError saying why it cannot be used and what to do."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the folder {self.path} cannot be created ({error.strerror}): set TRADING_HOME to one that can"
            ) from None
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise ConfigurationError(
                f"the folder {self.path} belongs to {_user(owner)}, and this is {_user(os.geteuid())}: "
                "run as its owner, or set TRADING_HOME to a folder of your own"
            )
        try:
            with tempfile.TemporaryFile(dir=self.path):
                pass
            (self.path / "run").mkdir(exist_ok=True, mode=0o700)
            (self.path / "logs").mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the folder {self.path} is not writable ({error.strerror}): make it so with `chmod u+rwx`, "
                "or set TRADING_HOME to another folder"
            ) from None

    def acquire(self) -> None:
        """Take the lock, or raise ConfigurationError naming the instance that holds it."""
        file = (self.path / "run" / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            state = self.state()
            who = f" (process {state.pid}, since {state.started_at})" if state else ""
            raise ConfigurationError(
                f"another instance runs in {self.path}{who}: `trading status` shows it, `trading down` stops it"
            ) from None
        self._lock = file

    def release(self) -> None:
        """Give the lock back; what the instance said of itself no longer holds."""
        if self._lock is not None:
            self._state_path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def is_running(self) -> bool:
        """Whether some process holds the lock."""
        path = self.path / "run" / "lock"
        if not path.exists():
            return False
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def require_set_up(self) -> None:
        """Raise ConfigurationError where `make run` has never got as far as its database."""
        if not (self.path / "run" / "lock").exists():
            raise ConfigurationError(f"nothing is set up in {self.path}: run `make run` first")

    def write_state(self, state: RunState) -> None:
        """Say how this instance runs."""
        write_private(self._state_path, json.dumps(asdict(state)))

    def state(self) -> RunState | None:
        """What the last instance said of itself, where its process still lives."""
        try:
            state = RunState(**json.loads(self._state_path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return state if created_at_s(state.pid) == state.created_at_s else None

    @property
    def _state_path(self) -> Path:
        return self.path / "run" / "instance.json"


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"the user with uid {uid}"
