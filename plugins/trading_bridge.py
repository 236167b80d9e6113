"""From a task's context to the TradingManager, and from domain errors to Airflow's skip and fail."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dag_defaults import LIVE_RUN_TYPES
from run_context import run_of
from trading.errors import (
    DatabaseUnavailable,
    ExchangeUnavailable,
    InvariantViolation,
    OrderDenied,
    TradingError,
    TradingHalted,
)

if TYPE_CHECKING:
    from trading.domain.ids import Run
    from trading.manager import TradingManager

    Flow = Callable[[TradingManager, Run], Any]


def run_flow(flow: "Flow", outlet: Asset | None = None, run_types: tuple[str, ...] = LIVE_RUN_TYPES) -> dict[str, int]:
    """Run a flow as this task: its counts are its result. Domain errors become skip, fail or retry."""
    from trading.manager import TradingManager  # noqa: PLC0415 - heavy, and only tasks need it

    context = get_current_context()
    if str(context["dag_run"].run_type.value) not in run_types:
        raise AirflowFailException(f"a {context['dag_run'].run_type} run may not do this: expected {run_types}")
    manager = TradingManager.from_env()
    try:
        report = flow(manager, run_of(context))
    except (TradingHalted, OrderDenied) as error:
        raise AirflowSkipException(str(error)) from error
    except (ExchangeUnavailable, DatabaseUnavailable):  # done again: each flow may be, but for placing (retries=0)
        raise
    except TradingError as error:
        if isinstance(error, InvariantViolation):
            manager.halt.run(run_of(context), author="airflow", reason=str(error))
        raise AirflowFailException(str(error)) from error
    finally:
        manager.close()
    if outlet is not None:
        facts = {**report.counts, **getattr(report, "event", {})}
        context["outlet_events"][outlet].extra = {"run_id": context["dag_run"].run_id, **facts}
    return dict(report.counts)


def kill_switch_is_paused() -> bool:
    """Airflow's own word, read afresh and handed on as it is: the sender refuses what is neither yes nor no."""
    paused: bool = get_current_context()["ti"].get_dag("kill_switch").is_paused
    return paused
