"""The straight line through a real Airflow, from candle to reconciled fill, judged from outside.

The tests share one instance and run in this order; each also runs alone.
"""

import csv
import gzip
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import two_books
from tests.e2e.running_pipeline import CANDLE_S, ROOT, RunningPipeline

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

SAMPLE = ROOT / "trading" / "paper" / "sample"
UNIT = Decimal("0.00000001")
FEE, SLIPPAGE, SHARE = Decimal("0.001"), Decimal("0.0002"), Decimal("0.1")
#: Ids that are made outside Airflow's runs.
OUTSIDE = ("supervisor__", "cli__", "exchange__", "alerts__")

WRITTEN_IDS = """
SELECT run_id, 'client_order_id', client_order_id FROM trading.order_intent
UNION SELECT run_id, 'client_order_id', client_order_id FROM trading.order_event
UNION SELECT run_id, 'trade_id', venue_fill_id FROM trading.fill
UNION SELECT run_id, 'strategy', strategy FROM trading.decision WHERE status = 'decided'
"""

#: Placings since an instant that had orders ready and sent none of them because of the kill switch.
HELD_BACK = """
SELECT run_id
FROM trading.run
WHERE flow = 'place' AND outcome = 'skipped' AND started_at > %s AND message LIKE '%%none was sent: kill_switch%%'
ORDER BY number
"""


def test_the_first_cycle_trades_and_both_books_agree(pipeline: RunningPipeline) -> None:
    assert pipeline.sql("SELECT count(*) FROM trading.order_event WHERE state = 'accepted'")[0][0] > 0
    assert pipeline.sql("SELECT count(*) FROM trading.fill")[0][0] > 0
    pipeline.until_books_agree()
    assert two_books.fill_count(pipeline.book) > 0
    assert pipeline.sql("SELECT * FROM trading.discrepancy") == []


@pytest.mark.parametrize(
    "plant",
    [
        ("fills", "commission", "trade_id"),
        ("fills", "price", "trade_id"),
        ("fills", "qty", "trade_id"),
        ("balances", "free", "asset"),
    ],
    ids="-".join,
)
def test_a_difference_of_one_unit_is_found(pipeline: RunningPipeline, tmp_path: Path, plant: tuple[str, ...]) -> None:
    """The comparison of both books is not blind: one unit in the last place of a copy is the only difference."""
    table, column, key = plant
    copy = tmp_path / "book.sqlite"

    def copied() -> bool:
        copy.unlink(missing_ok=True)
        with sqlite3.connect(f"file:{pipeline.book}?mode=ro", uri=True) as book, sqlite3.connect(copy) as target:
            book.backup(target)
        return two_books.differences(copy, pipeline.database_url()) == []

    pipeline.until(copied, CANDLE_S, "a copy of the book agrees with the ledger")
    with sqlite3.connect(copy) as book:
        name, value = book.execute(f"SELECT {key}, {column} FROM {table}").fetchone()  # noqa: S608 - our own names
        changed = f"UPDATE {table} SET {column} = ? WHERE {key} = ?"  # noqa: S608 - as above
        book.execute(changed, (str(Decimal(value) + UNIT), name))
    found = two_books.differences(copy, pipeline.database_url())
    assert len(found) == 1
    assert str(name) in found[0]


def test_every_fill_is_what_the_shipped_candle_gives(pipeline: RunningPipeline) -> None:
    """Price, most quantity and fee, worked out from the sample's file: open, slippage, a tenth of the volume, 0.1 %."""
    shift_ms = int(pipeline.venue("SELECT value FROM meta WHERE key = 'shift_ms'")[0][0])
    candles = {symbol: dict(shipped_candles(symbol)) for symbol in ("BTC", "ETH", "SOL")}
    taken: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    fills = pipeline.venue("SELECT symbol, side, price, qty, commission, candle_open_ms, time_ms FROM fills")
    assert len(fills) >= 2
    for symbol, side, price, qty, commission, open_ms, time_ms in fills:
        assert open_ms <= time_ms < open_ms + 60_000
        row = candles[symbol.removesuffix("USDT")]
        candle, before = row[open_ms - shift_ms], row[open_ms - shift_ms - 60_000]
        buys = side == "BUY"
        moved = Decimal(candle["open"]) * (1 + SLIPPAGE if buys else 1 - SLIPPAGE)
        # the tick of all three instruments is 0.01
        assert Decimal(price) == moved.quantize(Decimal("0.01"), rounding=ROUND_CEILING if buys else ROUND_FLOOR)
        received = Decimal(qty) if buys else Decimal(qty) * Decimal(price)
        assert Decimal(commission) == (received * FEE).quantize(UNIT, rounding=ROUND_DOWN)
        taken[symbol, open_ms] += Decimal(qty)
        assert taken[symbol, open_ms] <= Decimal(before["volume"]) * SHARE


def test_airflows_command_line_is_this_instances_and_a_backfill_never_trades(pipeline: RunningPipeline) -> None:
    listed = pipeline.cli("airflow", "--", "dags", "list", "--output", "json")
    assert listed.returncode == 0, listed.stderr
    dags = json.loads(listed.stdout.splitlines()[-1])  # after Airflow's own log lines
    assert "place_orders" in {dag["dag_id"] for dag in dags}
    span = ("--from-date", "2026-01-01", "--to-date", "2026-01-02")
    refused = pipeline.cli("airflow", "--", "backfill", "create", "--dag-id", "place_orders", *span)
    assert refused.returncode != 0
    assert "does not allow backfill runs" in refused.stdout + refused.stderr
    assert pipeline.sql("SELECT 1 FROM dag_run WHERE run_type = 'backfill' AND dag_id = 'place_orders'") == []


def test_runs_that_are_cleared_or_triggered_by_hand_send_nothing_twice(pipeline: RunningPipeline) -> None:
    """Evaluating and placing again, by whatever way, leads to the same ids: no POST without its own intent."""
    (evaluated,), (placed,) = newest_run(pipeline, "evaluate", "decisions"), newest_run(pipeline, "place", "sent")
    sent = pipeline.sql("SELECT client_order_id FROM trading.order_intent WHERE run_id = %s", placed)
    for dag_id, run_id in (("evaluate_strategies", evaluated), ("place_orders", placed)):
        pipeline.rest.clear(dag_id, run_id)
        assert pipeline.finish(dag_id, run_id) == "success"
        assert all(state == ("success", 2) for state in pipeline.rest.tasks(dag_id, run_id).values())
        by_hand = pipeline.run(dag_id)
        assert pipeline.rest.state(dag_id, by_hand) == "success"
    pipeline.until_books_agree()
    posts = pipeline.posts()
    assert [posts.count(client_order_id) for (client_order_id,) in sent] == [1] * len(sent)
    assert len(set(posts)) == len(posts)


def test_with_the_kill_switch_paused_nothing_is_sent_and_the_run_says_why(pipeline: RunningPipeline) -> None:
    """The pause latches at once; runs with allowed orders send none of them, also once the DAG is unpaused."""
    pipeline.rest.pause("kill_switch", True)
    ((paused_at,),) = pipeline.sql("SELECT max(engaged_at) FROM trading.halt_open WHERE author = 'airflow:pause'")
    assert paused_at is not None
    underway = "SELECT 1 FROM trading.run WHERE flow = 'place' AND outcome = 'running' AND resumed_at < %s"
    pipeline.until(lambda: not pipeline.sql(underway, paused_at), CANDLE_S, "earlier placings have ended")
    posts = pipeline.posts()

    def held_back() -> list[str]:
        return [run_id for (run_id,) in pipeline.sql(HELD_BACK, paused_at)]

    pipeline.until(held_back, CANDLE_S, "a placing had orders ready and sent none")
    deferred = "SELECT codes FROM trading.order_check WHERE verdict = 'deferred' AND run_id = %s"
    assert (["kill_switch"],) in pipeline.sql(deferred, held_back()[0])  # fresh, and allowed by all else
    pipeline.run("place_orders")
    pipeline.until(lambda: len(held_back()) > 1, CANDLE_S, "a second placing was kept back")
    run_id = held_back()[0]
    assert pipeline.rest.tasks("place_orders", run_id)["place"][0] == "skipped"
    said = {line["event"]: line for line in pipeline.lines() if line["correlation_id"] == run_id and "event" in line}
    assert "kill_switch" in said["order_deferred"]["reason"]
    assert "none was sent: kill_switch" in said["run_skipped"]["reason"]
    gates = [step for step in pipeline.json("why", run_id)["steps"] if step["stage"] == "gates"]
    assert gates[0]["state"] == "halt"
    assert any(halt["author"] == "airflow:pause" for halt in gates[0]["halts"])

    pipeline.rest.pause("kill_switch", False)
    pipeline.run("kill_switch")
    pipeline.run("place_orders")
    assert pipeline.posts() == posts


def test_a_halt_outlives_a_restart_which_ends_with_the_reason(pipeline: RunningPipeline) -> None:
    """Everything stopped and started: nothing is sent twice, nothing at all, and the last lines say why nothing is."""
    if not pipeline.json("killswitch", "status")["halts"]:
        pipeline.cli("killswitch", "engage", "--yes", "--reason", "the test wants a halt")
    posts = pipeline.posts()
    assert pipeline.stop() == 0
    pipeline.ensure_running()
    said = pipeline.person.read_text()
    summary, why = said.split("After the first cycle:")[1].split("run ", 1)
    assert re.search(r"^ +orders +0$", summary, re.MULTILINE)
    assert "gates   now halt" in why
    for halt in pipeline.json("killswitch", "status")["halts"]:
        assert f"gates   halt {halt['halt_id']} ({halt['level']}, {halt['scope']}) by {halt['author']}" in why
    assert pipeline.posts() == posts
    pipeline.until_books_agree()


def test_a_signed_override_lets_orders_flow_again(pipeline: RunningPipeline) -> None:
    """Only a token for exactly this halt ends it; the next orders are fresh ones."""
    posts = pipeline.posts()
    for halt in pipeline.json("killswitch", "status")["halts"]:
        signed = pipeline.cli("killswitch", "sign", "--halt", str(halt["halt_id"]), "--reason", "the test has seen it")
        assert signed.returncode == 0, signed.stderr
        resumed = pipeline.cli("killswitch", "resume", given=signed.stdout)
        assert resumed.returncode == 0, resumed.stderr
        again = pipeline.cli("killswitch", "resume", given=signed.stdout)
        assert again.returncode == 77
    assert pipeline.json("killswitch", "status")["state"] == "running"
    pipeline.until(lambda: len(pipeline.posts()) > len(posts), CANDLE_S, "orders are sent again")
    pipeline.until_books_agree()
    assert pipeline.sql("SELECT * FROM trading.discrepancy") == []


def test_every_line_of_the_log_is_json_and_names_its_run(pipeline: RunningPipeline) -> None:
    """Lines of DAG runs carry the id of a run that this Airflow knows, each id with one DAG."""
    lines = pipeline.lines()
    runs = pipeline.rest.run_ids()
    dags: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        assert {"timestamp", "level", "logger", "message"} <= line.keys(), line
        if line["service"] == "task":
            assert (line["dag_id"], line["correlation_id"]) in runs, line
            assert line["run_id"] == line["correlation_id"], line
            dags[line["correlation_id"]].add(line["dag_id"])
        else:
            assert (line["correlation_id"] or OUTSIDE[0]).startswith(OUTSIDE), line
    assert {len(names) for names in dags.values()} == {1}
    chain = {"ingest_candles", "evaluate_strategies", "place_orders", "reconcile_orders", "kill_switch"}
    # one runs where somebody has halted, the other where somebody asked for a backfill
    assert set.union(*dags.values()) - {"halt_trading", "backfill_candles"} == chain


def test_a_runs_lines_hold_its_start_its_end_and_every_id_that_it_wrote(pipeline: RunningPipeline) -> None:
    flows = pipeline.sql("SELECT run_id, flow FROM trading.run WHERE outcome = 'done'")
    ids = pipeline.sql(WRITTEN_IDS)
    said: dict[str, set[tuple[str, Any]]] = defaultdict(set)
    for line in pipeline.lines():
        said[line["correlation_id"]] |= {(name, value) for name, value in line.items() if isinstance(value, str)}
        if "flow" in line:
            said[line["correlation_id"]].add((line["event"], line["flow"]))
    assert len(flows) > 5
    for run_id, flow in flows:
        assert {("run_started", flow), ("run_finished", flow)} <= said[run_id]
    assert {name for _, name, _ in ids} == {"client_order_id", "trade_id", "strategy"}
    missing = [(run_id, name, value) for run_id, name, value in ids if (name, value) not in said[run_id]]
    assert missing == []


def test_airflows_own_log_of_the_placing_carries_the_same_correlation_id(pipeline: RunningPipeline) -> None:
    """What the UI shows of the task `place` has our events, each under the run's id."""
    (run_id,) = newest_run(pipeline, "place", "sent")
    shown = [line for line in pipeline.rest.task_log("place_orders", run_id, "place") if "correlation_id" in line]
    assert {line["correlation_id"] for line in shown} == {run_id}
    ours = [line for line in pipeline.lines() if line["correlation_id"] == run_id and line.get("task_id") == "place"]
    for event in ("run_started", "order_signed", "order_accepted", "run_finished"):
        expected = [line.get("client_order_id") for line in ours if line.get("event") == event]
        assert expected
        assert [line.get("client_order_id") for line in shown if line["event"] == event] == expected


def newest_run(pipeline: RunningPipeline, flow: str, count: str) -> tuple[str]:
    """The newest ended run of a flow that counted some of what is asked for."""
    query = """
        SELECT r.run_id
        FROM trading.run AS r JOIN dag_run AS d ON (d.dag_id, d.run_id) = (r.dag_id, r.run_id)
        WHERE r.flow = %s AND r.outcome = 'done' AND (r.counts ->> %s)::integer > 0 AND d.state = 'success'
        ORDER BY r.number DESC
        LIMIT 1
    """
    pipeline.until(lambda: pipeline.sql(query, flow, count), CANDLE_S, f"a run of {flow} with {count} has ended")
    return pipeline.sql(query, flow, count)[0]


def shipped_candles(base: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The sample's candles of an instrument by their open in milliseconds."""
    with gzip.open(SAMPLE / f"{base}-USDT_1m.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            yield int(row["timestamp_ms"]), row
