"""Starts one of Airflow's components in this process, in the scheduler's case after importing what its tasks need.

LocalExecutor forks its workers from the scheduler and each task from a worker (on Linux), so what is imported here is
imported once. Without it every task of the chain imported for 2.5 s on an idle machine, and for 6 s where three started
at the same tick. Airflow itself is not imported but run, as `python -m airflow` does.

    python -m trading.local.airflow_component scheduler --skip-serve-logs
"""

import importlib
import runpy
import sys
from typing import Final

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


def main() -> None:
    """Become the component that the command line names."""
    if sys.argv[1:2] == ["scheduler"]:
        for missing in preload(PRELOADED):
            sys.stderr.write(f"not preloaded: {missing}\n")
    sys.argv[0] = "airflow"
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
