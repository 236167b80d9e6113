"""What contract tests share: the two ledgers that must behave alike, and a venue that follows a script."""

from collections.abc import Iterator

import pytest
import stamina
from scripted_venue import ScriptedVenue

from tests.examples import ACCOUNT, RUN, T0
from trading.adapters.memory.ledger import MemoryLedger
from trading.clock import ManualClock
from trading.ports.ledger import Ledger


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """An empty ledger, once in memory and once in PostgreSQL."""
    if request.param == "memory":
        return MemoryLedger(ManualClock(T0))
    postgres: Ledger = request.getfixturevalue("postgres_ledger")
    return postgres


@pytest.fixture
def opened(ledger: Ledger) -> Ledger:
    """A ledger in which the account exists."""
    with ledger.transaction() as books:
        books.accounts.open(ACCOUNT, venue="binance", mode="replay", at=T0, run=RUN)
    return ledger


@pytest.fixture
def venue() -> Iterator[ScriptedVenue]:
    """A server that answers as its script says."""
    with ScriptedVenue() as scripted:
        yield scripted


@pytest.fixture
def no_backoff() -> Iterator[None]:
    """Retries without waiting between them."""
    stamina.set_testing(True, attempts=3, cap=True)
    yield
    stamina.set_testing(False)
