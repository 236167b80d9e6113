"""What keeps Airflow from growing for ever: old rows of its tables and old log files go. Our tables are not touched.

Every minute leaves some task instances, ten thousand a day, each with a log file.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from airflow.sdk.exceptions import AirflowFailException

#: Not `dag`: deleting kill_switch's row halts. Not `trigger`: it holds those that wait for events since the first day.
TABLES = (
    "asset_event",
    "callback",
    "celery_taskmeta",
    "celery_tasksetmeta",
    "dag_run",
    "dag_version",
    "deadline",
    "import_error",
    "job",
    "log",
    "revoked_token",
    "task_instance",
    "task_instance_history",
    "task_reschedule",
    "xcom",
)
#: Our log file becomes another one when it is larger; whoever writes it follows.
LARGE_LOG_BYTES = 100 * 1024 * 1024
_LIMIT_S = 3_000


def prune_tables(before: datetime, environ: Mapping[str, str] = os.environ) -> None:
    """`airflow db clean` in a process of its own: a task's own process is kept from Airflow's tables."""
    command = [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive", "--error-on-cleanup-failure"]
    command += ["--clean-before-timestamp", before.isoformat(), "--batch-size", "10000", "--tables", ",".join(TABLES)]
    done = subprocess.run(command, env=_of_a_server(environ), timeout=_LIMIT_S, check=False)  # noqa: S603
    if done.returncode:
        raise AirflowFailException(f"airflow db clean ended with code {done.returncode}: the lines above say why")


def prune_logs(airflow_logs: Path, our_log: Path, before: datetime) -> dict[str, int]:
    """Delete task logs that nobody wrote since `before`; put our own log aside when it is large, and old ones away."""
    if our_log.exists() and our_log.stat().st_size > LARGE_LOG_BYTES:
        our_log.rename(our_log.with_name(f"{our_log.stem}-{our_log.stat().st_mtime_ns}{our_log.suffix}"))
    aside = our_log.parent.glob(f"{our_log.stem}-*{our_log.suffix}")
    old = [path for path in (*airflow_logs.rglob("*"), *aside) if path.lstat().st_mtime < before.timestamp()]
    files = [path for path in old if not path.is_dir()]
    for path in files:
        path.unlink()
    for folder in sorted(set(old) - set(files), reverse=True):  # what is inside comes first
        if not any(folder.iterdir()):
            folder.rmdir()
    return {"log_files": len(files)}


def _of_a_server(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what marks a task's process, above all the address that leads nowhere."""
    blocked = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")
    return {
        name: value
        for name, value in environ.items()
        if name not in blocked and not name.startswith(("_AIRFLOW", "__AIRFLOW"))
    }
