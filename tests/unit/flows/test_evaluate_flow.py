"""Evaluate: the newest complete close, decided once; a gap decides nothing; a failing strategy fails alone."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.desk import Behind, Desk, constant, plan, portfolio
from tests.examples import BTC, ETH, T0
from trading.domain.decision import Decision, DecisionStatus
from trading.domain.market import CandleSeries, Panel, to_ms
from trading.errors import DatabaseUnavailable, TradingError
from trading.flows.evaluate import newest_complete_close

MINUTE_MS = 60_000


def newest(desk: Desk, strategy: str = "sma") -> Decision:
    return desk.read(lambda books: books.decisions.newest(strategy))


def store(desk: Desk, symbol: str, *opens_ms: int, close: float = 100.0) -> None:
    rows = [(open_ms, close, close, close, close, 1.0) for open_ms in opens_ms]
    run = desk.run_of("test")
    with desk.memory_ledger.transaction() as books:
        books.candles.upsert(symbol, "1m", CandleSeries.from_rows(rows), at=desk.clock.now(), run=run)


def test_a_close_is_decided_with_its_weights_and_a_hash_of_its_inputs() -> None:
    """At 12:00:02 the decision is for 12:00, weights quantised, its run named."""
    desk = Desk(weights={"sma": constant(0.12345678, 0.3)})
    desk.ingest()
    report = desk.evaluate()
    decision = newest(desk)
    assert report.decisions == (decision,)
    assert decision.as_of == T0
    assert decision.weights == {BTC.symbol: Decimal("0.123456"), ETH.symbol: Decimal("0.3")}
    assert decision.input_hash
    assert decision.run_id.startswith("evaluate__")


def test_the_first_decision_wins_and_a_differing_recomputation_is_only_noted() -> None:
    """The same close evaluated again changes nothing; with other weights it is a revision, and the first stands."""
    desk = Desk()
    desk.ingest()
    desk.evaluate()
    first = newest(desk)
    assert desk.evaluate().counts["decisions"] == 0
    desk.decide(sma=(0.1, 0.1))
    report = desk.evaluate()
    assert (report.counts["decisions"], report.counts["revisions"]) == (0, 1)
    assert newest(desk) == first


def test_a_database_that_fails_is_no_failure_of_a_strategy() -> None:
    """Neither could any other one store its decision: the flow fails as what it is, and may be done again."""
    desk = Desk(portfolio_=portfolio(plan("one"), plan("two")))
    desk.ingest()
    asked: list[int] = []

    def transaction() -> Any:
        asked.append(1)
        if len(asked) == 2:  # the first one records the run's start
            raise DatabaseUnavailable("gone")
        return desk.store.transaction()

    desk.ledger = Behind(desk.store, transaction=transaction)
    with pytest.raises(DatabaseUnavailable):
        desk.evaluate()
    assert len(asked) == 3  # and the third one its end


NEWEST = {BTC.symbol: to_ms(T0), ETH.symbol: to_ms(T0)}
LATE = NEWEST | {ETH.symbol: to_ms(T0) - MINUTE_MS}
CLOSE = T0 + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("stored", "seconds", "expected"),
    [
        ({}, 3600, None),
        (NEWEST, 0, CLOSE),
        (LATE, 19.9, CLOSE - timedelta(minutes=1)),
        (LATE, 20, CLOSE),
        ({BTC.symbol: to_ms(T0)}, 19.9, None),
        ({BTC.symbol: to_ms(T0)}, 20, CLOSE),
    ],
    ids=["nothing", "complete", "one is late", "grace is over", "one never came", "one never came, grace is over"],
)
def test_as_of_is_the_newest_close_that_is_complete_or_past_its_grace(
    stored: dict[str, int], seconds: float, expected: Any
) -> None:
    """The rule of as_of, case by case, with a grace of 20 s."""
    assert newest_complete_close(plan(grace_s=20), stored, CLOSE + timedelta(seconds=seconds)) == expected


def test_a_gap_in_the_window_gives_no_signal() -> None:
    """The window of two candles lacks one of ETH: nothing is filled in, and the reason says how many."""
    desk = Desk()
    opens = to_ms(T0) - 2 * MINUTE_MS, to_ms(T0) - MINUTE_MS
    store(desk, BTC.symbol, *opens)
    store(desk, ETH.symbol, opens[1])
    report = desk.evaluate()
    decision = newest(desk)
    assert (decision.status, dict(decision.weights)) == (DecisionStatus.NO_SIGNAL, {})
    assert "ETH/USDT 1" in decision.reason
    assert report.counts["no_signal"] == 1
    assert report.decisions == ()


def test_weights_that_are_no_numbers_give_no_signal() -> None:
    """A strategy that has none yet says NaN."""
    desk = Desk(weights={"sma": constant(float("nan"), float("nan"))})
    desk.ingest()
    desk.evaluate()
    assert newest(desk).status is DecisionStatus.NO_SIGNAL


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (constant(float("nan"), 0.1), "expected a weight of 0 to 1 for BTC/USDT, got nan"),
        (constant(0.1, 0.1, 0.1), "expected weights as float64 (2, 2), got float64 (2, 3)"),
        (lambda panel: [[0.1, 0.1]], "expected weights as float64 (2, 2), got list"),
        (lambda panel: panel.nothing, "strategy sma raised AttributeError"),
    ],
)
def test_a_strategy_that_breaks_its_contract_is_named_and_stops_no_other(weights: Any, told: str) -> None:
    """One sentence, and the other strategy decides."""
    desk = Desk(portfolio_=portfolio(plan(allocation=Decimal("0.4")), plan("two", allocation=Decimal("0.4"))))
    desk.weights = {"sma": weights}
    desk.ingest()
    report = desk.evaluate()
    assert told in report.failed["sma"]
    assert [decision.strategy for decision in report.decisions] == ["two"]


def test_closes_that_nobody_looked_at_are_rows() -> None:
    """Three minutes without an evaluation leave two missed closes before the decision of the third."""
    desk = Desk()
    desk.ingest()
    desk.evaluate()
    for _ in range(3):
        desk.next_minute()
    desk.ingest()
    report = desk.evaluate()
    rows = desk.read(lambda books: books.decisions.by_run(report.decisions[0].run_id))
    assert [(row.as_of - T0, str(row.status)) for row in rows] == [
        (timedelta(minutes=1), "missed"),
        (timedelta(minutes=2), "missed"),
        (timedelta(minutes=3), "decided"),
    ]
    assert report.missed == 2


@pytest.mark.parametrize("error", [RuntimeError("bug"), ZeroDivisionError(), AttributeError("x"), AssertionError()])
def test_whatever_a_strategy_raises_the_others_decide(error: Exception) -> None:
    """A strategy is a user's code: any exception of it is its own failure, named in the report."""

    def broken(panel: Panel) -> NDArray[np.float64]:
        raise error

    desk = Desk(portfolio_=portfolio(plan("bad"), plan("good")), weights={"bad": broken, "good": constant(0.1, 0.1)})
    desk.ingest()
    report = desk.evaluate()
    assert [decision.strategy for decision in report.decisions] == ["good"]
    assert type(error).__name__ in report.failed["bad"]
    assert newest(desk, "bad") is None


@pytest.mark.parametrize(
    "weights", [constant(0.7, 0.7), constant(-0.1, 0.0), constant(0.1), constant(float("inf"), 0.0)]
)
def test_impossible_weights_fail_the_strategy(weights: Any) -> None:
    """Weights below 0, beyond 1 together, infinite or too few are never stored; all failing fails the run."""
    desk = Desk(weights={"sma": weights})
    desk.ingest()
    with pytest.raises(TradingError, match="every strategy failed"):
        desk.evaluate()
    assert newest(desk) is None


def test_a_decision_depends_on_nothing_after_its_close() -> None:
    """The panel that a strategy sees ends at as_of, though a newer candle of one instrument is stored."""
    seen: list[int] = []

    def looks(panel: Panel) -> NDArray[np.float64]:
        seen.append(int(panel.open_ms[-1]))
        return np.zeros((len(panel), 2))

    desk = Desk(weights={"sma": looks})
    desk.ingest()
    store(desk, BTC.symbol, to_ms(T0))
    desk.clock.advance(60)  # 12:01:02: BTC's newest candle is there, ETH's is not, and its grace runs
    desk.evaluate()
    assert seen == [to_ms(T0) - MINUTE_MS]
    assert newest(desk).as_of == T0
