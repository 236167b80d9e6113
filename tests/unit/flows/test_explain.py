"""Why a run did or did not trade: a line a step, with the figures behind it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.desk import Desk, plan, portfolio
from tests.examples import ACCOUNT
from trading.domain.ids import Run
from trading.errors import ConfigurationError, TradingHalted
from trading.flows.explain import Explain, Explanation, Step
from trading.flows.place import Place


def explained(desk: Desk, run_id: str | None = None) -> Explanation:
    return Explain(desk.ledger, account=ACCOUNT).run(run_id)


def steps(explanation: Explanation, stage: str) -> list[Step]:
    return [step for step in explanation.steps if step.stage == stage]


@pytest.fixture
def desk() -> Desk:
    desk = Desk(volume=1_000_000.0)
    desk.open().next_minute()
    return desk


def test_the_newest_placing_from_signal_to_order(desk: Desk) -> None:
    """Without an id: decision, gates, sizes and orders of the newest placing, in that order."""
    desk.cycle()
    explanation = explained(desk)
    assert list(dict.fromkeys(step.stage for step in explanation.steps)) == ["run", "signal", "gates", "size", "order"]
    (signal,) = steps(explanation, "signal")
    assert signal.text.startswith("sma as of 2026-03-02 12:01:00Z: decided: BTC/USDT 0.5, ETH/USDT 0.3")
    (gates,) = steps(explanation, "gates")
    assert gates.text.startswith("now running · lease until 2026-03-02 12:04:02Z")
    btc, eth = sorted(steps(explanation, "size"), key=lambda step: str(step.facts["instrument"]))
    assert (btc.facts["weight"], btc.facts["target"], btc.facts["outcome"]) == (Decimal("0.5"), Decimal(250), "planned")
    assert btc.text == "sma BTC/USDT: weight 0.5, target 250, held 0, on its way 0, delta 250: planned"
    assert eth.facts["target"] == Decimal(1500)
    for step in steps(explanation, "order"):
        assert step.facts["state"] == "filled"
        assert step.facts["quantity"] == step.facts["filled_quantity"]
        events = step.facts["events"]
        assert isinstance(events, list)
        assert [event["state"] for event in events] == ["planned", "submitting", "accepted", "filled"]
        assert "checks allowed" in step.text


def test_a_line_a_step(desk: Desk) -> None:
    """Lines for people are single lines that start with their stage."""
    desk.cycle()
    explanation = explained(desk)
    lines = explanation.lines()
    assert len(lines) == len(explanation.steps)
    assert not any("\n" in line for line in lines)
    assert [line.split()[0] for line in lines] == [step.stage for step in explanation.steps]


def test_a_halt_is_named(desk: Desk) -> None:
    """A placing that the kill switch kept back: its own words, the halt, and the checks' figures on each order."""
    halt_id = desk.halt("the venue answers nonsense")
    with pytest.raises(TradingHalted):
        desk.cycle()
    explanation = explained(desk)
    assert "place skipped" in steps(explanation, "run")[0].text
    assert "2 orders were ready and none was sent" in steps(explanation, "run")[0].text
    first, halt = steps(explanation, "gates")
    assert first.text.startswith("now halt")
    assert halt.text.startswith(f"halt {halt_id} (halt, all) by ada since 2026-03-02")
    assert halt.text.endswith("the venue answers nonsense")
    for order in steps(explanation, "order"):
        assert order.facts["state"] == "planned"
        assert "checks deferred kill_switch" in order.text
        assert "state=halt" in order.text


def test_a_denied_order_shows_the_limit(desk: Desk) -> None:
    """The code that spoke against it, with its figures."""
    desk.limit(max_order_notional=Decimal(20_000))
    desk.cycle()
    denied = [step for step in steps(explained(desk), "order") if step.facts["state"] == "denied"]
    assert [step.facts["instrument"] for step in denied] == ["BTC/USDT"]
    assert "checks denied max_order_notional" in denied[0].text
    assert "20000" in denied[0].text


def test_nothing_to_do_is_a_reason(desk: Desk) -> None:
    """Where the target is held, the size says why nothing is sent, and there is no order step."""
    desk.portfolio = replace(desk.portfolio, strategies=(plan(rebalance_threshold_bps=Decimal(500)),))
    desk.cycle()
    desk.next_minute()
    desk.cycle()
    explanation = explained(desk)
    assert steps(explanation, "order") == []
    for step in steps(explanation, "size"):
        assert "below the rebalance threshold" in str(step.facts["outcome"])


def test_an_older_run_keeps_its_own_decision(desk: Desk) -> None:
    """Asked for an older placing, the decision that it served is shown, not the newest one."""
    desk.cycle()
    first = explained(desk).run_id
    desk.next_minute()
    desk.decide(sma=(0.1, 0.1))
    desk.cycle()
    assert explained(desk).run_id != first
    (signal,) = steps(explained(desk, first), "signal")
    assert "12:01:00Z: decided: BTC/USDT 0.5" in signal.text


def test_the_runs_that_woke_it(desk: Desk) -> None:
    """The causes of an asset-triggered run stand beside it."""
    desk.lease()
    desk.ingest()
    desk.evaluate()
    woken_by = desk.read(lambda books: books.runs.recent("evaluate", 1))[0].run.run_id
    placer: Place = desk.placer()
    placer.run(Run(run_id="place_orders__x", dag_id="place_orders", causes=(woken_by,)), lambda: False)
    (cause,) = steps(explained(desk, "place_orders__x"), "cause")
    assert cause.facts["run_id"] == woken_by
    assert "evaluate done" in cause.text


def test_other_flows_say_what_they_did(desk: Desk) -> None:
    """An evaluation shows its decisions; ingest and reconcile their counts."""
    desk.cycle()
    newest = {flow: desk.read(lambda books, f=flow: books.runs.recent(f, 1))[0] for flow in ("evaluate", "ingest")}
    evaluation = explained(desk, newest["evaluate"].run.run_id)
    assert [step.stage for step in evaluation.steps] == ["run", "signal"]
    (ingestion,) = explained(desk, newest["ingest"].run.run_id).steps
    assert "ingest done" in ingestion.text
    assert "candles 2" in ingestion.text


def test_a_strategy_that_never_decided(desk: Desk) -> None:
    """No decision is a reason too, and says what makes one."""
    desk.lease()
    desk.ingest()
    desk.place()
    (signal,) = steps(explained(desk), "signal")
    assert "no decision is stored" in signal.text
    assert {step.facts["outcome"] for step in steps(explained(desk), "size")} == {"no_decision"}


def test_an_order_on_its_way_is_shown() -> None:
    """Where a resting order keeps a second one back, that order is shown."""
    desk = Desk(volume=1_000_000.0, portfolio_=portfolio(order_type="limit"))
    desk.open().next_minute()
    desk.cycle()
    desk.place()
    explanation = explained(desk)
    held_back = {s.facts["instrument"] for s in steps(explanation, "size") if "on its way" in str(s.facts["outcome"])}
    assert held_back == {s.facts["instrument"] for s in steps(explanation, "order")}
    assert held_back


def test_before_anything_was_placed() -> None:
    """A fresh account says what has to run first, and that it is halted."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    explanation = explained(desk)
    assert explanation.run_id == ""
    lines = explanation.lines()
    assert "nothing has been placed yet" in lines[0]
    assert any("ingest has never run: `trading ingest`" in line for line in lines)
    assert any("halt 1 (halt, all) by" in line and "fresh installation" in line for line in lines)


def test_an_unknown_run_is_answered_with_known_ones(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="unknown run 'nope'") as caught:
        explained(desk, "nope")
    newest = desk.read(lambda books: books.runs.recent(None, 5))
    assert all(record.run.run_id in str(caught.value) for record in newest)


def test_an_unknown_run_of_an_empty_ledger() -> None:
    with pytest.raises(ConfigurationError, match="there is none yet"):
        explained(Desk(), "nope")
