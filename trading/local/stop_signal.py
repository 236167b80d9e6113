"""SIGINT, SIGTERM, SIGHUP, and the death of the `make` that started us: each asks the instance to stop."""

import os
import signal
import threading
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignal:
    """A flag that signals raise. Made in the main thread, before anything is started."""

    def __init__(self, *, started_by_make: bool) -> None:
        self._event = threading.Event()
        self.number: int | None = None
        self._parent = os.getppid() if started_by_make else None

    def install(self) -> None:
        """From now on the signals set the flag and do nothing else; `nohup`'s ignored SIGHUP stays ignored."""
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            signal.signal(number, self._receive)

    def wait(self, seconds: float) -> bool:
        """Whether to stop, after at most `seconds`."""
        # A killed make tells nobody, and would leave the instance to itself.
        if self._parent is not None and os.getppid() != self._parent:
            self.set(signal.SIGTERM)
        return self._event.wait(seconds)

    def set(self, number: int) -> None:
        """Ask to stop, as the signal `number` does."""
        self.number = self.number or number
        self._event.set()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.set(number)
