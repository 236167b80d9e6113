"""Calls that have until their deadline, all on one thread while they keep it."""

import gc
import threading

from trading.adapters.bounded_calls import BoundedCalls

_LONG_S = 30.0


def test_calls_share_one_thread_which_is_not_the_callers() -> None:
    calls = BoundedCalls("test")
    threads: list[threading.Thread] = []
    for _ in range(3):
        assert calls.run(lambda: threads.append(threading.current_thread()), _LONG_S)
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_a_late_call_keeps_its_thread_and_ends_with_it() -> None:
    """The next call neither waits for the late one nor shares anything with it."""
    calls = BoundedCalls("test")
    threads: list[threading.Thread] = []
    release = threading.Event()

    def late() -> None:
        threads.append(threading.current_thread())
        assert release.wait(_LONG_S)

    assert not calls.run(late, 0.01)
    assert calls.run(lambda: threads.append(threading.current_thread()), _LONG_S)
    release.set()
    threads[0].join(_LONG_S)
    assert not threads[0].is_alive()
    assert threads[1].is_alive()


def test_nobody_keeps_a_thread_that_nobody_can_use() -> None:
    calls = BoundedCalls("test")
    threads: list[threading.Thread] = []
    assert calls.run(lambda: threads.append(threading.current_thread()), _LONG_S)
    del calls
    gc.collect()
    threads[0].join(_LONG_S)
    assert not threads[0].is_alive()


def test_what_a_call_holds_is_let_go_when_it_is_over() -> None:
    calls = BoundedCalls("test")
    gone = threading.Event()

    class Held:
        def __del__(self) -> None:
            gone.set()

    held = Held()
    assert calls.run(lambda held=held: None, _LONG_S)  # type: ignore[misc]
    del held
    assert gone.wait(_LONG_S)
