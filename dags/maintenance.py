"""Maintenance: each night, old rows of Airflow's tables and old log files go.

The ledger keeps everything, and needs none of it: tracing an order never reads Airflow's tables.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param, conf, get_current_context, task

from airflow_upkeep import prune_logs, prune_tables
from dag_defaults import DEFAULTS, LIVE
from run_ids import DagCronTrigger
from trading.config.settings import TradingConfig

with DAG(
    "maintenance",
    schedule=DagCronTrigger("maintenance", "10 3 * * *"),
    doc_md=__doc__,
    tags=["trading", "upkeep"],
    default_args=DEFAULTS | {"priority_weight": 1},
    params={"keep_days": Param(30, type="integer", minimum=2, description="What is younger stays.")},
    **LIVE,
):

    @task
    def prune(params: dict | None = None) -> dict[str, int]:
        """Rows first, then files."""
        before = get_current_context()["dag_run"].run_after - timedelta(days=(params or {})["keep_days"])
        prune_tables(before)
        return prune_logs(Path(conf.get("logging", "base_log_folder")), TradingConfig.from_env().log_path, before)

    prune()
