"""Starts one of Airflow's components in this process; where it runs tasks, after importing what they need.

LocalExecutor forks its workers from the scheduler, Celery from its worker's first process, and each task is forked from
such a worker (on Linux), so what is imported here is imported once. Without it every task of the chain imported for
2.5 s on an idle machine, and for 6 s where three started at the same tick. Airflow itself is not imported but run, as
`python -m airflow` does.

    python -m trading.local.airflow_component scheduler --skip-serve-logs
    python -m trading.local.airflow_component celery worker --skip-serve-logs
"""

import importlib
import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

#: Airflow's own halves of a task, then what the flows stand on; "module:function" also calls the function, for a
#: module that imports its heavy part late.
PRELOADED: Final = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.operators.python",
    "httpx",
    "numpy",
    "psycopg",
    "pydantic",
    "trading.adapters.ccxt_exchange:load_binance",
    "trading.manager",
)


def preload(modules: tuple[str, ...]) -> list[str]:
    """Import modules; those that cannot be imported are returned, for they cost only time: the task meets the error."""
    missing = []
    for entry in modules:
        module, _, function = entry.partition(":")
        try:
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the task that needs the module
            missing.append(f"{entry} ({type(error).__name__}: {error})")
    return missing


def end_with_a_killed_worker(executor: type[Any]) -> None:
    """Make LocalExecutor end its scheduler when one of its workers was killed; the supervisor starts both again.

    An idle worker waits for work with the queue's lock in its hand. Killed there, it keeps every other worker, and each
    new one, from ever taking a task again, while the scheduler goes on as if all were well.
    """
    check: Callable[[Any], None] = executor._check_workers

    def check_or_end(self: Any) -> None:
        for pid, worker in self.workers.items():
            if (worker.exitcode or 0) < 0 and worker.exitcode != -signal.SIGTERM:  # by which everything is stopped
                sys.stderr.write(f"worker {pid} was killed by signal {-worker.exitcode}: the scheduler ends too\n")
                sys.stderr.flush()
                os._exit(1)  # no orderly end, which would wait for the workers
        check(self)

    executor._check_workers = check_or_end


def main() -> None:
    """Become the component that the command line names."""
    component = sys.argv[1:2]
    if component in (["scheduler"], ["celery"]):
        for missing in preload(PRELOADED):
            sys.stderr.write(f"not preloaded: {missing}\n")
    if component == ["scheduler"]:
        end_with_a_killed_worker(importlib.import_module("airflow.executors.local_executor").LocalExecutor)
    sys.argv[0] = "airflow"
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
