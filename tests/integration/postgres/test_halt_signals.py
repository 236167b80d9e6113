"""Who waits for halts hears of each, at once, after a lost connection too, and of nothing that was seen to."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from postgres_scenes import ACCOUNT, NOW, open_account

from trading.adapters.postgres.halt_signals import unverified_halts
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.kill_switch import ControlEvent, ControlKind

pytestmark = pytest.mark.postgres


def record(ledger: PostgresLedger, kind: ControlKind, halt_id: int | None = None) -> int:
    event = ControlEvent(kind=kind, author="a", reason="r", at=NOW, run_id="r", dag_id="d", halt_id=halt_id)
    with ledger.transaction() as books:
        if kind is ControlKind.HALT_ENGAGED:
            return books.control.engage(ACCOUNT, event)
        books.control.take_effect(ACCOUNT, event)
    return 0


def heard(url: str, *deeds: Callable[[], object]) -> list[tuple[int, ...]]:
    """What is told first, and after each deed, well before anybody would look by himself."""

    async def listen() -> list[tuple[int, ...]]:
        signals = unverified_halts(url, ACCOUNT)
        told = [await anext(signals)]
        for deed in deeds:
            waiting = asyncio.ensure_future(anext(signals))
            await asyncio.sleep(0)
            await asyncio.to_thread(deed)
            told.append(await asyncio.wait_for(waiting, 10))
        await signals.aclose()  # type: ignore[attr-defined]
        return told

    return asyncio.run(listen())


def test_each_halt_is_told_once_and_at_once(postgres_ledger: PostgresLedger, database_url: str) -> None:
    """Those that stand when the listening begins, then each new one; the ones before it are not told again so soon."""
    open_account(postgres_ledger)  # a new account is halted
    first = record(postgres_ledger, ControlKind.HALT_ENGAGED)
    told = heard(database_url, lambda: record(postgres_ledger, ControlKind.HALT_ENGAGED))
    assert told == [(first - 1, first), (first + 1,)]


def test_a_halt_that_was_verified_is_not_told(postgres_ledger: PostgresLedger, database_url: str) -> None:
    first = record(postgres_ledger, ControlKind.HALT_ENGAGED)
    record(postgres_ledger, ControlKind.HALT_VERIFIED, first)
    second = record(postgres_ledger, ControlKind.HALT_ENGAGED)
    assert heard(database_url) == [(second,)]


def test_a_lost_connection_is_made_anew_and_nothing_is_missed(
    postgres_ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session; a halt that nobody heard of is told once there is a new one."""
    monkeypatch.setattr("trading.adapters.postgres.halt_signals._RECONNECT_S", 0.01)
    first = record(postgres_ledger, ControlKind.HALT_ENGAGED)

    def lose_it() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE '%halt_open%' AND pid <> pg_backend_pid()"
                " OR query LIKE 'LISTEN%'"
            )
        record(PostgresLedger(database_url), ControlKind.HALT_ENGAGED)

    assert heard(database_url, lose_it) == [(first,), (first + 1,)]


def test_a_halt_becomes_effective_once_and_for_one_account(postgres_ledger: PostgresLedger) -> None:
    """The second time changes nothing, and another account's halt of everything is not effective through ours."""
    halt_id = record(postgres_ledger, ControlKind.HALT_ENGAGED)
    for seconds in (1, 2):
        effect = ControlEvent(
            kind=ControlKind.HALT_EFFECTIVE,
            author="a",
            reason="r",
            at=NOW + timedelta(seconds=seconds),
            run_id="r",
            dag_id="d",
            halt_id=halt_id,
        )
        with postgres_ledger.transaction() as books:
            books.control.take_effect(ACCOUNT, effect)
            (halt,) = books.control.halts(ACCOUNT)
    assert (halt.effective_at, halt.verified_at) == (NOW + timedelta(seconds=1), None)
