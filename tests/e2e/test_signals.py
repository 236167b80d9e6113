"""Whatever ends an instance, with a real Airflow in it: nothing lives on, and the next start goes on from there.

`alive` of the shared instance finds processes by a mark in their environment, and the database by its folder.
"""

import json
import os
import signal
import subprocess

import pytest

from tests.e2e.running_pipeline import CANDLE_S, START_S, RunningPipeline, command
from tests.e2e.terminal import CTRL_C, Terminal

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

UNFINISHED = "SELECT dag_id, run_id, flow FROM trading.run WHERE outcome = 'running'"


def wait_for_a_task(pipeline: RunningPipeline) -> None:
    """Return in the middle of one."""
    pipeline.rest.trigger("reconcile_orders")
    pipeline.until(lambda: pipeline.sql(UNFINISHED), CANDLE_S, "a flow runs in a task", poll_s=0.01)


def test_after_the_supervisors_sigkill_the_next_start_recovers(pipeline: RunningPipeline) -> None:
    """In the middle of a task, with all else left running: the next start ends it and goes on, and both books agree."""
    posts = pipeline.posts()
    wait_for_a_task(pipeline)
    pipeline.note_children()
    os.kill(pipeline.process.pid, signal.SIGKILL)
    pipeline.process.wait()
    left = pipeline.alive()
    assert any("postgres" in process for process in left)
    assert any("scheduler" in process for process in left)

    pipeline.ensure_running()
    assert "an earlier run had left" in pipeline.person.read_text()
    earlier = [process for process in left if "postgres" not in process]
    assert not set(earlier) & set(pipeline.alive())
    pipeline.until(lambda: len(pipeline.posts()) > len(posts), CANDLE_S, "orders are sent again")
    pipeline.until_books_agree()
    sent = pipeline.posts()
    assert len(set(sent)) == len(sent)
    assert sent[: len(posts)] == posts
    assert pipeline.lines()  # each of them whole, whoever was killed while writing
    assert pipeline.sql("SELECT * FROM trading.discrepancy") == []


def test_nothing_lives_after_a_signal_in_the_middle_of_a_task(pipeline: RunningPipeline) -> None:
    wait_for_a_task(pipeline)
    assert pipeline.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_nothing_lives_after_a_start_that_was_interrupted(home_of_pipeline: RunningPipeline, number: int) -> None:
    """By Ctrl-C, by a kill, by closing the terminal, as soon as Airflow's components start."""
    pipeline, terminal = home_of_pipeline.ensure_stopped(), Terminal()
    pipeline.start_in(terminal)
    pipeline.until(lambda: "scheduler" in pipeline.components(), START_S, "Airflow's components start")
    assert "PostgreSQL" in terminal.text()
    pipeline.note_children()
    if number == signal.SIGINT:
        terminal.press(CTRL_C)
    elif number == signal.SIGHUP:
        terminal.close()
    else:
        pipeline.process.send_signal(number)
    assert pipeline.end_in_time() == 128 + number
    assert pipeline.phase() == ""


def test_once_does_one_cycle_says_what_it_did_and_leaves_nothing_alive(home_of_pipeline: RunningPipeline) -> None:
    """After all that ended it before: exit code 0, and one JSON object on the last line of standard output."""
    pipeline = home_of_pipeline.ensure_stopped()
    once = subprocess.run(
        command("up", "--once"), env=pipeline.environ, capture_output=True, text=True, timeout=START_S, check=False
    )
    assert once.returncode == 0, once.stderr
    summary = json.loads(once.stdout.splitlines()[-1])
    assert summary["orders"] > 0
    assert summary["fills"] > 0
    assert (summary["open_orders"], summary["discrepancies"], summary["halts"]) == (0, 0, 0)
    assert list(summary["runs"]) == ["ingest_candles", "evaluate_strategies", "place_orders"]
    written = {(line["dag_id"], line["correlation_id"]) for line in pipeline.lines() if line["service"] == "task"}
    assert set(summary["runs"].items()) <= written
    assert summary["seconds"]["total"] > 0
    assert pipeline.alive() == []
