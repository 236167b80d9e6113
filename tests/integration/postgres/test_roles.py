"""What the flows may do in the database, and what they may not: as trading_app, on a real PostgreSQL."""

from collections.abc import Iterator

import psycopg
import pytest
from postgres_scenes import ACCOUNT, NOW, RUN, intent, open_account, walk
from psycopg import errors
from psycopg.conninfo import make_conninfo
from test_postgres_refusals import IMMUTABLE, rows

from tests.desk import Desk
from tests.examples import ACCOUNT as DESK_ACCOUNT
from trading.adapters.postgres import migrations
from trading.adapters.postgres.ledger import FLOWS_ROLE, PostgresBooks, PostgresLedger
from trading.domain.kill_switch import LatchState
from trading.domain.order import OrderState

pytestmark = pytest.mark.postgres

PLAIN_USER = "plain_owner"


def as_role(url: str, role: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        connection.execute(statement.encode())


@pytest.fixture
def filled(postgres_ledger: PostgresLedger, database_url: str) -> str:
    """A database with an account and an order."""
    open_account(postgres_ledger)
    with postgres_ledger.transaction() as books:
        walk(books, intent(), [OrderState.SUBMITTING])
    return database_url


def test_the_flows_act_as_a_role_that_can_rewrite_nothing(postgres_ledger: PostgresLedger) -> None:
    """The ledger's own connection is trading_app, and no append-only table is open to it."""
    with postgres_ledger.transaction() as books:
        rights = books.audit.rights()
    assert (rights.user, rights.rewritable, rights.unguarded) == (FLOWS_ROLE, (), ())


def test_an_owner_is_told_what_it_could_rewrite(database_url: str) -> None:
    """The check itself can fail: an owner may rewrite every one of them, and a dropped trigger is seen."""
    owner = PostgresLedger(database_url, role="")
    with owner.transaction() as books:
        assert set(books.audit.rights().rewritable) >= set(IMMUTABLE)
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE trading.fill DISABLE TRIGGER fill_is_immutable")
    with owner.transaction() as books:
        assert books.audit.rights().unguarded == ("fill",)
    owner.close()


def test_every_flow_of_the_desk_runs_as_this_role(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a fresh account to reconciled fills, a halt and its release, nothing more is needed."""
    desk = Desk(store=PostgresLedger(database_url, code_version="test"))
    monkeypatch.setattr(PostgresBooks, "now", lambda _: desk.clock.now())
    desk.open()
    assert desk.cycle().counts["sent"] > 0
    desk.next_minute()
    desk.decide(sma=(0.1, 0.1))
    assert desk.cycle().counts["sent"] > 0
    desk.reconcile(full=True)
    desk.resume(desk.halt())
    assert desk.totals() == desk.venue_totals()
    with desk.store.transaction() as books:
        assert books.audit.rights().user == FLOWS_ROLE
        books.accounts.lock(DESK_ACCOUNT)
        books.accounts.next_incarnation(DESK_ACCOUNT)
        books.accounts.note_restored(DESK_ACCOUNT, desk.clock.now())
    desk.store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trading.order_event SET reason = ''",
        "DELETE FROM trading.control_event",
        "TRUNCATE trading.control_chain",
        "UPDATE trading.account SET chain_head = ''",
        "UPDATE trading.account SET account = 'other'",
        "DELETE FROM trading.account",
        "UPDATE trading.order_fold SET state = 'filled'",
        "UPDATE trading.balance_fold SET amount = 0",
        "DELETE FROM trading.run",
        "DELETE FROM trading.candle",
        "UPDATE trading.instrument SET lot_step = 1",
        "INSERT INTO trading.order_state VALUES ('invented', true)",
        "INSERT INTO trading.order_transition VALUES ('denied', 'filled')",
        "UPDATE trading.alembic_version SET version_num = '0001'",
        "ALTER TABLE trading.order_event DISABLE TRIGGER ALL",
        "DROP TABLE trading.control_chain",
        "CREATE TABLE trading.mine ()",
        "CREATE OR REPLACE FUNCTION trading.refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'",
        "SET session_replication_role = replica",
        "CREATE TEMP TABLE mine (LIKE trading.order_event); CREATE TRIGGER mine AFTER INSERT ON mine"
        " FOR EACH ROW EXECUTE FUNCTION trading.apply_order_event()",
    ],
)
def test_what_the_flows_may_not_do(filled: str, statement: str) -> None:
    """Nothing recorded is changed or removed, no schema, no trigger, no function; a trick with triggers neither."""
    with pytest.raises(errors.InsufficientPrivilege):
        as_role(filled, FLOWS_ROLE, statement)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO trading.lease VALUES ('a', now(), now(), '', '')", "DELETE FROM trading.run"]
)
def test_a_reader_reads(filled: str, statement: str) -> None:
    """trading_reader sees every table and view, and writes none."""
    for (name,) in tables(filled):
        as_role(filled, "trading_reader", f"SELECT FROM trading.{name}")
    with pytest.raises(errors.InsufficientPrivilege):
        as_role(filled, "trading_reader", statement)


def tables(url: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'trading'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1",
    )


def test_every_table_is_in_the_list(database_url: str) -> None:
    """A new table is granted, or its migration is not done; none is open to everybody."""
    for (name,) in tables(database_url):
        as_role(database_url, FLOWS_ROLE, f"SELECT FROM trading.{name}")
        as_role(database_url, "trading_reader", f"SELECT FROM trading.{name}")
    assert (
        rows(
            database_url,
            "SELECT relname FROM pg_class, aclexplode(relacl)"
            " WHERE relnamespace = 'trading'::regnamespace AND grantee = 0",
        )
        == []
    )


def test_every_append_only_table_is_checked(database_url: str, postgres_ledger: PostgresLedger) -> None:
    """The list that `trading doctor` asks about is the list of tables with the trigger that refuses changes."""
    guarded = rows(
        database_url,
        "SELECT DISTINCT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE tgfoid = 'trading.refuse_change'::regproc AND tgtype & 16 > 0",  # 16: of an UPDATE
    )
    owner = PostgresLedger(database_url, role="")
    with owner.transaction() as books:
        assert set(books.audit.rights().rewritable) == {name for (name,) in guarded}
    owner.close()


def test_the_role_arms_the_latch(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """An upgrade of Airflow drops the trigger with its table: the lease arms it again, though it owns neither."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE public.dag (dag_id text PRIMARY KEY, is_paused boolean NOT NULL)")
        connection.execute("INSERT INTO public.dag VALUES ('kill_switch', false)")
    with postgres_ledger.transaction() as books:
        assert books.control.arm_latch() is LatchState.ARMED
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE public.dag SET is_paused = true")
    with postgres_ledger.transaction() as books:
        assert [halt.author for halt in books.control.halts(ACCOUNT)] == ["airflow:pause"]


@pytest.fixture
def plain_owner(empty_database_url: str, postgres_server: str) -> Iterator[str]:
    """The URL of a database whose owner may create no role, as with some hosts; the roles may be there already."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {PLAIN_USER} LOGIN".encode())
        connection.execute(f"ALTER DATABASE {connection.info.dbname} OWNER TO {PLAIN_USER}".encode())
    yield make_conninfo(empty_database_url, user=PLAIN_USER)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"REASSIGN OWNED BY {PLAIN_USER} TO CURRENT_USER".encode())
        connection.execute(f"DROP OWNED BY {PLAIN_USER}".encode())
        connection.execute(f"DROP ROLE {PLAIN_USER}".encode())


def test_an_owner_without_the_right_to_create_roles_migrates_and_writes(plain_owner: str) -> None:
    """The ledger works as its owner then, and the check says what that could rewrite; nothing is silent."""
    told: list[str] = []
    assert migrations.migrate(plain_owner, tell=told.append) == migrations.head()
    assert any("trading_app cannot be given to plain_owner" in line for line in told)
    ledger = PostgresLedger(plain_owner)
    with ledger.transaction() as books:
        books.runs.start(RUN, "place", NOW)
        rights = books.audit.rights()
    ledger.close()
    assert rights.user == PLAIN_USER
    assert set(rights.rewritable) >= set(IMMUTABLE)
