"""Overrides on a real PostgreSQL: one token wins once, two halves make one release, refusals are counted exactly."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from postgres_scenes import ACCOUNT, RUN, open_account

from tests.examples import override
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import SystemClock
from trading.domain.dual_control import signature_of
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.override import MAX_REFUSALS, Action, Override, OverrideRefused, sign_override
from trading.flows.resume import Outcome, Resume
from trading.ports.control import EVERY_ACCOUNT

pytestmark = pytest.mark.postgres

THREADS = 16
KEYS = {"a": "k" * 32, "b": "l" * 32}
#: A share; OVERRIDE_ROUNDS=100 is the whole figure, in about a minute.
ROUNDS = int(os.environ.get("OVERRIDE_ROUNDS", "10"))


@pytest.fixture
def ledgers(database_url: str) -> Iterator[list[PostgresLedger]]:
    """A connection a thread, as so many processes would have."""
    found = [PostgresLedger(database_url) for _ in range(THREADS)]
    open_account(found[0])
    yield found
    for ledger in found:
        ledger.close()


def engage(ledger: PostgresLedger, account: str = ACCOUNT) -> int:
    with ledger.transaction() as books:
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED, author="eve", reason="r", at=books.now(), run_id="r", dag_id="d"
        )
        return books.control.engage(account, event)


def wish(ledger: PostgresLedger, halt_id: int, **changes: Any) -> Override:
    """An override that is valid now, by the database's clock."""
    with ledger.transaction() as books:
        issued = books.now().replace(microsecond=0)
    times = {"issued_at": issued, "expires_at": issued + timedelta(minutes=10)}
    return override(**({"halt_id": halt_id, "token_id": f"t{halt_id}"} | times | changes))


def brought(ledger: PostgresLedger, token: str, **changes: Any) -> str:
    """What became of a token: an outcome, or refused."""
    settings: dict[str, Any] = {"keys": KEYS, "max_refusals": 10**9}
    flow = Resume(ledger, SystemClock(), account=ACCOUNT, environment="replay", **(settings | changes))
    number = next(_numbers)
    try:
        return flow.run(replace(RUN, run_id=f"resume__{number}"), token).outcome.value
    except OverrideRefused:
        return "refused"


_numbers = iter(range(10**9))


def at_once(ledgers: list[PostgresLedger], act: Callable[[PostgresLedger], str]) -> Counter[str]:
    """What became of it on every connection at the same moment."""
    start = threading.Barrier(len(ledgers))

    def one(ledger: PostgresLedger) -> str:
        start.wait(timeout=30)
        return act(ledger)

    with ThreadPoolExecutor(len(ledgers)) as pool:
        return Counter(pool.map(one, ledgers))


def test_of_sixteen_that_replay_a_token_exactly_one_wins(ledgers: list[PostgresLedger]) -> None:
    """Round after round, each with a halt and a token of its own, through the whole flow."""
    for _ in range(ROUNDS):
        halt = engage(ledgers[0])
        token = sign_override(wish(ledgers[0], halt), KEYS["a"])
        assert at_once(ledgers, lambda ledger, token=token: brought(ledger, token)) == {"released": 1, "refused": 15}
        with ledgers[0].transaction() as books:
            assert halt not in {one.halt_id for one in books.control.halts(ACCOUNT)}


def test_of_sixteen_first_signatures_by_two_people_one_release_comes(ledgers: list[PostgresLedger]) -> None:
    """Eight times the one's token and eight times the other's: one half, one release, fourteen refusals."""
    for _ in range(max(1, ROUNDS // 5)):
        halt = engage(ledgers[0])
        ada = sign_override(wish(ledgers[0], halt, token_id=f"ada{halt}"), KEYS["a"])
        bob = sign_override(wish(ledgers[0], halt, token_id=f"bob{halt}", subject="bob", key_id="b"), KEYS["b"])
        tokens = dict(zip(map(id, ledgers), [ada, bob] * (THREADS // 2), strict=True))

        def bring(ledger: PostgresLedger, tokens: dict[int, str] = tokens) -> str:
            return brought(ledger, tokens[id(ledger)], dual_control=True)

        assert at_once(ledgers, bring) == {"signed": 1, "released": 1, "refused": THREADS - 2}


def test_a_guesser_on_sixteen_connections_gets_five_guesses_a_minute(ledgers: list[PostgresLedger]) -> None:
    """Counted under the account's lock: no burst slips past, and the rows are those of what was looked at."""
    token = sign_override(wish(ledgers[0], engage(ledgers[0])), "x" * 32)
    assert at_once(ledgers, lambda ledger: brought(ledger, token, max_refusals=MAX_REFUSALS)) == {"refused": THREADS}
    with ledgers[0].transaction() as books:
        kinds = [event.kind for event in books.control.history(ACCOUNT, 100)]
        assert kinds.count(ControlKind.OVERRIDE_REFUSED) == MAX_REFUSALS
        assert books.control.refusals_since(ACCOUNT, books.now() - timedelta(minutes=1)) == MAX_REFUSALS
        assert books.control.refusals_since("other", books.now() - timedelta(minutes=1)) == 0


def test_leave_to_reduce_under_a_halt_of_all_accounts_is_the_accounts_own(ledgers: list[PostgresLedger]) -> None:
    """Whoever may close positions here may not do it in another account."""
    halt = engage(ledgers[0], EVERY_ACCOUNT)
    reduce = wish(ledgers[0], halt, action=Action.REDUCE_ONLY, largest_notional=Decimal("5000.5"))
    assert brought(ledgers[0], sign_override(reduce, KEYS["a"])) == Outcome.GRANTED
    with ledgers[0].transaction() as books:
        (grant,) = books.control.grants(ACCOUNT, books.now())
        assert (grant.halt_id, grant.largest_notional, grant.expires_at) == (halt, Decimal("5000.5"), reduce.expires_at)
        assert books.control.grants("other", books.now()) == ()
        assert books.control.grants(ACCOUNT, reduce.expires_at) == ()


def test_an_override_of_a_halt_that_never_was_is_refused_and_nothing_worse(ledgers: list[PostgresLedger]) -> None:
    """Its row cannot point at what does not exist; a signed number from another database is no invariant broken."""
    assert brought(ledgers[0], sign_override(wish(ledgers[0], 10**9), KEYS["a"])) == "refused"
    with ledgers[0].transaction() as books:
        (event,) = books.control.history(ACCOUNT, 1)
    assert (event.kind, event.halt_id, event.detail["halt"]) == (ControlKind.OVERRIDE_REFUSED, None, str(10**9))


@pytest.mark.parametrize("changes", [{"subject": "ADA"}, {"key_id": "a"}, {"first": "spent"}])
def test_the_database_itself_takes_no_half_for_a_whole(ledgers: list[PostgresLedger], changes: dict[str, str]) -> None:
    """Whatever the code above it decided: the same person, the same key, or a signature that waits no more."""
    halt = engage(ledgers[0])
    first = signature_of(wish(ledgers[0], halt), KEYS)
    named = replace(first, token_id=changes.get("first", first.token_id))
    names = {name: value for name, value in changes.items() if name != "first"}
    second = wish(ledgers[0], halt, **({"token_id": "second", "subject": "bob", "key_id": "b"} | names))
    with ledgers[0].transaction() as books:
        books.control.sign_first(ACCOUNT, first, reason="r", at=books.now(), run=RUN)
    with pytest.raises(OverrideRefused) as caught, ledgers[0].transaction() as books:
        books.control.release(ACCOUNT, second, at=books.now(), run=RUN, first=named)
    assert caught.value.cause == "the first signature waits no more"


def test_a_row_that_names_one_person_twice_is_refused_by_a_constraint(
    ledgers: list[PostgresLedger], database_url: str
) -> None:
    """Written past every line of our code."""
    halt = engage(ledgers[0])
    insert = (
        "INSERT INTO trading.control_event (account, kind, halt_id, author, reason, at, run_id, dag_id, detail,"
        " token_id, key_id) VALUES ('replay', 'halt_released', %s, %s, 'r', now(), 'r', 'd', %s, 'x', %s)"
    )
    detail = '{"first_jti": "y", "first_person": "ada", "first_kid": "a"}'
    with psycopg.connect(database_url, autocommit=True) as connection:
        for author, key in (("Ada", "b"), ("bob", "a")):
            with pytest.raises(psycopg.errors.CheckViolation, match="control_event_two_people"):
                connection.execute(insert, [halt, author, detail, key])
        with pytest.raises(psycopg.errors.CheckViolation, match="control_event_override"):
            connection.execute(insert, [halt, "bob", detail, None])
        connection.execute(insert, [halt, "bob", detail, "b"])


def test_the_code_and_the_schema_that_it_migrated_agree(ledgers: list[PostgresLedger], database_url: str) -> None:
    """And a release is refused where they do not."""
    with ledgers[0].transaction() as books:
        versions = books.risk.standing(ACCOUNT).versions
    assert versions.deployed_schema == versions.schema >= "0014"
    assert versions.mismatch == ""
    token = sign_override(wish(ledgers[0], engage(ledgers[0])), KEYS["a"])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE trading.alembic_version SET version_num = '9999'")
    assert brought(ledgers[0], token) == "refused"
