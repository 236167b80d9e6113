"""One click stops trading, and only a signature starts it again: a real browser on the web UI of a real Airflow.

Runs after the other files of this folder: it starts the shared instance in a way of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e import web_ui
from tests.e2e.outage import HEAL_S, Outage, rehearsed
from tests.e2e.running_pipeline import RunningPipeline
from tests.e2e.web_ui import WebUi
from trading.domain.pools import CONTROL, pool_slots

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(web_ui.CHROMIUM is None, reason="no chromium on the PATH; Debian: apt install chromium"),
]

PAUSES = 5
#: From a click to the first task of halt_trading: on two quiet cores 95 of 100 take at most so long …
BAR_S = 8
#: … and on a machine with other work this says no more than that the halt itself woke the DAG.
MOST_S = 150
USE, CLOSE, LEAVE = "Use the token", "Use the token, then close positions", "Leave everything as it is"
#: Worth less than this, a position is dust: the venue takes no order for it.
DUST = 10
#: A candle takes only so much: closing everything may need several.
CLOSINGS = 8

PAUSED = "SELECT halt_id, engaged_at FROM trading.halt_open WHERE author = 'airflow:pause' AND engaged_at > %s"
HALTS = "SELECT halt_id FROM trading.halt_open"
EFFECTS = (
    "SELECT kind, at FROM trading.control_event WHERE halt_id = %s AND kind IN ('halt_effective', 'halt_verified')"
)
#: More than it takes to write an answer down, and less than the answer is held back for.
WRITTEN_DOWN = timedelta(seconds=2)
SENT_SINCE = "SELECT client_order_id FROM trading.order_event WHERE at > %s AND state = 'submitting'"
ANSWERED_AT = "SELECT at FROM trading.order_event WHERE client_order_id = %s AND state = 'accepted'"
POSTED_AT = """
SELECT received_at_ms / 1000.0
FROM request_log
WHERE method = 'POST' AND path = '/api/v3/order'
ORDER BY id DESC
LIMIT 1
"""
#: Orders for a close after an instant which all checks would have let through but that of the kill switch.
KEPT_BACK = """
SELECT c.run_id
FROM trading.order_check AS c JOIN trading.order_intent AS i USING (client_order_id)
WHERE i.as_of > %s AND c.verdict = 'deferred' AND c.codes = '{kill_switch}'
"""
LEASE = "SELECT 1 FROM trading.lease WHERE renewed_at > %s"
REFUSED = "SELECT reason FROM trading.control_event WHERE kind = 'override_refused' AND run_id = %s"
CLOSED = """
SELECT side, state
FROM trading.order_current
WHERE purpose = 'flatten'
"""
POOLS = "SELECT pool, slots FROM slot_pool"
POOLS_OF_CONTROLS = """
SELECT DISTINCT pool
FROM task_instance
WHERE dag_id IN ('kill_switch', 'halt_trading', 'resume_trading')
"""
FIRST_TASK = """
SELECT min(t.start_date)
FROM task_instance AS t JOIN dag_run AS r USING (dag_id, run_id)
WHERE t.dag_id = 'halt_trading' AND t.task_id = 'cancel' AND r.queued_at > %s
"""


@dataclass(frozen=True)
class Desk:
    """An operator's: the pipeline, a way to hold an order on its way, and a browser."""

    pipeline: RunningPipeline
    outage: Outage
    ui: WebUi

    def one(self, query: str, *values: object) -> tuple[Any, ...]:
        """The first row of the ledger, once there is one."""
        self.pipeline.until(lambda: self.pipeline.sql(query, *values), HEAL_S, f"there is a row of{query}{values}")
        return self.pipeline.sql(query, *values)[0]

    def signed(self, halt_id: int, *more: str) -> str:
        """A token that ends a halt, or says what `more` says."""
        words = ("killswitch", "sign", "--halt", str(halt_id), "--reason", "the test has seen it")
        answer = self.pipeline.cli(*words, *more)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def effective_at(self, halt_id: int) -> datetime:
        """When a halt had its effect; afterwards its entries were cancelled and seen gone, which is waited for too."""
        self.pipeline.until(lambda: len(self.pipeline.sql(EFFECTS, halt_id)) == 2, HEAL_S, "the halt is verified")
        at = dict(self.pipeline.sql(EFFECTS, halt_id))
        assert at["halt_effective"] <= at["halt_verified"]
        return at["halt_effective"]

    def nothing_sent_since(self, instant: datetime) -> None:
        """By the ledger, and by the venue's own book."""
        assert self.pipeline.sql(SENT_SINCE, instant) == []
        ((posted_at,),) = self.pipeline.venue(POSTED_AT)
        assert posted_at <= instant.timestamp()


@pytest.fixture(scope="module")
def desk(home_of_pipeline: RunningPipeline) -> Iterator[Desk]:
    """The shared instance with an exchange that can hold an order, and a browser that is logged in."""
    home_of_pipeline.ensure_stopped().start(rehearsed(restarts=10))
    pipeline = home_of_pipeline.ensure_running()
    with web_ui.opened(pipeline) as ui:
        yield Desk(pipeline, Outage(pipeline), ui)
    pipeline.ensure_stopped()


def test_one_click_stops_trading_and_only_a_signature_starts_it_again(desk: Desk) -> None:
    """Pause with an order on its way, unpause, bring a forged token, then a good one: only that lets orders flow."""
    halt_id, effective_at = click_on_pause(desk)
    see_the_halt(desk, halt_id)
    unpausing_releases_nothing(desk, effective_at)
    a_forged_token_releases_nothing(desk, halt_id)
    desk.nothing_sent_since(effective_at)
    positions_are_closed_while_the_halt_stands(desk, halt_id)
    a_signed_one_does(desk, halt_id)


def test_the_controls_have_a_pool_of_their_own(desk: Desk) -> None:
    """Airflow made the pools when it started, and runs the controls' tasks in theirs alone."""
    assert dict(desk.pipeline.sql(POOLS)) == pool_slots(8)
    assert desk.pipeline.sql(POOLS_OF_CONTROLS) == [(CONTROL,)]
    (found,) = [one for one in desk.pipeline.json("doctor")["checks"] if one["name"] == "pools"]
    assert found["verdict"] == "good"


def test_halt_trading_runs_seconds_after_each_click(desk: Desk) -> None:
    """From the click in the browser to the first task of the DAG that cancels; prints the figures of several pauses."""
    seconds = sorted(seconds_from_click_to_task(desk) for _ in range(PAUSES))
    print(f"\nclick on pause to halt_trading's first task: {seconds} s (bar {BAR_S} s, two quiet cores)")  # noqa: T201
    assert seconds[-1] < MOST_S


def click_on_pause(desk: Desk) -> tuple[int, datetime]:
    """Pause in the browser while an order has no answer yet: the halt, and when it was effective."""
    desk.ui.show("/dags/kill_switch")
    expect(desk.ui.switch()).to_be_visible()
    order = desk.outage.order_in_flight()
    clicked_at = desk.ui.throw_switch(on=False)
    halt_id, engaged_at = desk.one(PAUSED, clicked_at)
    effective_at = desk.effective_at(halt_id)
    (answered_at,) = desk.one(ANSWERED_AT, order)
    # Who was past the flag is waited for, for seconds; its answer is written down right after the fence.
    assert answered_at - engaged_at > WRITTEN_DOWN
    assert effective_at > answered_at - WRITTEN_DOWN
    print(f"\nthe order's answer came {(answered_at - engaged_at).total_seconds():.1f} s after the halt")  # noqa: T201
    desk.nothing_sent_since(effective_at)
    return halt_id, effective_at


def see_the_halt(desk: Desk, halt_id: int) -> None:
    """The command, the switch and the page of the DAG that enforces it say the same."""
    status = desk.pipeline.json("killswitch", "status")
    (halt,) = [halt for halt in status["halts"] if halt["halt_id"] == halt_id]
    assert status["state"] == "halt"
    assert (halt["author"], halt["level"], halt["scope"]) == ("airflow:pause", "halt", "all")
    assert halt["verified_at"]
    expect(desk.ui.switch()).to_have_attribute("data-state", "unchecked")
    (run_id,) = desk.one("SELECT run_id FROM dag_run WHERE dag_id = 'halt_trading' ORDER BY id DESC LIMIT 1")
    desk.ui.show(f"/dags/halt_trading/runs/{run_id}")
    expect(desk.ui.page.get_by_text("cancel", exact=True).first).to_be_visible()


def unpausing_releases_nothing(desk: Desk, effective_at: datetime) -> None:
    """With the switch on again all flows run, a candle closes, an order for it is ready, and none is sent."""
    desk.ui.show("/dags/kill_switch")
    unpaused_at = desk.ui.throw_switch(on=True)
    expect(desk.ui.switch()).to_have_attribute("data-state", "checked")
    desk.one(KEPT_BACK, unpaused_at)
    desk.one(LEASE, unpaused_at)
    desk.nothing_sent_since(effective_at)


def a_forged_token_releases_nothing(desk: Desk, halt_id: int) -> None:
    """One letter of the signature is another: the run fails without saying why, and the audit log says why."""
    token = desk.signed(halt_id)
    forged = token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]
    run_id = desk.ui.trigger("resume_trading")
    bring(desk, run_id, halt_id, forged)
    assert desk.pipeline.finish("resume_trading", run_id, HEAL_S) == "failed"
    assert len(desk.pipeline.sql(REFUSED, run_id)) == 1
    assert (halt_id,) in desk.pipeline.sql(HALTS)
    expect(desk.ui.page.get_by_text("Failed").first).to_be_visible()
    assert desk.pipeline.json("killswitch", "status")["state"] == "halt"


def positions_are_closed_while_the_halt_stands(desk: Desk, halt_id: int) -> None:
    """By the same form, with a token that allows just that: everything held is sold, and nothing else is sent."""
    token = desk.signed(halt_id, "--action", "reduce_only", "--largest-notional", "50000", "--ttl", "15m")
    for _ in range(CLOSINGS):
        assert worth_closing(desk)
        run_id = desk.ui.trigger("resume_trading")
        bring(desk, run_id, halt_id, token, CLOSE)
        assert desk.pipeline.finish("resume_trading", run_id, HEAL_S) == "success"
        token = ""  # what this candle's volume did not take is closed later, under the override that still lives
        if not worth_closing(desk):
            break
    assert worth_closing(desk) == []
    orders = desk.pipeline.sql(CLOSED)
    assert {side for side, _ in orders} == {"sell"}
    assert {state for _, state in orders} <= {"filled", "expired_at_venue"}
    assert (halt_id,) in desk.pipeline.sql(HALTS)
    desk.pipeline.until_books_agree()


def worth_closing(desk: Desk) -> list[str]:
    """What is held, but for dust."""
    held = desk.pipeline.json("positions")
    return [f"{one['strategy']} {one['instrument']}" for one in held if abs(float(one["value"])) >= DUST]


def a_signed_one_does(desk: Desk, halt_id: int) -> None:
    """Brought by the same form: the halt ends, and a new order reaches the venue."""
    posts, token = desk.pipeline.posts(), desk.signed(halt_id)
    run_id = desk.ui.trigger("resume_trading")
    bring(desk, run_id, halt_id, token)
    assert desk.pipeline.finish("resume_trading", run_id, HEAL_S) == "success"
    expect(desk.ui.page.get_by_text("Success").first).to_be_visible()
    assert desk.pipeline.json("killswitch", "status")["state"] == "running"
    desk.pipeline.until(lambda: len(desk.pipeline.posts()) > len(posts), HEAL_S, "orders are sent again")
    desk.pipeline.until_books_agree()
    logs = [path for path in (desk.pipeline.home / "logs").rglob("*") if path.is_file()]
    assert logs
    assert [path for path in logs if token.encode() in path.read_bytes()] == []


def bring(desk: Desk, run_id: str, halt_id: int, token: str, option: str = USE) -> None:
    """Under Required Actions, which shows the halt and what to type before it asks."""
    desk.ui.show_form("resume_trading", run_id, "resume")
    stands = f"halt {halt_id} (halt, all, entries cancelled), by airflow:pause"
    expect(desk.ui.page.get_by_text(stands).first).to_be_visible()
    expect(desk.ui.page.get_by_test_id(f"hitl-option-{LEAVE}")).to_be_enabled()
    desk.ui.answer(option, signed_token=token)


def seconds_from_click_to_task(desk: Desk) -> float:
    """One pause, which is released by the token in the DAG's own form."""
    desk.ui.show("/dags/kill_switch")
    clicked_at = desk.ui.throw_switch(on=False)
    halt_id, _ = desk.one(PAUSED, clicked_at)
    desk.pipeline.until(lambda: desk.pipeline.sql(FIRST_TASK, clicked_at) != [(None,)], HEAL_S, "halt_trading runs")
    ((started_at,),) = desk.pipeline.sql(FIRST_TASK, clicked_at)
    desk.nothing_sent_since(desk.effective_at(halt_id))
    desk.ui.throw_switch(on=True)
    run_id = desk.ui.trigger("resume_trading", token=desk.signed(halt_id))
    assert desk.pipeline.finish("resume_trading", run_id, HEAL_S) == "success"
    assert desk.pipeline.sql(HALTS) == []
    return round((started_at - clicked_at).total_seconds(), 1)
