"""No secret of a running instance is anywhere but in its own file, whatever failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.canaries import Canaries, answers, database, files, output, processes
from tests.e2e.running_pipeline import RunningPipeline, command

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

#: What Airflow's API tells somebody who is logged in; the web UI shows nothing else.
ASKED = (
    "config",
    "connections",
    "dagSources/place_orders",
    "dags",
    "dags/~/dagRuns",
    "dags/~/dagRuns/~/taskInstances",
    "dags/~/dagRuns/~/taskInstances/~/xcomEntries",
    "eventLogs?limit=1000",
    "importErrors",
    "monitor/health",
    "plugins",
    "providers",
    "variables",
)
#: What the paper exchange tells somebody without a key.
VENUE_ASKED = ("exchangeInfo", "account", "openOrders", "time", "nonsense")


@contextmanager
def readable_by_all(path: Path) -> Iterator[None]:
    path.chmod(0o644)
    try:
        yield
    finally:
        path.chmod(0o600)


def test_no_secret_is_anywhere_but_in_its_file(pipeline: RunningPipeline) -> None:
    """Logs, books, XCom, rendered fields, processes and answers, after runs that worked and one that failed."""
    secrets, home = pipeline.folder / "secrets", pipeline.home
    with readable_by_all(secrets / "paper_api_secret"):
        run_id = pipeline.run("reconcile_orders")
    assert pipeline.rest.state("reconcile_orders", run_id) == "failed"
    tasks = pipeline.rest.tasks("reconcile_orders", run_id)
    logs = [f"dags/reconcile_orders/dagRuns/{run_id}/taskInstances/{task}/logs/1?full_content=true" for task in tasks]
    assert any("mode 0644" in str(pipeline.rest.task_log("reconcile_orders", run_id, task)) for task in tasks)

    canaries = Canaries.of_folder(secrets)
    airflow = f"http://127.0.0.1:{pipeline.environ['TRADING_UI_PORT']}"
    venue = f"http://127.0.0.1:{pipeline.environ['TRADING_EXCHANGE_PORT']}"
    asked = [f"{airflow}/", *(f"{airflow}/api/v2/{path.replace('+', '%2B')}" for path in (*ASKED, *logs))]
    token = {"Authorization": f"Bearer {pipeline.rest.token}"}
    # The database is searched row by row; two files are the way by which a program of somebody else gets its secret.
    but = (
        home / "postgres",
        home / "exchange" / "accounts.json",
        home / "airflow" / "simple_auth_manager_passwords.json",
    )
    commands = (command("secrets", "check", "--json"), command("config", "show"), command("status"))
    found = {
        "files": canaries.hits(files(home, pipeline.person, but=but)),
        "database": canaries.hits(database(pipeline.database_url())),
        "processes": canaries.hits(processes()),
        "Airflow's answers": canaries.hits(answers(asked, token)),
        "the venue's answers": canaries.hits(answers(f"{venue}/api/v3/{path}" for path in VENUE_ASKED)),
        "commands": canaries.hits(output(*commands, environ=pipeline.environ)),
    }
    assert {sink: hits for sink, hits in found.items() if hits} == {}
