"""`make crash-airflow`: a real Airflow whose parts are killed, paused, stopped and cleared with orders on their way.

ROUNDS (20) is how often each component is killed and the kill switch paused; half as many zombies are stopped and
continued, a quarter as many placings cleared, and one 30-day backfill is asked of every DAG. After each of them both
books must agree. Writes `airflow` in $TRADING_HOME/crash.json.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.e2e import two_books
from tests.e2e.outage import HEAL_S, Outage, rehearsed
from tests.e2e.running_pipeline import RunningPipeline
from trading.config.settings import TradingConfig

MOST_HOURS, MOST_VIOLATIONS = 5, 5
COMPONENTS = ("scheduler", "dag-processor", "triggerer", "api-server")
DAGS = ("ingest_candles", "evaluate_strategies", "place_orders", "reconcile_orders", "kill_switch")
SPAN = ("--from-date", "2026-01-01", "--to-date", "2026-01-30")

NEWEST_PLACING = "SELECT run_id FROM dag_run WHERE dag_id = 'place_orders' AND state = 'running'"
NEWEST_NUMBER = "SELECT coalesce(max(number), 0) FROM trading.run WHERE flow = 'place'"
LATER_PLACING = "SELECT 1 FROM trading.run WHERE flow = 'place' AND number > %s"
PAUSED_AT = "SELECT max(engaged_at) FROM trading.halt_open WHERE author = 'airflow:pause'"
SENT_AFTER = "SELECT client_order_id FROM trading.order_event WHERE state = 'submitting' AND at > %s"
HALTS = "SELECT halt_id, author, reason FROM trading.halt_open"
FROM_A_BACKFILL = """
SELECT client_order_id
FROM trading.order_intent AS i JOIN dag_run AS d ON (d.dag_id, d.run_id) = (i.dag_id, i.run_id)
WHERE d.run_type = 'backfill'
"""


class Campaign:
    """One instance, what is done to it, and how often that was."""

    def __init__(self, outage: Outage, seed: int) -> None:
        self.outage = outage
        self.pipeline = outage.pipeline
        self.random = random.Random(seed)  # noqa: S311 - which fault comes next, again with the same seed
        self.counts: Counter[str] = Counter()

    def rounds(self, rounds: int) -> Iterator[tuple[str, Callable[[], None]]]:
        """Everything that is done, by name, in an order that mixes all kinds."""
        for number in range(rounds):
            for name in COMPONENTS:
                yield f"kill {name}", lambda name=name: self.kill(lambda: self.outage.kill_component(name))
            worker = self.outage.kill_placing if number % 2 else self.outage.kill_workers
            yield "kill worker", lambda worker=worker: self.kill(worker)
            how = signal.SIGKILL if number % 2 else signal.SIGQUIT
            yield "kill postgres", lambda how=how: self.kill(lambda: self.outage.kill_postgres(how))
            yield "pause", self.pause
            if number % 2 == 0:
                yield "zombie", self.zombie
            if number % 4 == 0:
                yield "clear", self.clear
            if number == 0:
                yield "backfill", self.backfill

    def kill(self, strike: Callable[[], None]) -> None:
        """With an order on its way, which the venue has at once, or gets once nobody waits for its answer."""
        self._in_flight()
        strike()

    def pause(self) -> None:
        """Pause the kill switch in flight: nothing is signed after that, also by a placing started by hand."""
        self._in_flight()
        self.pipeline.rest.pause("kill_switch", True)
        ((paused_at,),) = self.pipeline.sql(PAUSED_AT)
        assert paused_at is not None, "the pause did not latch"
        run_id = self.pipeline.rest.trigger("place_orders")  # waits for the one that is under way
        self.pipeline.finish("place_orders", run_id, HEAL_S)
        late = self.pipeline.sql(SENT_AFTER, paused_at)
        assert not late, f"signed after the pause at {paused_at}: {late}"
        self.outage.until_healed()  # no override ends a halt while an outcome is unknown
        self.pipeline.rest.pause("kill_switch", False)
        for halt_id, _, _ in self.pipeline.sql(HALTS):
            signed = self.pipeline.cli(
                "killswitch", "sign", "--halt", str(halt_id), "--reason", "the rehearsal is over"
            )
            resumed = self.pipeline.cli("killswitch", "resume", given=signed.stdout)
            assert resumed.returncode == 0, signed.stderr + resumed.stderr
        self.pipeline.run("kill_switch")

    def zombie(self) -> None:
        """A placing stands still until Airflow has given it up and the next one has run, and then goes on."""
        self._in_flight()
        ((before,),) = self.pipeline.sql(NEWEST_NUMBER)
        stopped = self.outage.placing()
        assert stopped, "no process of the placing was found"
        for process in stopped:
            process.suspend()
        try:
            self.outage.until(lambda: not self.outage.placing(), HEAL_S, "Airflow gives the silent placing up")
            self.outage.until(lambda: self.pipeline.sql(LATER_PLACING, before), HEAL_S, "another placing has run")
        finally:
            for process in stopped:
                process.resume()
        placing = stopped[-1]  # below its worker, which goes on
        self.outage.until(lambda: not placing.is_running(), HEAL_S, "the continued placing has ended")

    def clear(self) -> None:
        """A placing is cleared while its order is in flight, and again when it has ended."""
        self._in_flight()
        ((run_id,),) = self.pipeline.sql(NEWEST_PLACING)
        for _ in range(2):
            self.pipeline.rest.clear("place_orders", run_id)
            self.pipeline.finish("place_orders", run_id, HEAL_S)

    def backfill(self) -> None:
        """Thirty days of every DAG that trades or feeds what trades: refused, and no order comes of it."""
        for dag_id in DAGS:
            answer = self.pipeline.cli("airflow", "--", "backfill", "create", "--dag-id", dag_id, *SPAN)
            said = answer.stdout + answer.stderr
            assert "does not allow backfill runs" in said, f"{dag_id} took a backfill: {said[-300:]}"

    def judge(self) -> None:
        """All is well again: both books agree, one POST an intent, no halt stands, no order is a backfill's."""
        self.outage.until_healed()
        assert not (halts := self.pipeline.sql(HALTS)), f"halted: {halts}"
        assert not (orders := self.pipeline.sql(FROM_A_BACKFILL)), f"ordered by a backfill: {orders}"
        late = two_books.signed_otherwise(self.pipeline.book, self.pipeline.database_url())
        assert not late, f"not signed with the committed time: {late}"

    def _in_flight(self) -> None:
        self.outage.order_in_flight(self.random.choice(("delay", "late")))


def run(campaign: Campaign, rounds: int) -> list[str]:
    """Everything in turn, until too much is wrong; each violation in words."""
    found: list[str] = []
    plan = list(campaign.rounds(rounds))
    deadline = time.monotonic() + MOST_HOURS * 3600
    for number, (name, do) in enumerate(plan, start=1):
        began = time.monotonic()
        try:
            assert began < deadline, f"not done within {MOST_HOURS} hours"
            do()
            campaign.judge()
        except Exception as wrong:  # noqa: BLE001 - whatever it is, it is the result
            say(f"[{number}/{len(plan)}] {name}: {type(wrong).__name__}: {wrong}")
            found.append(f"{name}, number {number}: {type(wrong).__name__}: {str(wrong).splitlines()[0]}")
            if len(found) == MOST_VIOLATIONS or campaign.pipeline.process.poll() is not None:
                break
            continue
        campaign.counts[name] += 1
        seconds, orders = time.monotonic() - began, len(campaign.pipeline.posts())
        say(f"[{number}/{len(plan)}] {name}: well after {seconds:.0f} s, {orders} orders")
    return found


def summary(campaign: Campaign, seed: int, found: list[str], began: float) -> dict[str, object]:
    """What was done, and everything that is wrong in the end."""
    pipeline = campaign.pipeline
    wrong = found + two_books.differences(pipeline.book, pipeline.database_url())
    wrong += [f"{name} never happened" for name in dict(campaign.rounds(1)) if not campaign.counts[name]]
    return {
        "kills": sum(count for name, count in campaign.counts.items() if name.startswith("kill")),
        "violations": len(wrong),
        "seeds": [seed],
        "counts": dict(campaign.counts),
        "orders": len(pipeline.posts()),
        "fills": two_books.fill_count(pipeline.book),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "found": wrong,
    }


def main() -> int:
    """Start an instance, do it, write the summary; where something is wrong its folder is kept."""
    rounds = int(os.environ.get("ROUNDS") or 20)
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    say(f"make crash-airflow ROUNDS={rounds} SEED={seed}")
    began = time.monotonic()
    pipeline = RunningPipeline()
    result: dict[str, object] = {"violations": 1}
    try:
        pipeline.start(rehearsed(restarts=1_000))
        campaign = Campaign(Outage(pipeline.ensure_running()), seed)
        result = summary(campaign, seed, run(campaign, rounds), began)
    finally:
        if result["violations"]:
            pipeline.ensure_stopped()
            say(f"kept for whoever looks into it: {pipeline.folder}")
        else:
            pipeline.remove()
    _write(TradingConfig.from_env().home / "crash.json", result)
    say(json.dumps(result))
    say("something is wrong: see `found`" if result["violations"] else "the two books agree, and nothing was violated")
    return 1 if result["violations"] else 0


def say(line: str) -> None:
    """For people, and at once: the next line may be minutes away."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _write(path: Path, result: dict[str, object]) -> None:
    """Beside what the other harnesses left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | {"airflow": result}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
