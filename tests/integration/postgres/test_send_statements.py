"""What one send asks of PostgreSQL: it waits for an answer as seldom as it can."""

from typing import Any

import psycopg
import pytest

from tests.benchmarks.stage import LIMITS, RUN, market_view, open_account, pause
from trading.flows.send import Outcome

pytestmark = pytest.mark.postgres


def test_a_sender_reads_ahead_all_that_it_reads(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read ahead under other parameters than its reader names would be asked a second time."""
    account = open_account(database_url, "replay")
    order = account.planned(0)
    asked: list[str] = []
    execute = psycopg.Connection.execute

    def watched(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        asked.append(query)
        return execute(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", watched)
    outcome, why = account.sender().send(order, market_view(), RUN, limits=LIMITS, epoch=account.epoch, pause=pause())
    account.ledger.close()
    assert outcome is Outcome.REJECTED, why
    written = [query for query in asked if query.startswith("INSERT")]
    assert len(written) == 3  # the check, the submission, the answer
    authorised = asked[asked.index(next(query for query in asked if "FOR NO KEY UPDATE" in query)) :]
    authorised = authorised[: authorised.index(written[1])]
    assert len(authorised) == len(set(authorised)), "something was asked twice"
    read_ahead = next(number for number, query in enumerate(asked) if query.startswith("SELECT * FROM (SELECT)"))
    assert asked[read_ahead + 1] == written[0], "something was asked again, or was not read ahead"
