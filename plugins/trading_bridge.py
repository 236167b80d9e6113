"""From a task's context to the TradingManager, and from domain errors to Airflow's skip and fail."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from trading.domain.ids import Run
from trading.errors import (
    DatabaseUnavailable,
    ExchangeUnavailable,
    InvariantViolation,
    OrderDenied,
    TradingError,
    TradingHalted,
)

if TYPE_CHECKING:
    from trading.manager import TradingManager

#: What wakes whom. Backfills emit another asset, which wakes nothing that trades.
CANDLES = Asset("trading://candles")
DECISIONS = Asset("trading://decisions")

#: Every scheduled DAG starts here; none catches up.
START = datetime(2024, 1, 1, tzinfo=UTC)
#: A backfill never trades.
LIVE_RUN_TYPES = ("scheduled", "manual", "asset_triggered")
DEFAULTS = {"owner": "trading", "retries": 2, "retry_delay": timedelta(seconds=5)}
LIVE = {"start_date": START, "catchup": False, "max_active_runs": 1, "allowed_run_types": list(LIVE_RUN_TYPES)}


def run_flow(
    flow: "Callable[[TradingManager, Run], Any]", outlet: Asset | None = None, allowed: tuple[str, ...] = LIVE_RUN_TYPES
) -> dict[str, int]:
    """Run a flow as this task: its counts are the task's result. Domain errors become skip, fail or retry."""
    from trading.manager import TradingManager  # noqa: PLC0415 - heavy, and only tasks need it

    context = get_current_context()
    if str(context["dag_run"].run_type.value) not in allowed:
        raise AirflowFailException(f"a {context['dag_run'].run_type} run may not do this: expected {allowed}")
    manager = TradingManager.from_env()
    try:
        report = flow(manager, _run(context))
    except (TradingHalted, OrderDenied) as error:
        raise AirflowSkipException(str(error)) from error
    except (ExchangeUnavailable, DatabaseUnavailable):  # done again: each flow may be, but for placing (retries=0)
        raise
    except TradingError as error:
        if isinstance(error, InvariantViolation):
            manager.halt.run(_run(context), author="airflow", reason=str(error))
        raise AirflowFailException(str(error)) from error
    finally:
        manager.close()
    if outlet is not None:
        context["outlet_events"][outlet].extra = {"run_id": context["dag_run"].run_id, **report.counts}
    return dict(report.counts)


def kill_switch_is_paused() -> bool:
    """Airflow's own word, read afresh and handed on as it is: the sender refuses what is neither yes nor no."""
    paused: bool = get_current_context()["ti"].get_dag("kill_switch").is_paused
    return paused


def _run(context: Mapping[str, Any]) -> Run:
    """Who runs: the DAG run's id is the correlation id, and its causes are the runs whose assets woke it."""
    dag_run = context["dag_run"]
    reason = (context.get("params") or {}).get("reason")
    events = [event for events in (context.get("triggering_asset_events") or {}).values() for event in events]
    causes = {str(event.source_run_id) for event in events if getattr(event, "source_run_id", None)}
    return Run(
        run_id=dag_run.run_id,
        dag_id=dag_run.dag_id,
        actor=f"airflow: {reason}" if reason else "airflow",
        run_type=dag_run.run_type.value,
        causes=tuple(sorted(causes)),
    )
