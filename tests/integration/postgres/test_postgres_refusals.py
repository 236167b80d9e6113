"""What the database refuses by itself, whatever the application believes."""

import psycopg
import pytest
from postgres_scenes import ACCOUNT, NOW, RUN, fill_of, intent, open_account, record_fill, step, walk
from psycopg import sql

from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.order import OPEN, TRANSITIONS, OrderState
from trading.errors import ConfigurationError, InvariantViolation

pytestmark = pytest.mark.postgres

Statement = tuple[str, dict[str, object]] | sql.Composable

_S = OrderState
IMMUTABLE = (
    "acknowledgement",
    "candle_revision",
    "control_chain",
    "control_event",
    "decision",
    "decision_revision",
    "fill",
    "ledger_entry",
    "ledger_transaction",
    "cancel_request",
    "order_check",
    "order_event",
    "order_intent",
    "order_state",
    "order_transition",
    "plan_line",
    "run_attempt",
    "venue_conformance",
)


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def commit(url: str, *statements: Statement) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            if isinstance(statement, tuple):
                connection.execute(statement[0].encode(), statement[1])
            else:
                connection.execute(statement)


def refused(url: str, *statements: Statement) -> str:
    """What the database says when it refuses these statements, at the latest at COMMIT."""
    with pytest.raises(psycopg.IntegrityError) as caught:
        commit(url, *statements)
    return str(caught.value)


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_audit_tables_refuse_every_change(database_url: str, verb: str) -> None:
    """Not even the owner may change or remove a row."""
    statement = {
        "UPDATE": sql.SQL("UPDATE trading.{table} SET {column} = {column}"),
        "DELETE": sql.SQL("DELETE FROM trading.{table}"),
        "TRUNCATE": sql.SQL("TRUNCATE trading.{table} CASCADE"),
    }[verb]
    columns = dict(
        rows(
            database_url,
            "SELECT DISTINCT ON (table_name) table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'trading' AND is_identity = 'NO' ORDER BY table_name, ordinal_position",
        )
    )
    for table in IMMUTABLE:
        names = {"table": sql.Identifier(table), "column": sql.Identifier(str(columns[table]))}
        assert "append-only" in refused(database_url, statement.format(**names))


def test_transition_table_is_the_domains(database_url: str) -> None:
    """The same steps are legal in the database and in the domain."""
    stored = set(rows(database_url, "SELECT before, after FROM trading.order_transition"))
    assert stored == {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}


def test_states_are_the_domains(database_url: str) -> None:
    """The same states exist, and the same ones are open."""
    stored = dict(rows(database_url, "SELECT state, is_open FROM trading.order_state"))
    assert stored == {state.value: state in OPEN for state in OrderState}


def _event(client_order_id: str, sequence: int, state: str, *, link: int, previous: str) -> Statement:
    facts = {"id": client_order_id, "sequence": sequence, "state": state, "link": link, "previous": previous}
    return (
        "INSERT INTO trading.order_event (client_order_id, sequence, account, state, at, run_id, dag_id, reason,"
        " signed_at, recv_window_ms, request_hash, detail, code_version, chain_sequence, previous_hash, hash)"
        " VALUES (%(id)s, %(sequence)s, %(account)s, %(state)s, now(), 'r', 'd', '',"
        " now(), 1, 'h', '{}', '', %(link)s, %(previous)s, 'new')",
        {**facts, "account": ACCOUNT},
    )


@pytest.mark.parametrize(
    ("sequence", "state", "says"),
    [
        (2, "filled", "submitting may not become filled"),
        (2, "planned", "submitting may not become planned"),
        (3, "accepted", "expected event 2, got 3"),
        (1, "accepted", "expected event 2, got 1"),
        (0, "planned", "expected event 2, got 0"),
    ],
)
def test_illegal_steps_are_refused(
    postgres_ledger: PostgresLedger, database_url: str, sequence: int, state: str, says: str
) -> None:
    """A step that is not in the table, a gap and a repetition are refused by the trigger."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        order = walk(books, intent(), [_S.SUBMITTING])
    head = str(rows(database_url, "SELECT chain_head FROM trading.account")[0][0])
    statement = _event(order.client_order_id, sequence, state, link=3, previous=head)
    assert says in refused(database_url, statement)


@pytest.mark.parametrize(("link", "previous"), [(2, ""), (4, ""), (3, "forged")])
def test_a_fork_of_the_audit_chain_is_refused(
    postgres_ledger: PostgresLedger, database_url: str, link: int, previous: str
) -> None:
    """An event must continue its account's chain at its head."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        order = walk(books, intent(), [_S.SUBMITTING])
    head = str(rows(database_url, "SELECT chain_head FROM trading.account")[0][0])
    statement = _event(order.client_order_id, 2, "accepted", link=link, previous=previous or head)
    assert "does not continue the audit chain" in refused(database_url, statement)


def test_a_submission_without_signature_is_refused(postgres_ledger: PostgresLedger) -> None:
    """A request that the venue cannot fence is never recorded as sent."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        order = walk(books, intent(), [])
    with pytest.raises(InvariantViolation, match="order_event_is_signed"), postgres_ledger.transaction() as books:
        books.orders.append(order, step(order, _S.SUBMITTING, signed_at=None))


_POST: Statement = (
    "INSERT INTO trading.ledger_transaction (account, kind, reference, occurred_at, run_id, dag_id)"
    " VALUES (%(account)s, 'fill', 'x', now(), 'r', 'd')",
    {"account": ACCOUNT},
)


def _leg(number: int, currency: str, amount: str) -> Statement:
    return (
        "INSERT INTO trading.ledger_entry (transaction_id, leg, account, sub_account, category, currency, amount)"
        " SELECT transaction_id, %(number)s, account, 'sma', 'asset', %(currency)s, %(amount)s::numeric"
        " FROM trading.ledger_transaction WHERE reference = 'x'",
        {"number": number, "currency": currency, "amount": amount},
    )


def test_unbalanced_entries_are_refused_at_commit(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """Legs may come one by one; at COMMIT each currency sums to zero, to the last digit."""
    open_account(postgres_ledger)
    one_sided = (_POST, _leg(1, "BTC", "1"), _leg(2, "BTC", "-0.999999999999999999"))
    assert "expected sums of zero, got 0.000000000000000001 BTC" in refused(database_url, *one_sided)
    crossed = (_POST, _leg(1, "BTC", "1"), _leg(2, "USDT", "-1"))
    assert "expected sums of zero" in refused(database_url, *crossed)
    assert "expected entries, got none" in refused(database_url, _POST)
    assert rows(database_url, "SELECT * FROM trading.ledger_entry") == []
    commit(database_url, _POST, _leg(1, "BTC", "1"), _leg(2, "BTC", "-1"))
    assert "expected sums of zero" in refused(database_url, _leg(3, "BTC", "1"))


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_money_is_finite(postgres_ledger: PostgresLedger, database_url: str, amount: str) -> None:
    """NaN and infinities are no amounts."""
    open_account(postgres_ledger)
    assert "amount_is_finite" in refused(database_url, _POST, _leg(1, "BTC", amount))


def test_an_epoch_never_returns(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """A fencing epoch that was passed cannot become current again."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        books.accounts.lock(ACCOUNT)
        assert books.accounts.advance_epoch(ACCOUNT) == 1
    assert "only grow" in refused(database_url, sql.SQL("UPDATE trading.account SET epoch = 0"))


def test_a_fill_of_another_accounts_order_is_refused(postgres_ledger: PostgresLedger) -> None:
    """An order's fills belong to its account."""
    open_account(postgres_ledger)
    open_account(postgres_ledger, "other")
    with postgres_ledger.transaction() as books:
        order = walk(books, intent(), [_S.SUBMITTING, _S.ACCEPTED])
    with pytest.raises(InvariantViolation, match="one of our orders"), postgres_ledger.transaction() as books:
        record_fill(books, fill_of(order), account="other")


def test_what_the_database_refuses_leaves_nothing(postgres_ledger: PostgresLedger) -> None:
    """A refusal at the end of a transaction takes back its beginning."""
    open_account(postgres_ledger)
    halt = ControlEvent(kind=ControlKind.HALT_ENGAGED, author="a", reason="r", at=NOW, run_id="r", dag_id="d")

    def end_in_nonsense() -> None:
        with postgres_ledger.transaction() as books:
            books.control.engage(ACCOUNT, halt)
            books.runs.start(RUN, "place", NOW)
            books.runs.finish(RUN, "place", NOW, outcome="nonsense", message="", counts={})

    with pytest.raises(InvariantViolation):
        end_in_nonsense()
    with postgres_ledger.transaction() as books:
        assert books.runs.recent(None, 10) == []
        assert len(books.control.halts(ACCOUNT)) == 1


def test_a_table_that_is_not_there_names_the_command(empty_database_url: str) -> None:
    """Without migrations the message says what to run."""
    ledger = PostgresLedger(empty_database_url)
    with pytest.raises(ConfigurationError, match="trading db migrate"), ledger.transaction() as books:
        books.accounts.get(ACCOUNT)
    ledger.close()
