"""The role of replays: PostgreSQL itself refuses it decisions and intents, whatever the code above does."""

import pytest

from tests.examples import BTC, MINUTE, RUN, T0, candles, decision, intent
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.replay_role import replay_ledger
from trading.clock import ManualClock
from trading.domain.ids import Run
from trading.domain.market import to_ms
from trading.domain.replay import ReplayVerdict, judged
from trading.errors import InvariantViolation, TradingError
from trading.flows.replay import Replay

pytestmark = pytest.mark.postgres
OTHER = Run(run_id="replay__1", dag_id="replay_strategies")


@pytest.fixture
def replays(postgres_ledger: PostgresLedger, database_url: str) -> PostgresLedger:
    """A ledger in the role of replays, over a database that has a decision and candles."""
    with postgres_ledger.transaction() as books:
        books.decisions.record(decision(), RUN)
        books.candles.upsert(BTC.symbol, "1m", candles(to_ms(T0 - 2 * MINUTE), [10.0, 11.0]), at=T0, run=RUN)
        books.candles.upsert(BTC.symbol, "1m", candles(to_ms(T0 - MINUTE), [12.0]), at=T0 + MINUTE, run=RUN)
    return replay_ledger(database_url)


def test_it_cannot_decide_plan_or_change_a_candle(replays: PostgresLedger) -> None:
    """Each is refused by the database."""
    writes = (
        lambda books: books.decisions.record(decision(as_of=T0 + MINUTE), RUN),
        lambda books: books.orders.plan(intent(), RUN),
        lambda books: books.candles.upsert(BTC.symbol, "1m", candles(to_ms(T0), [9.0]), at=T0, run=RUN),
        lambda books: books.accounts.open("x", venue="binance", mode="replay", at=T0, run=RUN),
        lambda books: books.control.renew_lease("replay", T0, RUN),
    )
    for write in writes:
        with pytest.raises(TradingError, match="permission denied"), replays.transaction() as books:
            write(books)
    replays.close()


def test_it_reads_what_was_and_keeps_what_would_have_been(replays: PostgresLedger) -> None:
    """Candles as they are and as they were known, decisions, and its own table, which is append-only."""
    with replays.transaction() as books:
        (stored,) = books.decisions.between("sma", since=T0 - MINUTE, until=T0)
        now = books.candles.panel([BTC.symbol], "1m", until=T0, candles=2)
        then = books.candles.panel([BTC.symbol], "1m", until=T0, candles=2, known_at=T0)
        line = judged(stored, stored)
        books.replays.record([line], OTHER)
        books.replays.record([line], OTHER)
        assert books.replays.by_run(OTHER) == [line]
        assert books.replays.by_run(RUN) == []
    assert (now.close[:, 0].tolist(), then.close[:, 0].tolist()) == ([10.0, 12.0], [10.0, 11.0])
    assert line.verdict is ReplayVerdict.SAME
    with pytest.raises((InvariantViolation, TradingError)), replays.transaction() as books:
        books.replays._session.connection.execute("DELETE FROM trading.replayed_decision")
    replays.close()


def test_a_whole_replay_runs_in_it(replays: PostgresLedger) -> None:
    """Its run is recorded; without a strategy there is nothing to tell."""
    report = Replay(replays, ManualClock(T0), []).run(OTHER, since=T0 - MINUTE, until=T0)
    assert report.counts["differs"] == 0
    with replays.transaction() as books:
        assert books.runs.recent("replay", 1)[0].outcome == "done"
    replays.close()
