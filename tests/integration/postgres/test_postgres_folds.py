"""What SQL folds and what Python folds are the same, to the last digit."""

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_scenes import ACCOUNT, BTC, NOW, RUN, candles, fill_of, intent, open_account, record_fill, step, walk

from trading.adapters.postgres import migrations
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.order import TRANSITIONS, OrderState, Side, fold
from trading.domain.position import fold_fills

pytestmark = pytest.mark.postgres

_S = OrderState
_BOUNDED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
_amounts = st.decimals(min_value="0.00000001", max_value="1000000", places=8)


@pytest.fixture
def opened(postgres_ledger: PostgresLedger) -> PostgresLedger:
    """A ledger with an account, in which each example plans orders of its own."""
    open_account(postgres_ledger)
    return postgres_ledger


@st.composite
def lives(draw: st.DrawFn) -> list[OrderState]:
    """Legal steps from planned on, as far as they go or shorter."""
    states: list[OrderState] = []
    current = _S.PLANNED
    while len(states) < 8 and TRANSITIONS[current] and draw(st.integers(0, 9)):
        current = draw(st.sampled_from(sorted(TRANSITIONS[current])))
        states.append(current)
    return states


_words = st.sampled_from(["", None, "word"])


class Numbers:
    """A generation for each example: every order of a test has a name of its own."""

    next = 0

    @classmethod
    def take(cls) -> int:
        cls.next += 1
        return cls.next


@_BOUNDED
@given(states=lives(), facts=st.lists(st.tuples(_words, _words, st.sampled_from([None, 5000])), min_size=8, max_size=8))
def test_the_view_is_the_fold(
    opened: PostgresLedger, states: list[OrderState], facts: list[tuple[str | None, str | None, int | None]]
) -> None:
    """order_current says of every legal life what domain.order.fold says, fills included."""
    with opened.transaction() as books:
        order = walk(books, intent(Numbers.take()), [])
        for number, state in enumerate(states):
            venue_order_id, reason, window = facts[number]
            said = {"venue_order_id": venue_order_id, "reason": reason or ""}
            if window is not None:
                said["recv_window_ms"] = window
            order = books.orders.append(order, step(order, state, **said))
            if state in (_S.PARTIALLY_FILLED, _S.FILLED):
                fill = fill_of(order, Numbers.take())
                record_fill(books, fill)
                order = replace(order, filled_quantity=order.filled_quantity + fill.quantity)
        folded = fold(order.intent, books.orders.events(order.client_order_id), order.filled_quantity)
        assert books.orders.get(order.client_order_id) == folded == order
        is_open = order.client_order_id in {one.client_order_id for one in books.orders.open(ACCOUNT)}
        assert is_open == order.is_open


@_BOUNDED
@given(
    fills=st.lists(
        st.tuples(st.sampled_from(Side), _amounts, _amounts, _amounts, st.sampled_from(["BTC", "USDT", "BNB"])),
        min_size=1,
        max_size=8,
    )
)
def test_positions_are_the_fold_of_fills(
    opened: PostgresLedger, fills: list[tuple[Side, Decimal, Decimal, Decimal, str]]
) -> None:
    """positions() is the domain's fold; the view's quantity and the ledger's balance equal it to the last digit."""
    strategy = f"s{Numbers.take()}"
    with opened.transaction() as books:
        orders = {
            side: walk(
                books,
                intent(Numbers.take(), strategy=strategy, side=side),
                [_S.SUBMITTING, _S.ACCEPTED],
            )
            for side in Side
        }
        made = []
        for side, price, quantity, fee, fee_currency in fills:
            figures = {"price": price, "quantity": quantity, "fee": fee, "fee_currency": fee_currency}
            made.append(fill_of(orders[side], Numbers.take(), **figures))
        for fill in reversed(made):
            assert record_fill(books, fill)
            assert not record_fill(books, fill)
        expected = fold_fills(BTC, made)
        assert books.fills.positions(ACCOUNT)[strategy, BTC.symbol] == expected
    with psycopg.connect(opened._url) as connection:
        row = connection.execute("SELECT quantity FROM trading.position WHERE strategy = %s", [strategy]).fetchone()
    assert row == (expected.quantity,)


def test_a_restatement_keeps_what_was(opened: PostgresLedger, database_url: str) -> None:
    """A changed candle is restated; its old values stay, with the run that wrote them and the one that replaced it."""
    first = candles(NOW, 5)
    changed = replace(first, volume=first.volume + np.array([0.0, 1.0, 0.0, 0.0, 0.0]))
    other = replace(RUN, run_id="ingest__2")
    with opened.transaction() as books:
        assert books.candles.upsert("BTC/USDT", "1m", first, at=NOW, run=RUN).inserted == 5
        again = books.candles.upsert("BTC/USDT", "1m", first, at=NOW, run=other)
        assert (again.inserted, again.revised) == (0, 0)
        restated = books.candles.upsert("BTC/USDT", "1m", changed, at=NOW, run=other)
        assert (restated.inserted, restated.revised) == (0, 1)
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT volume, run_id, replaced_by FROM trading.candle_revision").fetchall()
        runs = connection.execute("SELECT run_id, count(*) FROM trading.candle GROUP BY run_id ORDER BY 1").fetchall()
    assert kept == [(first.volume[1], RUN.run_id, "ingest__2")]
    assert runs == [("ingest__2", 1), (RUN.run_id, 4)]


def test_a_second_attempt_keeps_the_first(opened: PostgresLedger, database_url: str) -> None:
    """A cleared run counts its attempts, and what the first came to is not lost."""
    with opened.transaction() as books:
        books.runs.start(RUN, "place", NOW)
        books.runs.finish(RUN, "place", NOW, outcome="failed", message="no answer", counts={"orders": 3})
        books.runs.start(RUN, "place", NOW)
        assert [record.outcome for record in books.runs.get(RUN.run_id)] == ["running"]
    with psycopg.connect(database_url) as connection:
        attempts = connection.execute("SELECT attempts FROM trading.run").fetchall()
        before = connection.execute("SELECT attempt, outcome, message, counts FROM trading.run_attempt").fetchall()
    assert attempts == [(2,)]
    assert before == [(1, "failed", "no answer", {"orders": 3})]


#: One order, sent and accepted, and its fill's entries, as a database before the running folds holds them.
_BEFORE_FOLDS = """
INSERT INTO trading.account (account, venue, mode, opened_at, run_id, dag_id)
VALUES ('replay', 'binance', 'replay', now(), '', '');
INSERT INTO trading.order_intent (
  client_order_id, account, incarnation, strategy, instrument, timeframe, as_of, purpose, generation, side, order_type,
  quantity, reference_price, target_quantity, planned_at, expires_at, run_id, dag_id
)
VALUES ('a', 'replay', 1, 'sma', 'BTC/USDT', '1m', now(), 'entry', 0, 'buy', 'market', 1, 2, 1, now(), now(), '', '');
INSERT INTO trading.order_event (
  client_order_id, sequence, account, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
  request_hash, epoch, detail, code_version, chain_sequence, previous_hash, hash
)
VALUES
  ('a', 0, 'replay', 'planned', now(), '', '', '', NULL, NULL, NULL, NULL, NULL, '{}', '', 1, '', 'x'),
  ('a', 1, 'replay', 'submitting', now(), '', '', '', NULL, now(), 2000, 'hash', 1, '{}', '', 2, 'x', 'y'),
  ('a', 2, 'replay', 'accepted', now(), '', '', 'yes', '7', NULL, NULL, NULL, NULL, '{}', '', 3, 'y', 'z');
INSERT INTO trading.ledger_transaction (account, kind, reference, occurred_at, run_id, dag_id)
VALUES ('replay', 'deposit', 'one', now(), '', '');
INSERT INTO trading.ledger_entry (transaction_id, leg, account, sub_account, category, currency, amount)
VALUES (1, 1, 'replay', 'sma', 'asset', 'USDT', 5), (1, 2, 'replay', 'sma', 'capital', 'USDT', -5);
"""


def test_an_older_database_is_folded_when_it_is_migrated(empty_database_url: str, tmp_path: Path) -> None:
    """Orders and balances from before the running folds read the same through them, and go on from there."""
    for file in migrations.FOLDER.glob("000*.sql"):
        shutil.copy(file, tmp_path)
    migrations.migrate(empty_database_url, tmp_path)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(_BEFORE_FOLDS)
        before = connection.execute("SELECT * FROM trading.order_current").fetchall()
    migrations.migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT * FROM trading.order_current").fetchall() == before
    ledger = PostgresLedger(empty_database_url)
    with ledger.transaction() as books:
        assert books.entries.balances(ACCOUNT) == {("sma", "USDT"): Decimal(5)}
        (order,) = books.orders.sent_open(ACCOUNT)
        assert (order.state, order.venue_order_id, order.request_hash) == (_S.ACCEPTED, "7", "hash")
        assert not books.orders.append(order, step(order, _S.CANCELED)).is_open
        assert books.orders.open(ACCOUNT) == []
    ledger.close()


def test_kept_balances_are_the_sums_of_entries(opened: PostgresLedger) -> None:
    """After buys, a sale and fees, what is kept by the trigger is what the entries add up to, zeros included."""
    with opened.transaction() as books:
        for number, side in enumerate((Side.BUY, Side.BUY, Side.SELL)):
            order = walk(books, intent(Numbers.take(), side=side), [_S.SUBMITTING, _S.ACCEPTED])
            record_fill(books, fill_of(order, Numbers.take(), price=Decimal(number + 1), fee_currency="BTC"))
    with psycopg.connect(opened._url) as connection:
        summed = connection.execute("SELECT * FROM trading.balance ORDER BY 1, 2, 3").fetchall()
        kept = connection.execute("SELECT * FROM trading.balance_fold ORDER BY 1, 2, 3").fetchall()
    assert kept == summed
    assert len(kept) == 2
