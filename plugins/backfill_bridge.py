"""What the DAG of backfills needs: an asset that wakes nothing that trades, its run types, and its two steps."""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, get_current_context

from trading_bridge import run_flow

#: Nothing is scheduled on it: candles of the past are no reason to decide or to trade.
BACKFILLED = Asset("trading://backfilled_candles")
#: What its tasks do. Airflow insists on scheduled runs where there is a schedule; the timetable gives it none.
RUN_TYPES = ("backfill", "manual")
#: Before any candle: a DAG's start bounds what may be asked for.
START = datetime(2009, 1, 1, tzinfo=UTC)
BACKFILL = {"start_date": START, "catchup": False, "max_active_runs": 2, "allowed_run_types": ["scheduled", *RUN_TYPES]}


def instruments() -> list[str]:
    """Those of the portfolio file, for a task each."""
    from trading.manager import TradingManager  # noqa: PLC0415 - heavy, and only tasks need it

    manager = TradingManager.from_env()
    try:
        return list(manager.portfolio.instruments)
    finally:
        manager.close()


def backfill_interval(instrument: str) -> dict[str, int]:
    """The candles of this run's data interval that are not there yet, and of no other; what is complete is not read."""
    from dataclasses import replace  # noqa: PLC0415 - with the flow that it serves

    context = get_current_context()
    since, until = (datetime.fromisoformat(str(context[f"data_interval_{end}"])) for end in ("start", "end"))
    chosen = (context.get("params") or {}).get("timeframes") or None

    def flow(manager: Any, run: Any) -> Any:
        requests = manager.ingest_requests(chosen, instruments=[instrument], since=since, until=until)
        missing = [replace(request, only_missing=True) for request in requests]
        return manager.ingest.run(run, missing, flow=f"backfill {instrument}")

    return run_flow(flow, outlet=BACKFILLED, run_types=RUN_TYPES)
