"""Calls with a deadline over all they do: made on a thread that is left to itself where one does not come back."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeAlias
from weakref import finalize

_Done: TypeAlias = SimpleQueue[None]
_Waiting: TypeAlias = SimpleQueue[tuple[Callable[[], None], _Done] | None]


class BoundedCalls:
    """One call at a time, on one thread that stays: on a busy machine a new one starts later than a venue answers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: _Waiting = SimpleQueue()
        self._thread: Thread | None = None

    def run(self, call: Callable[[], None], timeout_s: float) -> bool:
        """Whether `call`, which must not raise, came back in time; where it did not, the next gets another thread."""
        if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
            self._thread = self._start()
        done: _Done = SimpleQueue()
        self._waiting.put((call, done))
        try:
            done.get(timeout=timeout_s)
        except Empty:
            self._waiting.put(None)  # it ends when the call does
            self._thread = None
            return False
        return True

    def _start(self) -> Thread:
        self._waiting = SimpleQueue()
        finalize(self, self._waiting.put, None)
        thread = Thread(target=_work, args=(self._waiting,), name=self._name, daemon=True)
        thread.start()
        return thread


def _work(waiting: _Waiting) -> None:
    while (taken := waiting.get()) is not None:
        call, done = taken
        call()
        done.put(None)
        del taken, call, done  # or what they hold would live until the next one
