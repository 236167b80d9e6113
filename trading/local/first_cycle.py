"""The first full cycle: trigger the ingestion, wait for the runs that follow, and say which they were."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading.clock import Clock
from trading.local.airflow_api import HEALTH_PARTS, AirflowApi, AirflowUnreachable, DagRun
from trading.local.supervisor import ComponentFailed

INGEST: Final = "ingest_candles"
PLACE: Final = "place_orders"
#: The DAGs that must be known before the cycle starts: an asset's event wakes only those that listen already.
CHAIN: Final = (INGEST, "evaluate_strategies", PLACE)
GIVE_UP_S: Final = 300.0
_POLL_S: Final = 0.25
_PARSING_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Cycle:
    """The runs of one cycle by DAG, and those of any DAG that failed meanwhile."""

    runs: Mapping[str, str]
    failed: tuple[DagRun, ...]


def end_interrupted_runs(api: AirflowApi, clock: Clock, *, before: datetime) -> int:
    """Mark runs as failed that began `before` this start, as soon as the web server answers; how many there were.

    Whoever executed them is gone. Airflow itself would notice after minutes, in which a DAG of one run at a time waits.
    Backfills are left to it: they go on by themselves then, and keep no live run waiting.
    """
    deadline = clock.monotonic() + GIVE_UP_S
    while not api.health() and clock.monotonic() < deadline:
        clock.sleep(_POLL_S)
    started = [run for run in api.running() if run.started_at and run.run_type != "backfill"]
    interrupted = [run for run in started if datetime.fromisoformat(run.started_at) < before]
    for run in interrupted:
        api.fail(run, "interrupted when the pipeline was stopped")
    return len(interrupted)


def wait_until_healthy(api: AirflowApi, clock: Clock) -> None:
    """Wait for Airflow's four components. Raises ComponentFailed after five minutes."""
    deadline = clock.monotonic() + GIVE_UP_S
    health: dict[str, str] = {}
    while clock.monotonic() < deadline:
        health = api.health()
        if health and all(health[part] == "healthy" for part in HEALTH_PARTS):
            return
        clock.sleep(_POLL_S)
    state = ", ".join(f"{part} {health.get(part, 'silent')}" for part in HEALTH_PARTS)
    raise ComponentFailed(f"Airflow was not healthy after {GIVE_UP_S:.0f} s: {state}")


def wait_for_dags(api: AirflowApi, clock: Clock) -> None:
    """Wait until Airflow knows the DAGs of the chain. Raises ComponentFailed with the files that cannot be read."""
    deadline = clock.monotonic() + GIVE_UP_S
    complain_at = clock.monotonic() + _PARSING_S
    missing = set(CHAIN)
    while clock.monotonic() < deadline:
        missing = set(CHAIN) - api.dag_ids()
        if not missing:
            return
        if clock.monotonic() > complain_at and (errors := api.import_errors()):
            raise ComponentFailed("DAG files that Airflow cannot read:\n" + "\n".join(errors))
        clock.sleep(_POLL_S)
    raise ComponentFailed(f"Airflow does not know {', '.join(sorted(missing))} after {GIVE_UP_S:.0f} s")


def wait_for_candle(clock: Clock, *, least_s: float, period_s: int = 60) -> None:
    """Where less than `least_s` is left in the current candle, wait for the next."""
    left_s = period_s - clock.now().timestamp() % period_s
    if left_s < least_s:
        clock.sleep(left_s)


def run_cycle(api: AirflowApi, clock: Clock) -> Cycle:
    """Trigger the ingestion and wait until orders were placed because of what it, or the schedule's own run, brought.

    Raises ComponentFailed where a run of the chain fails, or none comes within five minutes.
    """
    since = _rfc3339(clock.now() - timedelta(seconds=1))
    first = api.trigger(INGEST)
    deadline = clock.monotonic() + GIVE_UP_S
    while clock.monotonic() < deadline:
        try:
            placed = [run for run in api.runs(PLACE, since=since) if run.ended]
            if placed:
                return Cycle(_trace(api, placed[-1], first), tuple(_failed(api, since)))
            failed = _failed(api, since)
        except AirflowUnreachable:
            failed = []  # busy; the deadline bounds it
        if failed:
            return Cycle({run.dag_id: run.run_id for run in failed}, tuple(failed))
        clock.sleep(_POLL_S)
    raise ComponentFailed(f"no run of {PLACE} ended within {GIVE_UP_S:.0f} s of {first.run_id}; {_states(api, since)}")


def wait_until_quiet(api: AirflowApi, clock: Clock, *, limit_s: float) -> None:
    """Wait until no run is queued or running, so that a stop meets no order on its way; `limit_s` at most."""
    deadline = clock.monotonic() + limit_s
    while clock.monotonic() < deadline and api.busy():
        clock.sleep(_POLL_S)


def _trace(api: AirflowApi, last: DagRun, triggered: DagRun) -> dict[str, str]:
    """The runs that caused `last`, by DAG, in the order of the chain."""
    runs = {last.dag_id: last.run_id}
    ahead = [last]
    while ahead:
        for dag_id, run_id in api.causes(ahead.pop()):
            if dag_id not in runs:
                runs[dag_id] = run_id
                ahead.append(api.run(dag_id, run_id))
    runs.setdefault(triggered.dag_id, triggered.run_id)
    return dict(reversed(runs.items()))


def _failed(api: AirflowApi, since: str) -> list[DagRun]:
    return [run for run in api.runs("~", since=since) if run.state == "failed"]


def _states(api: AirflowApi, since: str) -> str:
    runs = api.runs("~", since=since)
    return "runs so far: " + (", ".join(f"{run.dag_id} {run.run_id} {run.state}" for run in runs) or "none")


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
