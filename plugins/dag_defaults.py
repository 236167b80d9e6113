"""What all DAGs share: the assets that wake them, and the defaults of runs and tasks."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, Param

#: What wakes whom. Backfills emit another asset, which wakes nothing that trades.
CANDLES = Asset("trading://candles")
DECISIONS = Asset("trading://decisions")

#: Every scheduled DAG starts here; none catches up.
START = datetime(2024, 1, 1, tzinfo=UTC)
#: A backfill never trades.
LIVE_RUN_TYPES = ("scheduled", "manual", "asset_triggered")
DEFAULTS = {"owner": "trading", "retries": 2, "retry_delay": timedelta(seconds=5)}
#: Of tasks that talk to the venue: only the workers of this queue have its keys and a way out (docker-compose.yml).
AT_VENUE = DEFAULTS | {"queue": "orders"}
LIVE = {"start_date": START, "catchup": False, "max_active_runs": 1, "allowed_run_types": list(LIVE_RUN_TYPES)}
#: Null, so that the field may be empty: a form with an empty field that has to be filled in can not be sent.
REASON = Param(None, type=["null", "string"], description="Why this run was started by hand; kept with the run.")
