"""A DAG run that failed becomes an alert, whatever became of its task: the scheduler knows of killed ones too."""

import logging
import threading
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

logger = logging.getLogger(__name__)


class FailedRuns:
    """Airflow calls this where a run's state is settled: in the scheduler, or in the API for one marked by hand."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """Write it down in a thread: neither the scheduler nor the API waits for the ledger, or fails because of it."""
        facts = {"dag_id": str(dag_run.dag_id), "run_id": str(dag_run.run_id), "run_type": str(dag_run.run_type)}
        threading.Thread(target=report, kwargs={**facts, "why": msg}, daemon=True, name="failure_alert").start()


def report(*, dag_id: str, run_id: str, run_type: str, why: str) -> None:
    """Raise the alert. What cannot be written down is logged: the scheduler must go on."""
    try:
        from trading.alerting import Alerting  # noqa: PLC0415 - heavy, and plugins load in every process
        from trading.domain.ids import Run  # noqa: PLC0415
        from trading.manager import TradingManager  # noqa: PLC0415

        manager = TradingManager.from_env()
        try:
            run = Run(run_id=run_id, dag_id=dag_id, run_type=run_type, actor="airflow")
            Alerting(manager).report_failure.run(run, f"the DAG {dag_id} failed: {why or 'Airflow does not say why'}")
        finally:
            manager.close()
    except Exception:
        logger.exception("the failure of %s was not written down as an alert", run_id)


class FailureAlertsPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "failure_alerts"
    listeners = (FailedRuns(),)
