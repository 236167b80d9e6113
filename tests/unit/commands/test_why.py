"""`trading why`: nothing trades without somebody saying why."""

import json

from tests.desk import Desk
from tests.unit.commands.conftest import Trading


def test_a_cycle_line_by_line(trading: Trading, desk: Desk) -> None:
    """Signal, gates, size, order: the order of the line, once per strategy or instrument."""
    desk.next_minute()
    desk.cycle()
    lines = trading("why").out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "signal", "gates", "size", "size", "order", "order"]


def test_as_json_with_every_figure(trading: Trading, desk: Desk) -> None:
    """Money as text, times as RFC 3339, the run's id at the top."""
    desk.next_minute()
    desk.cycle()
    answer = json.loads(trading("why", "--json").out)
    assert answer["run_id"] == desk.read(lambda books: books.runs.recent("place", 1))[0].run.run_id
    size = next(step for step in answer["steps"] if step["stage"] == "size")
    assert (size["weight"], size["as_of"]) == ("0.5", "2026-03-02T12:01:00.000Z")
    order = next(step for step in answer["steps"] if step["stage"] == "order")
    assert order["checks"][0]["verdict"] == "allowed"


def test_a_run_by_its_id(trading: Trading, desk: Desk) -> None:
    run_id = json.loads(trading("ingest", "--json").out)["run_id"]
    said = trading("why", run_id)
    assert said.code == 0
    assert said.out.startswith(f"run     {run_id}: ingest done")


def test_an_unknown_run(trading: Trading, desk: Desk) -> None:
    """The newest ids are offered."""
    said = trading("why", "nope")
    assert said.code == 78
    assert "unknown run 'nope'" in said.err
    assert "lease__" in said.err


def test_before_the_first_placing(trading: Trading, desk: Desk) -> None:
    said = trading("why")
    assert said.code == 0
    assert "nothing has been placed yet" in said.out
    assert json.loads(trading("why", "--json").out)["run_id"] is None
