"""Pausing the DAG `kill_switch` halts in the pausing transaction itself. Airflow's table is a stand-in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from postgres_scenes import ACCOUNT, NOW, open_account
from psycopg.conninfo import conninfo_to_dict

from trading.adapters.postgres.airflow_pools import airflow_pools
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.kill_switch import ControlEvent, ControlKind, LatchState

pytestmark = pytest.mark.postgres


@pytest.fixture
def airflow(database_url: str) -> str:
    """The database's URL, with Airflow's table in it."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE public.dag (dag_id text PRIMARY KEY, is_paused boolean NOT NULL)")
        connection.execute("INSERT INTO public.dag VALUES ('kill_switch', false), ('place_orders', false)")
    return database_url


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def arm(ledger: PostgresLedger) -> LatchState:
    with ledger.transaction() as books:
        return books.control.arm_latch()


def latch(ledger: PostgresLedger) -> LatchState:
    with ledger.transaction() as books:
        return books.control.latch()


def halts(ledger: PostgresLedger) -> list[tuple[str, str]]:
    with ledger.transaction() as books:
        return [(halt.author, halt.reason) for halt in books.control.halts(ACCOUNT)]


def test_without_airflow_there_is_nothing_to_arm(postgres_ledger: PostgresLedger) -> None:
    """Another database for Airflow is a state of its own, not an error."""
    assert latch(postgres_ledger) is LatchState.NO_AIRFLOW_TABLES
    assert arm(postgres_ledger) is LatchState.NO_AIRFLOW_TABLES


def test_arming_is_idempotent_and_its_state_is_seen(postgres_ledger: PostgresLedger, airflow: str) -> None:
    """Absent, armed, disabled by somebody, armed again."""
    assert latch(postgres_ledger) is LatchState.ABSENT
    assert arm(postgres_ledger) is LatchState.ARMED
    assert arm(postgres_ledger) is LatchState.ARMED
    execute(airflow, "ALTER TABLE public.dag DISABLE TRIGGER trading_kill_switch_deleted")
    assert latch(postgres_ledger) is LatchState.DISABLED
    assert arm(postgres_ledger) is LatchState.ARMED
    execute(airflow, "DROP TRIGGER trading_kill_switch_paused ON public.dag")
    assert latch(postgres_ledger) is LatchState.ABSENT


def test_a_pause_halts_in_its_own_transaction(postgres_ledger: PostgresLedger, airflow: str) -> None:
    """The halt is there when the pause is, and is not there when the pause is rolled back; listeners hear of it."""
    arm(postgres_ledger)
    pause = "UPDATE public.dag SET is_paused = true WHERE dag_id = 'kill_switch'"
    with psycopg.connect(airflow) as pausing:
        pausing.execute(pause.encode())
        assert halts(postgres_ledger) == []
        pausing.rollback()
    assert halts(postgres_ledger) == []
    with psycopg.connect(airflow, autocommit=True) as listening:
        listening.execute("LISTEN trading_control")
        execute(airflow, pause)
        heard = [note.payload for note in listening.notifies(timeout=10, stop_after=1)]
    assert heard == ["halt_engaged"]
    assert halts(postgres_ledger) == [("airflow:pause", "the DAG kill_switch was paused")]


def test_only_a_pause_of_the_kill_switch_halts(postgres_ledger: PostgresLedger, airflow: str) -> None:
    """Other DAGs, unpausing and pausing what is paused engage nothing; deleting the row does."""
    arm(postgres_ledger)
    execute(airflow, "UPDATE public.dag SET is_paused = true WHERE dag_id = 'place_orders'")
    execute(airflow, "UPDATE public.dag SET is_paused = false WHERE dag_id = 'kill_switch'")
    assert halts(postgres_ledger) == []
    execute(airflow, "UPDATE public.dag SET is_paused = true WHERE dag_id = 'kill_switch'")
    execute(airflow, "UPDATE public.dag SET is_paused = true WHERE dag_id = 'kill_switch'")
    assert len(halts(postgres_ledger)) == 1
    execute(airflow, "DELETE FROM public.dag WHERE dag_id = 'place_orders'")
    execute(airflow, "DELETE FROM public.dag WHERE dag_id = 'kill_switch'")
    assert halts(postgres_ledger)[-1] == ("airflow:pause", "the DAG kill_switch was deleted")


def test_the_pause_waits_for_nobody(postgres_ledger: PostgresLedger, airflow: str) -> None:
    """A sender that holds the account's lock, and a halt that is not committed, do not delay it."""
    open_account(postgres_ledger)
    arm(postgres_ledger)
    event = ControlEvent(kind=ControlKind.HALT_ENGAGED, author="a", reason="r", at=NOW, run_id="r", dag_id="d")
    with postgres_ledger.transaction() as books:
        books.accounts.lock(ACCOUNT)
        books.control.engage(ACCOUNT, event)
        with psycopg.connect(airflow, options="-c lock_timeout=2s") as pausing:
            pausing.execute("UPDATE public.dag SET is_paused = true WHERE dag_id = 'kill_switch'")
    assert ("airflow:pause", "the DAG kill_switch was paused") in halts(postgres_ledger)


def test_the_pause_goes_through_where_the_latch_is_broken(postgres_ledger: PostgresLedger, airflow: str) -> None:
    """A latch that cannot write never keeps an operator from pausing: senders ask Airflow as well."""
    arm(postgres_ledger)
    execute(airflow, "ALTER TABLE trading.control_event RENAME TO control_event_elsewhere")
    execute(airflow, "UPDATE public.dag SET is_paused = true WHERE dag_id = 'kill_switch'")
    with psycopg.connect(airflow) as connection:
        assert connection.execute("SELECT is_paused FROM public.dag WHERE dag_id = 'kill_switch'").fetchone() == (True,)


def test_a_row_that_comes_back_paused_halts(postgres_ledger: PostgresLedger, airflow: str) -> None:
    """Airflow makes new rows paused by default: deleted and made again it must not look as if nothing had been."""
    arm(postgres_ledger)
    execute(airflow, "DELETE FROM public.dag WHERE dag_id = 'kill_switch'")
    execute(airflow, "INSERT INTO public.dag VALUES ('kill_switch', true)")
    assert [reason for _, reason in halts(postgres_ledger)] == [
        "the DAG kill_switch was deleted",
        "the DAG kill_switch was paused",
    ]


REAL_TABLE = """
import json, os
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel

engine = create_engine(os.environ["DATABASE"])
DagModel.metadata.create_all(engine, tables=[DagBundleModel.__table__, DagModel.__table__])
with Session(engine) as session:
    session.add(DagBundleModel(name="ours"))
    session.flush()
    session.add(DagModel(dag_id="kill_switch", bundle_name="ours", is_paused=False))
    session.commit()
from trading.adapters.postgres.airflow_pools import airflow_pools
from trading.adapters.postgres.ledger import PostgresLedger
ledger = PostgresLedger(os.environ["LEDGER"])
with ledger.transaction() as books:
    latch = str(books.control.arm_latch())
with Session(engine) as session:
    for paused in (True, False, True, False):
        session.get(DagModel, "kill_switch").is_paused = paused
        session.commit()
print(json.dumps({"latch": latch}))
"""


def test_pausing_and_unpausing_within_milliseconds_latches_on_airflows_own_table(
    postgres_ledger: PostgresLedger, database_url: str, tmp_path: Path
) -> None:
    """Airflow's own model and DDL; each pause is a halt, however soon it was taken back."""
    parts = conninfo_to_dict(database_url)
    sqlalchemy_url = f"postgresql+psycopg://postgres@/{parts['dbname']}?host={parts['host']}"
    done = subprocess.run(
        [sys.executable, "-c", REAL_TABLE],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "DATABASE": sqlalchemy_url,
            "LEDGER": database_url,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"latch": "armed"}
    assert halts(postgres_ledger) == [("airflow:pause", "the DAG kill_switch was paused")] * 2


def test_airflows_pools_are_read_where_its_tables_are(database_url: str) -> None:
    """None where they are elsewhere: that is not the same as none being there."""
    assert airflow_pools(database_url) is None
    execute(database_url, "CREATE TABLE public.slot_pool (id integer, pool text, slots integer)")
    assert airflow_pools(database_url) == {}
    execute(database_url, "INSERT INTO public.slot_pool VALUES (1, 'default_pool', 3), (2, 'control', 3)")
    assert airflow_pools(database_url) == {"default_pool": 3, "control": 3}
