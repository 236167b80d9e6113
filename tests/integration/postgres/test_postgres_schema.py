"""Migrations, queries and connections: what the ledger needs before its first row."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trading.adapters.postgres import migrations
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.queries import FOLDER, QUERIES, load_queries
from trading.domain.alerts import AlertKind
from trading.domain.decision import DecisionStatus
from trading.domain.kill_switch import ControlKind
from trading.domain.ledger import Category
from trading.domain.order import OrderType, Purpose, Side
from trading.domain.reconciliation import DiscrepancyKind
from trading.domain.snapshot import Verdict
from trading.errors import ConfigurationError

PASSWORD = "hunter2-canary"


def tables(url: str, schema: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
    return {name for (name,) in found}


@pytest.mark.postgres
def test_migrations_run_from_empty_and_again(empty_database_url: str) -> None:
    """The first run makes everything, the second nothing; the version is the number of the last file."""
    assert migrations.current(empty_database_url) == ""
    last = sorted(migrations.FOLDER.glob("*.sql"))[-1].name[:4]
    assert migrations.migrate(empty_database_url) == last == migrations.current(empty_database_url)
    made = tables(empty_database_url, "trading")
    assert migrations.migrate(empty_database_url) == last
    assert tables(empty_database_url, "trading") == made


@pytest.mark.postgres
def test_airflows_tables_are_not_touched(empty_database_url: str) -> None:
    """Airflow's own Alembic table in the same database keeps its version, and nothing of ours is in its schema."""
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE public.alembic_version (version_num text)")
        connection.execute("INSERT INTO public.alembic_version VALUES ('airflows-own')")
    migrations.migrate(empty_database_url)
    assert tables(empty_database_url, "public") == {"alembic_version"}
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT * FROM public.alembic_version").fetchall() == [("airflows-own",)]


@pytest.mark.postgres
def test_two_migrations_at_once_agree(empty_database_url: str) -> None:
    """Two starts at the same time both end at the newest version."""
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(migrations.migrate, [empty_database_url] * 2)) == {migrations.head()}


@pytest.mark.postgres
def test_a_failing_migration_leaves_the_version_before_it(database_url: str, tmp_path: Path) -> None:
    """All or nothing: a broken file changes neither tables nor version."""
    for path in migrations.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "9998_good.sql").write_text("CREATE TABLE trading.half_made ();")
    (tmp_path / "9999_bad.sql").write_text("CREATE TABLE trading.run ();")
    with pytest.raises(Exception, match="already exists"):
        migrations.migrate(database_url, tmp_path)
    assert migrations.current(database_url) == migrations.head()
    assert "half_made" not in tables(database_url, "trading")


@pytest.mark.postgres
def test_a_database_from_the_future_is_refused(database_url: str) -> None:
    """Old code does not touch a schema that newer code made."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE trading.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="update the code"):
        migrations.migrate(database_url)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("decision_status", set(DecisionStatus)),
        ("order_intent_purpose", set(Purpose)),
        ("order_intent_side", set(Side)),
        ("order_intent_type", set(OrderType)),
        ("fill_side", set(Side)),
        ("order_check_verdict", set(Verdict)),
        ("ledger_entry_category", set(Category)),
        ("discrepancy_kind", set(DiscrepancyKind)),
        ("control_event_kind", set(ControlKind)),
        ("alert_kind", set(AlertKind)),
    ],
)
def test_allowed_values_are_the_domains(database_url: str, constraint: str, values: set[str]) -> None:
    """A value that is added to the domain cannot be forgotten in the schema."""
    with psycopg.connect(database_url) as connection:
        (text,) = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [constraint]
        ).fetchone() or ("",)
    assert set(re.findall(r"'(\w+)'::text", text)) == {str(value) for value in values}


@pytest.mark.postgres
def test_times_are_utc_whatever_the_server_says(database_url: str) -> None:
    """The database's clock comes back aware, in UTC."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'".encode())
    ledger = PostgresLedger(database_url)
    with ledger.transaction() as books:
        now = books.now()
    ledger.close()
    assert now.utcoffset() is not None
    assert not now.utcoffset()


@pytest.fixture
def unreachable(postgres_server: str) -> str:
    """The server's address with a database that is not there and a password that must not be told."""
    parts = conninfo_to_dict(postgres_server)
    return make_conninfo("", **{**parts, "dbname": "no_such_database", "password": PASSWORD})


@pytest.mark.postgres
def test_an_unreachable_database_is_named_without_its_password(unreachable: str) -> None:
    """The message names the database and never the password."""
    ledger = PostgresLedger(unreachable)
    with pytest.raises(ConfigurationError, match="no_such_database") as caught, ledger.transaction():
        pass
    assert PASSWORD not in f"{caught.value!r} {ledger!r}"
    with pytest.raises(ConfigurationError, match="no_such_database"):
        migrations.migrate(unreachable)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/trading",
        f"postgresql://me:a@{PASSWORD}@127.0.0.1:1/trading",
        f"postgresql://me:a/{PASSWORD}@127.0.0.1:1/trading",
        f"postgresql://me:a#{PASSWORD}@127.0.0.1:1/trading",
        f"postgresql://me@127.0.0.1:1/trading?password={PASSWORD}",
        f"host=127.0.0.1 port=1 password={PASSWORD} nonsense={PASSWORD}",
    ],
)
def test_no_password_in_any_message(url: str) -> None:
    """However the URL is malformed, no part of its password is repeated, in the chain of errors neither."""
    ledger = PostgresLedger(url)
    with pytest.raises(ConfigurationError) as caught, ledger.transaction():
        pass
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r} {ledger!r}"
    assert caught.value.__suppress_context__


def test_each_query_is_used() -> None:
    """No query is left over."""
    code = "\n".join(path.read_text() for path in FOLDER.parents[1].glob("*.py"))
    fences = {"leave_fence_shared", "leave_fence_exclusive"}  # named after the fence that they leave
    assert [name for name in QUERIES if f'"{name}"' not in code and name not in fences] == []


def test_queries_are_named_once_and_described(tmp_path: Path) -> None:
    """A second query of one name, and one that says nothing, are refused."""
    (tmp_path / "a.sql").write_text("-- one --\n-- Says what it is for.\nSELECT 1;\n")
    assert load_queries(tmp_path) == {"one": "SELECT 1;"}
    (tmp_path / "b.sql").write_text("-- one --\n-- Again.\nSELECT 2;\n")
    with pytest.raises(ValueError, match="named twice"):
        load_queries(tmp_path)
    (tmp_path / "b.sql").write_text("-- two --\nSELECT 2;\n")
    with pytest.raises(ValueError, match="description"):
        load_queries(tmp_path)
