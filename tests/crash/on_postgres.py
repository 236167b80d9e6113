"""The same schedules over a real PostgreSQL: one database a worker, emptied between schedules."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import cached_property
from typing import Any, Final
from unittest.mock import patch

import psycopg
from psycopg.rows import dict_row

from tests.conftest import with_database
from tests.crash.appointments import SimulatedClock
from tests.crash.faults import Faults
from tests.crash.ledger_truth import ControlFact, LedgerTruth
from tests.crash.simulation import simulate
from trading.adapters.memory.orders import ChainLink
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.domain.kill_switch import ControlKind
from trading.domain.ledger import Fill
from trading.domain.order import OrderEvent, OrderIntent, OrderState, OrderType, Purpose, Side
from trading.ports.ledger import Books, Ledger

#: What migrations put there, and what schedules leave alone.
_KEPT: Final = ("order_state", "order_transition")

_COUNTS: Final = """
SELECT (SELECT chain_sequence FROM trading.account) AS links,
       (SELECT count(*) FROM trading.fill) AS fills,
       (SELECT count(*) FROM trading.control_event) AS controls
"""
_LINKS: Final = """
SELECT client_order_id, sequence, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
       request_hash, epoch, detail, previous_hash, hash
FROM trading.order_event WHERE chain_sequence > %s ORDER BY chain_sequence
"""
_FILLS: Final = """
SELECT venue, instrument, venue_fill_id, venue_order_id, client_order_id, side, price, quantity, fee, fee_currency,
       filled_at, is_maker
FROM trading.fill ORDER BY recorded_at OFFSET %s
"""
_CONTROLS: Final = """
SELECT kind, coalesce(halt_id, event_id) AS halt_id, author, at FROM trading.control_event ORDER BY event_id OFFSET %s
"""
_INTENT: Final = """
SELECT client_order_id, account, incarnation, strategy, instrument, timeframe, as_of, purpose, generation, side,
       order_type, quantity, limit_price, reference_price, target_quantity, planned_at, expires_at
FROM trading.order_intent WHERE client_order_id = %s
"""
_TOTALS: Final = """
SELECT currency AS name, sum(amount) AS total FROM trading.ledger_entry WHERE category = 'asset' GROUP BY currency
"""
_POSITIONS: Final = "SELECT instrument AS name, sum(quantity) AS total FROM trading.position_fold GROUP BY instrument"


class PostgresTruth:
    """LedgerTruth in plain SQL, over a connection of its own, which sees what was committed and nothing else."""

    def __init__(self, connection: "psycopg.Connection[dict[str, Any]]") -> None:
        self._connection = connection

    def in_transaction(self) -> bool:
        """Another connection's rows are never seen before their commit."""
        return False

    def links(self, known: int) -> Sequence[ChainLink]:
        """Reads only where the counts have grown; asked first of the three, so it asks for the counts."""
        self._now = self._rows(_COUNTS)[0]
        if (self._now["links"] or 0) <= known:
            return ()
        links = []
        for row in self._rows(_LINKS, known):
            previous, own = row.pop("previous_hash"), row.pop("hash")
            event = OrderEvent(**(row | {"state": OrderState(row["state"])}))
            links.append(ChainLink(event=event, previous=previous, hash=own))
        return links

    def fills(self, known: int) -> Sequence[Fill]:
        """New ones, in the order in which they were written."""
        rows = self._rows(_FILLS, known) if self._now["fills"] > known else []
        return [Fill(**(row | {"side": Side(row["side"])})) for row in rows]

    def controls(self, known: int) -> Sequence[ControlFact]:
        """New halts, releases and refusals."""
        rows = self._rows(_CONTROLS, known)
        return [ControlFact(**(row | {"kind": ControlKind(row["kind"])})) for row in rows]

    def intent(self, client_order_id: str) -> OrderIntent:
        """The wish of that name."""
        row = self._rows(_INTENT, client_order_id)[0]
        kinds = {"purpose": Purpose(row["purpose"]), "side": Side(row["side"])}
        return OrderIntent(**(row | kinds | {"order_type": OrderType(row["order_type"])}))

    def epoch(self) -> int:
        """The account's fencing epoch."""
        return int(self._rows("SELECT epoch FROM trading.account")[0]["epoch"])

    def totals(self) -> dict[str, Decimal]:
        """What the ledger holds, by currency; zeros left out."""
        return {row["name"]: row["total"] for row in self._rows(_TOTALS) if row["total"]}

    def positions(self) -> dict[str, Decimal]:
        """What all strategies hold, by instrument."""
        return {row["name"]: row["total"] for row in self._rows(_POSITIONS)}

    def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return self._connection.execute(sql.encode(), values).fetchall()


class SeveralProcesses:
    """Ledger whose calls go through the connection of whichever process runs: a stopped one keeps its own."""

    def __init__(self, ledgers: Sequence[PostgresLedger], running: Callable[[], int]) -> None:
        self._ledgers = ledgers
        self._running = running

    def transaction(self) -> AbstractContextManager[Books]:
        """On the running process's connection."""
        return self._ledgers[self._running()].transaction()

    def sending(self, account: str) -> AbstractContextManager[None]:
        """The running process's hold of the fence."""
        return self._ledgers[self._running()].sending(account)

    def draining(self, account: str) -> AbstractContextManager[None]:
        """The running process's exclusive hold."""
        return self._ledgers[self._running()].draining(account)

    def senders(self, account: str) -> int:
        """How many hold the fence."""
        return sum(ledger._senders[account] for ledger in self._ledgers)

    def close(self) -> None:
        """The worker closes them."""


class WorkerDatabase:
    """One worker's own database, with a connection for each process that a schedule can have at once."""

    def __init__(self, server: str, template: str) -> None:
        name = f"trading_crash_{os.getpid()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode())
        self._url = with_database(server, name)
        self._ledgers = [PostgresLedger(self._url, code_version="crash") for _ in range(2)]

    @cached_property
    def reader(self) -> "psycopg.Connection[dict[str, Any]]":
        """The judge's connection; it also empties the tables, past the triggers that refuse just that."""
        options = "-c timezone=UTC -c session_replication_role=replica"
        return psycopg.connect(self._url, autocommit=True, row_factory=dict_row, options=options)  # type: ignore[arg-type]

    @cached_property
    def _emptying(self) -> bytes:
        tables = self.reader.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'trading'").fetchall()
        names = sorted(row["tablename"] for row in tables if row["tablename"] not in _KEPT)
        sequences = self.reader.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'trading'").fetchall()
        deletes = [f"DELETE FROM trading.{name}" for name in names if "alembic" not in name]  # noqa: S608 — from the catalogue
        restarts = [f"ALTER SEQUENCE trading.{row['sequencename']} RESTART" for row in sequences]
        return "; ".join((*deletes, *restarts)).encode()

    def empty(self) -> None:
        """As after the migrations."""
        self.reader.execute(self._emptying)

    def store(self, clock: SimulatedClock, faults: Faults) -> tuple[Ledger, LedgerTruth]:
        """For one schedule, in an emptied database."""
        self.empty()
        return SeveralProcesses(self._ledgers, lambda: faults.depth), PostgresTruth(self.reader)


_databases: dict[tuple[int, str], WorkerDatabase] = {}


def schedule(server: str, template: str, seed: int) -> tuple[Counter[str], list[str]]:
    """One seed on this worker's database: what happened, and what was broken."""
    key = (os.getpid(), server)
    database = _databases.get(key) or _databases.setdefault(key, WorkerDatabase(server, template))
    with patch.object(PostgresBooks, "now", lambda _: current[0].now()):
        current: list[SimulatedClock] = []

        def store(clock: SimulatedClock, faults: Faults) -> tuple[Ledger, LedgerTruth]:
            current.append(clock)
            return database.store(clock, faults)

        world = simulate(seed, store)
        broken = world.verdict()
    return world.faults.counts, broken


def drop_databases(server: str) -> None:
    """What the workers leave behind on a server that goes on."""
    with psycopg.connect(server, autocommit=True) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'trading_crash_%'").fetchall()
        for (name,) in rows:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
