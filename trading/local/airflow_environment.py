"""The environment of every Airflow process on this machine: values in, variables out, no secret among them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Airflow's own keys: each is asked of the secrets backend under the name on the right.
_SECRET_OPTIONS: Final = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "sql_alchemy_conn",
    # Left out, Airflow would derive an address for asyncpg; psycopg serves both.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_SECRET": "sql_alchemy_conn_async",
    "AIRFLOW__CORE__FERNET_KEY_SECRET": "fernet_key",
    "AIRFLOW__API__SECRET_KEY_SECRET": "secret_key",
    "AIRFLOW__API_AUTH__JWT_SECRET_SECRET": "jwt_secret",
}

#: What makes a task start soon on a small machine, and why.
_SPEED: Final = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    # The default of 32 forks 32 workers of 27 MB each. Of eight, three are the controls' own (see domain/pools.py), two
    # take mapped work, and three are for the chain of three and the minute's reconciliation.
    "AIRFLOW__CORE__PARALLELISM": "8",
    # A worker that missed its task's exit by a hair sleeps for this long (5 s by default) before it takes the next.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # The scheduler's nap between two loops: the default of 1 s is paid by every hop of the chain.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # Fork: tasks inherit what the scheduler imported (see airflow_component); on macOS each task starts afresh anyway.
    "AIRFLOW__SCHEDULER__MP_START_METHOD": "fork",
    # Looking a name up in the DNS of a laptop can take seconds, in every process.
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    # How soon the tasks of a scheduler that died are noticed: the default of 300 s keeps their DAG waiting.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "300",
}

_BEHAVIOUR: Final = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
    "AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT": "False",
    "AIRFLOW__LOGGING__JSON_LOGS": "True",
    "AIRFLOW__API__EXPOSE_CONFIG": "False",
    "AIRFLOW__API__EXPOSE_STACKTRACE": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    # A task that cannot reach the API asks three times within some seconds: the sender fails closed, and soon.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "3",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2.0",
    # setproctitle writes its titles over the environment that /proc shows, by which leftovers are found.
    "SPT_NOENV": "1",
}

_CONFIGURATION: Final = """\
# Airflow would write this file itself, with fresh keys in plain text, were it not here.
# Settings come from the environment that `trading up` makes, keys from the secrets backend.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class AirflowFolders:
    """Where one instance of Airflow keeps what it writes, all below `home`."""

    home: Path

    @property
    def airflow_home(self) -> Path:
        """What Airflow calls AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def passwords(self) -> Path:
        """The file from which the web UI takes its login."""
        return self.airflow_home / "simple_auth_manager_passwords.json"

    @property
    def task_logs(self) -> Path:
        """One file a task try."""
        return self.home / "logs" / "airflow"

    def create(self) -> None:
        """Make the folders, and the configuration file that keeps Airflow from writing one with keys in it."""
        self.airflow_home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.task_logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.airflow_home / "airflow.cfg").write_text(_CONFIGURATION)


def airflow_environment(*, home: Path, root: Path, dags: Path, ui_port: int) -> dict[str, str]:
    """What all four components, their tasks and `airflow` on the command line are started with."""
    folders = AirflowFolders(home=home)
    address = f"http://127.0.0.1:{ui_port}"
    return {
        **_SPEED,
        **_BEHAVIOUR,
        **_SECRET_OPTIONS,
        "AIRFLOW_HOME": str(folders.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folders.passwords),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ui_port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folders.task_logs),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(folders.task_logs / "dag_processor"),
        "AIRFLOW__SECRETS__BACKEND": "docker_secrets_backend.DockerSecretsBackend",
        # The secrets backend is loaded before Airflow itself looks into the plugins folder.
        "PYTHONPATH": os.pathsep.join((str(root), str(root / "plugins"))),
    }


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the caller's environment that children keep: no other Airflow's settings, no instance's marker."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("AIRFLOW") and name not in ("TRADING_INSTANCE", "PYTHONHOME", "PYTHONSTARTUP")
    }
