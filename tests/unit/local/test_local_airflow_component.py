"""What is imported before the scheduler forks, and what becomes of it when one of its workers is killed."""

import json
import multiprocessing
import os
import signal

import pytest

from trading.local.airflow_component import end_with_a_killed_worker, preload

FORK = multiprocessing.get_context("fork")


def test_a_module_that_cannot_be_imported_is_named_and_stops_nothing() -> None:
    missing = preload(("json", "no_such_module", "json:no_such_function"))
    assert [line.split(" ")[0] for line in missing] == ["no_such_module", "json:no_such_function"]


def test_a_function_after_the_colon_is_called(monkeypatch) -> None:
    called = []
    monkeypatch.setattr(json, "warm_up", lambda: called.append(True), raising=False)
    assert preload(("json:warm_up",)) == []
    assert called == [True]


class DummyExecutor:
    """What the scheduler's executor is to us: workers by number, and a look at them now and then."""

    def __init__(self) -> None:
        worker = FORK.Process(target=signal.pause)
        worker.start()
        self.workers = {worker.pid: worker}
        self.checks = 0

    def _check_workers(self) -> None:
        self.checks += 1


def _scheduler(number: int) -> None:
    class Executor(DummyExecutor):
        pass

    end_with_a_killed_worker(Executor)
    executor = Executor()
    ((pid, worker),) = executor.workers.items()
    executor._check_workers()
    os.kill(pid, number)
    worker.join()
    executor._check_workers()
    os._exit(40 + executor.checks)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, 1), (signal.SIGTERM, 42)])
def test_the_scheduler_ends_with_a_killed_worker_and_not_with_one_that_is_stopped(number: int, code: int) -> None:
    """An idle worker that is killed leaves the queue locked for all others."""
    scheduler = FORK.Process(target=_scheduler, args=(number,))
    scheduler.start()
    scheduler.join(20)
    assert scheduler.exitcode == code
