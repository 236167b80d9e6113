"""Every line of a task, in Airflow's log and in ours, carries the run's id as correlation_id: no code in any DAG."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from trading.config.settings import TradingConfig
from trading.logging.json_logger import setup_json_logging
from trading.logging.log_context import bind


class TaskCorrelation:
    """Binds the run when Airflow's task runner starts; by then it has bound its own names in structlog's context."""

    @hookimpl
    def on_starting(self, component: object) -> None:
        """The scheduler and others call this too, but serve many runs: only a task's process serves one."""
        bound = structlog.contextvars.get_contextvars()
        if type(component).__name__ != "TaskRunnerMarker" or "run_id" not in bound:
            return
        structlog.contextvars.bind_contextvars(correlation_id=bound["run_id"])
        _show_extra_fields()
        _log_to_our_file(bound)


class _ExtraFields(structlog.stdlib.ExtraAdder):
    """Airflow calls the message `event`, which our field of that name would replace: it becomes `event_name`."""

    def __call__(self, logger: Any, name: str, event_dict: Any) -> Any:
        message = event_dict.get("event")
        added = super().__call__(logger, name, event_dict)
        if added.get("event") is not message:
            added["event_name"], added["event"] = added["event"], message
        return added


def _show_extra_fields() -> None:
    """Airflow's task log drops what `extra=` gives; this puts it in."""
    for handler in logging.getLogger().handlers:
        formatter = handler.formatter
        if isinstance(formatter, structlog.stdlib.ProcessorFormatter):
            chain = list(formatter.foreign_pre_chain or ())
            if not any(isinstance(step, structlog.stdlib.ExtraAdder) for step in chain):
                formatter.foreign_pre_chain = [_ExtraFields(), *chain]


def _log_to_our_file(bound: Mapping[str, Any]) -> None:
    config = TradingConfig.from_env(os.environ)
    map_index = bound.get("map_index", -1)
    setup_json_logging(config.log_path, config.log_level, service="task")
    bind(
        correlation_id=bound["run_id"],
        run_id=bound["run_id"],
        dag_id=bound.get("dag_id"),
        task_id=bound.get("task_id"),
        try_number=bound.get("try_number"),
        map_index=map_index if map_index >= 0 else None,
    )


def request_id_middleware(app: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Made here, not named below: plugins load at the start of every task, and the web's imports cost seconds."""
    from trading.web.server import RequestIDMiddleware  # noqa: PLC0415

    return RequestIDMiddleware(app, **options)


class RunCorrelationPlugin(AirflowPlugin):
    """Registers the listener, and the middleware that gives every HTTP answer an X-Request-ID."""

    name = "run_correlation"
    listeners = (TaskCorrelation(),)
    fastapi_root_middlewares = (
        {"name": "request_id", "middleware": request_id_middleware, "kwargs": {"prefix": "ui"}},
    )
