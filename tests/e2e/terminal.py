"""A terminal to run a command in: what it shows, what is typed, and closing its window."""

import os
import re
import subprocess
import sys
import threading

CTRL_C = b"\x03"
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
#: Makes standard input the terminal of a new session and of all three streams, then becomes the command.
_LOG_IN = "import os, sys; os.login_tty(os.dup(0)); os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal:
    """Start one command with `run`; the command's session has this as its terminal."""

    def __init__(self) -> None:
        self._person, self._program = os.openpty()
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)

    def run(self, command: list[str], environ: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Start a command whose three streams are this terminal."""
        # 240 columns, since a narrow terminal breaks the lines.
        sized = environ | {"TERM": "xterm", "COLUMNS": "240", "LINES": "50"}
        process = subprocess.Popen([sys.executable, "-c", _LOG_IN, *command], env=sized, stdin=self._program)
        os.close(self._program)
        self._reader.start()
        return process

    def text(self) -> str:
        """Everything shown so far, without the codes that colour and move."""
        return _CONTROLS.sub("", self._shown.decode(errors="replace"))

    def wait_for_end(self) -> str:
        """Everything shown, once nobody writes to it any more."""
        self._reader.join(60)
        return self.text()

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._person, keys)

    def close(self) -> None:
        """Close the window: the session's leader gets SIGHUP."""
        os.close(self._person)

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._person, 65_536)
            except OSError:  # EIO: the last program has closed it; EBADF: the window is closed
                return
            if not part:
                return
            self._shown += part
