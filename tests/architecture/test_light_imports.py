"""What Airflow parses every few seconds must be light, in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("ccxt", "psycopg", "numpy", "fastapi")
LISTED = [*sorted((ROOT / "dags").glob("*.py")), *sorted((ROOT / "plugins").glob("*.py"))]

PROBE = """
import importlib.util, json, sys
sys.path[:0] = [{plugins!r}, {root!r}]
import airflow.sdk, airflow.plugins_manager  # Airflow's own imports do not count
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("probed", {path!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""


@pytest.mark.parametrize("path", LISTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_dag_and_plugin_files_import_nothing_heavy(path: Path, tmp_path: Path) -> None:
    """Neither ccxt, psycopg, numpy nor FastAPI comes in with a DAG or plugin file."""
    code = PROBE.format(plugins=str(ROOT / "plugins"), root=str(ROOT), path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & set(HEAVY), f"{path.name} brings in {loaded & set(HEAVY)}"
