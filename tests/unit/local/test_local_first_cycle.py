"""The first cycle, against an Airflow of a few lines and under a clock that the test moves."""

from datetime import UTC, datetime, timedelta

import pytest

from trading.clock import ManualClock
from trading.local import first_cycle
from trading.local.airflow_api import HEALTH_PARTS, DagRun
from trading.local.supervisor import ComponentFailed

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
INGESTED = DagRun("ingest_candles", "i", "scheduled", "success", "2026-01-01T12:00:00Z")
EVALUATED = DagRun("evaluate_strategies", "e", "asset_triggered", "success", "2026-01-01T12:00:01Z")
PLACED = DagRun("place_orders", "p", "asset_triggered", "success", "2026-01-01T12:00:02Z")


class FakeAirflow:
    """Answers as its fields say; `runs_after_s` is when the runs appear."""

    def __init__(self, clock: ManualClock, runs: list[DagRun], *, runs_after_s: float = 0.0) -> None:
        self.clock = clock
        self.all_runs = runs
        self.runs_after_s = runs_after_s
        self.health_now = dict.fromkeys(HEALTH_PARTS, "healthy")
        self.healthy_after_s = 0.0
        self.known = set(first_cycle.CHAIN)
        self.errors: list[str] = []
        self.failed: list[str] = []
        self.triggered: list[str] = []

    def health(self) -> dict[str, str]:
        return self.health_now if self.clock.monotonic() >= self.healthy_after_s else {}

    def dag_ids(self) -> set[str]:
        return self.known

    def import_errors(self) -> list[str]:
        return self.errors

    def trigger(self, dag_id: str) -> DagRun:
        self.triggered.append(dag_id)
        return DagRun(dag_id, "manual", "manual", "queued", "")

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return next(run for run in self.all_runs if (run.dag_id, run.run_id) == (dag_id, run_id))

    def runs(self, dag_id: str, *, since: str) -> list[DagRun]:
        assert since.endswith("Z")
        visible = self.all_runs if self.clock.monotonic() >= self.runs_after_s else []
        return [run for run in visible if dag_id in ("~", run.dag_id)]

    def running(self) -> list[DagRun]:
        return [run for run in self.all_runs if run.state == "running"]

    def fail(self, run: DagRun, note: str) -> None:
        self.failed.append(run.run_id)

    def causes(self, run: DagRun) -> list[tuple[str, str]]:
        return {"p": [("evaluate_strategies", "e")], "e": [("ingest_candles", "i")]}.get(run.run_id, [])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


def test_the_runs_of_a_cycle_are_those_that_caused_its_placing_in_order(clock: ManualClock) -> None:
    api = FakeAirflow(clock, [PLACED, EVALUATED, INGESTED], runs_after_s=5)
    cycle = first_cycle.run_cycle(api, clock)
    assert list(cycle.runs.items()) == [("ingest_candles", "i"), ("evaluate_strategies", "e"), ("place_orders", "p")]
    assert (cycle.failed, api.triggered) == ((), ["ingest_candles"])
    assert clock.monotonic() >= 5


def test_a_failed_run_ends_the_wait_and_is_named(clock: ManualClock) -> None:
    broken = DagRun("evaluate_strategies", "e", "asset_triggered", "failed", "")
    cycle = first_cycle.run_cycle(FakeAirflow(clock, [broken, INGESTED]), clock)
    assert cycle.failed == (broken,)


def test_a_cycle_that_never_places_is_given_up_after_five_minutes_with_the_runs_so_far(clock: ManualClock) -> None:
    with pytest.raises(ComponentFailed, match=r"no run of place_orders ended within 300 s.*ingest_candles i success"):
        first_cycle.run_cycle(FakeAirflow(clock, [INGESTED]), clock)
    assert 300 <= clock.monotonic() < 302


def test_a_slow_start_is_waited_for_and_one_of_five_minutes_is_not(clock: ManualClock) -> None:
    api = FakeAirflow(clock, [])
    api.healthy_after_s = 200
    first_cycle.wait_until_healthy(api, clock)
    assert clock.monotonic() >= 200
    api.health_now = dict.fromkeys(HEALTH_PARTS, "healthy") | {"scheduler": "unhealthy"}
    with pytest.raises(ComponentFailed, match=r"not healthy after 300 s: .*scheduler unhealthy"):
        first_cycle.wait_until_healthy(api, clock)


def test_dag_files_that_cannot_be_read_are_named_after_a_minute(clock: ManualClock) -> None:
    api = FakeAirflow(clock, [])
    api.known = {"ingest_candles"}
    api.errors = ["dags/place_orders.py: SyntaxError"]
    with pytest.raises(ComponentFailed, match=r"dags/place_orders.py: SyntaxError"):
        first_cycle.wait_for_dags(api, clock)
    assert 60 < clock.monotonic() < 62


def test_only_live_runs_of_an_earlier_start_are_marked_as_interrupted(clock: ManualClock) -> None:
    before, after = "2026-01-01T11:59:00+00:00", "2026-01-01T12:00:01Z"
    runs = [
        DagRun("place_orders", "orphan", "asset_triggered", "running", before),
        DagRun("backtest", "long", "backfill", "running", before),
        DagRun("ingest_candles", "new", "scheduled", "running", after),
        DagRun("ingest_candles", "waiting", "scheduled", "running", ""),
        DagRun("place_orders", "done", "asset_triggered", "success", before),
    ]
    api = FakeAirflow(clock, runs)
    assert first_cycle.end_interrupted_runs(api, clock, before=NOON) == 1
    assert api.failed == ["orphan"]


@pytest.mark.parametrize(("second", "waits_s"), [(0, 0), (40, 0), (41, 19), (59, 1)])
def test_with_under_20_s_left_in_a_candle_the_next_is_waited_for(clock: ManualClock, second: int, waits_s: int) -> None:
    clock.advance(second)
    first_cycle.wait_for_candle(clock, least_s=20)
    assert clock.now() == NOON + timedelta(seconds=second + waits_s)
