"""SIGINT, SIGTERM, SIGHUP, and whatever happens to the `make` that started us: each asks the instance to stop."""

import os
import re
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignal:
    """A flag that signals raise. Made in the main thread, before anything is started."""

    def __init__(self, *, started_by_make: bool) -> None:
        self._event = threading.Event()
        self.number: int | None = None
        self._make = os.getppid() if started_by_make else None

    def install(self) -> None:
        """From now on the signals set the flag and do nothing else; `nohup`'s ignored SIGHUP stays ignored."""
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            signal.signal(number, self._receive)

    def wait(self, seconds: float) -> bool:
        """Whether to stop, after at most `seconds`."""
        if self._make is not None:
            # A killed make tells nobody, and would leave the instance to itself.
            number = signal.SIGTERM if os.getppid() != self._make else _signal_in_progress(self._make)
            if number is not None:
                self.set(number)
        return self._event.wait(seconds)

    def set(self, number: int) -> None:
        """Ask to stop, as the signal `number` does."""
        self.number = self.number or number
        self._event.set()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.set(number)


def _signal_in_progress(make: int) -> signal.Signals | None:
    """The signal that GNU make was sent and now handles by waiting for us, or None.

    It passes SIGTERM on, but a SIGINT or SIGHUP that was sent to it alone it takes for one that we were sent as well.
    While it waits in its handler, the system shows the signal as blocked (on Linux; elsewhere nothing tells).
    """
    try:
        blocked = re.search(r"^SigBlk:\s*([0-9a-f]+)$", Path(f"/proc/{make}/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    mask = int(blocked.group(1), 16) if blocked else 0
    return next((number for number in (signal.SIGINT, signal.SIGHUP) if mask & 1 << (number - 1)), None)
