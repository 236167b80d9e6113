"""Runs a script in a fresh process with a fresh Airflow: its configuration is read once, while it is imported."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
Airflow = Callable[..., dict[str, Any]]


@pytest.fixture
def airflow(tmp_path: Path) -> Airflow:
    """`airflow(script, **environ)` gives the JSON object that the script prints last; no database is touched."""

    def run(script: str, **environ: str) -> dict[str, Any]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "TRADING_HOME": str(tmp_path / "home"),
            "TRADING_SECRETS_DIR": str(tmp_path / "secrets"),
            **environ,
        }
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    return run
