"""Replay: the same decisions from the same candles, and in words where not; nothing that trades is touched."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk import Desk, constant, plan, portfolio
from tests.examples import BTC, MINUTE, RUN, T0
from trading.domain.decision import DecisionStatus
from trading.domain.market import CandleSeries, to_ms
from trading.domain.replay import ReplayVerdict
from trading.errors import ConfigurationError
from trading.flows.replay import Replay, ReplayReport


def lived(minutes: int = 4) -> Desk:
    """A desk that decided at each close of some minutes."""
    desk = Desk()
    for _ in range(minutes):
        desk.ingest()
        desk.evaluate()
        desk.next_minute()
    return desk


def replayed(desk: Desk, *, since_minutes: int = -1, until_minutes: int = 3) -> ReplayReport:
    flow = Replay(desk.ledger, desk.clock, desk.strategies())
    return flow.run(desk.run_of("replay"), since=T0 + since_minutes * MINUTE, until=T0 + until_minutes * MINUTE)


def restate(desk: Desk, close: float) -> None:
    """The venue tells another close of the minute before T0, later."""
    series = CandleSeries.from_rows([(to_ms(T0 - MINUTE), close, close, close, close, 1.0)])
    with desk.store.transaction() as books:
        books.candles.upsert(BTC.symbol, "1m", series, at=desk.clock.now(), run=RUN)


def test_a_replay_of_what_was_decided_says_the_same() -> None:
    """A line a close, kept under the replay's run; decisions, orders and revisions stay as they were."""
    desk = lived()
    before = desk.read(lambda books: books.decisions.between("sma", since=T0 - MINUTE, until=T0 + 9 * MINUTE))
    report = replayed(desk)
    assert report.counts == {"same": 4, "restated": 0, "not_decided": 0, "differs": 0, "failed_strategies": 0}
    assert desk.read(lambda books: books.replays.by_run(type(RUN)(run_id="replay__9", dag_id="replay"))) == list(
        report.lines
    )
    after = desk.read(lambda books: books.decisions.between("sma", since=T0 - MINUTE, until=T0 + 9 * MINUTE))
    assert (after, desk.memory_ledger._books.decisions.revisions(), desk.orders()) == (before, [], [])


def by_close(panel):  # type: ignore[no-untyped-def]
    """A share that follows from the newest closes alone."""
    return panel.close / panel.close.sum(axis=1, keepdims=True) / 2


def test_restated_candles_explain_a_difference() -> None:
    """From the candles as they were known then, the decision is the same."""
    desk = Desk(weights={"sma": by_close})
    desk.ingest()
    desk.evaluate()
    desk.next_minute()
    restate(desk, 50.0)
    report = replayed(desk, until_minutes=0)
    assert [(line.verdict, line.explanation) for line in report.lines] == [
        (ReplayVerdict.RESTATED, "candles of its window were restated or came late")
    ]


def test_what_nothing_explains_is_told() -> None:
    """Another strategy under the same name: the inputs are the same, the answer is not."""
    desk = lived(1)
    desk.weights = {"sma": constant(0.1, 0.1)}
    (line,) = replayed(desk, until_minutes=0).differing
    assert line.explanation == (
        "decided BTC/USDT 0.500000, ETH/USDT 0.300000, replayed BTC/USDT 0.100000, ETH/USDT 0.100000, from the same"
        " candles and parameters"
    )
    assert line.weights == {"BTC/USDT": Decimal("0.1"), "ETH/USDT": Decimal("0.1")}


def test_closes_that_were_missed_are_decided_now_and_named() -> None:
    """Nobody looked then; that is no difference."""
    desk = lived(1)
    desk.next_minute()
    desk.next_minute()
    desk.ingest()
    desk.evaluate()
    verdicts = [line.verdict for line in replayed(desk).lines]
    assert verdicts == [ReplayVerdict.SAME, ReplayVerdict.NOT_DECIDED, ReplayVerdict.NOT_DECIDED, ReplayVerdict.SAME]


def test_a_replay_looks_no_further_than_now_and_not_at_nothing() -> None:
    """What has not closed yet is not replayed; an empty stretch is refused; a failing strategy fails alone."""
    desk = lived(2)
    assert len(replayed(desk, until_minutes=500).lines) == 2
    with pytest.raises(ConfigurationError, match="expected some time"):
        replayed(desk, since_minutes=3, until_minutes=3)
    two = Desk(portfolio_=portfolio(plan(allocation=Decimal("0.4")), plan("two", allocation=Decimal("0.4"))))
    two.ingest()
    two.evaluate()
    two.weights = {"two": constant(-1.0, 0.0)}
    report = replayed(two, until_minutes=0)
    assert list(report.failed) == ["two"]
    assert [line.status for line in report.lines] == [DecisionStatus.DECIDED]
    assert timedelta(0) == report.lines[0].as_of - T0
