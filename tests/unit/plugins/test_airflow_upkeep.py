"""The nightly upkeep: what goes is old, what stays is young or a folder that is still written to."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = datetime(2026, 3, 1, 3, 10, tzinfo=UTC)

SCRIPT = """
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
import airflow_upkeep
now = datetime(2026, 3, 1, 3, 10, tzinfo=UTC)
folder = Path(FOLDER)
counts = airflow_upkeep.prune_logs(folder / "airflow", folder / "trading.jsonl", now - timedelta(days=30))
airflow_upkeep.LARGE_LOG_BYTES = 1
airflow_upkeep.prune_logs(folder / "airflow", folder / "trading.jsonl", now - timedelta(days=30))
seen = {}
def ended(command, env, **options):
    seen.update(command=command, env=env)
    return airflow_upkeep.subprocess.CompletedProcess(command, 0)
airflow_upkeep.subprocess.run = ended
airflow_upkeep.prune_tables(now, {
    "PATH": "/bin",
    "_AIRFLOW_PROCESS_CONTEXT": "client",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow-db-not-allowed:///",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "sql_alchemy_conn",
})
left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
print(json.dumps({"counts": counts, "left": left, "tables": airflow_upkeep.TABLES, **seen}))
"""


def aged(path: Path, days: int, content: str = "{}") -> Path:
    if content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    at = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))
    return path


def test_what_is_old_goes_and_airflow_s_tables_are_pruned_in_a_process_that_may(
    airflow: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """One process for all of it, since each costs a second. Our own log is put aside where it has grown large."""
    folder = tmp_path / "logs"
    old = aged(folder / "airflow" / "run=1" / "attempt=1.log", 40)
    aged(folder / "airflow" / "run=2" / "attempt=1.log", 5)
    aged(old.parent, 40, "")
    aged(folder / "trading-1.jsonl", 40)
    ours = aged(folder / "trading.jsonl", 1)
    found = airflow(SCRIPT.replace("FOLDER", repr(str(folder))))
    assert found["counts"] == {"log_files": 2}
    aside = f"trading-{int((NOW - timedelta(days=1)).timestamp()) * 1_000_000_000}.jsonl"
    assert found["left"] == ["airflow", "airflow/run=2", "airflow/run=2/attempt=1.log", aside]
    assert not ours.exists()
    # Deleting kill_switch's row of `dag` halts, and `trigger` holds those that wait since the first day.
    assert not {"dag", "trigger"} & set(found["tables"])
    assert found["env"] == {"PATH": "/bin", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "sql_alchemy_conn"}
    assert found["command"][-1] == ",".join(found["tables"])
    assert NOW.isoformat() in found["command"]
