"""A run's record, where the database fails beside it."""

import logging
from typing import Any

import pytest

from tests.desk import Behind, Desk
from trading.errors import DatabaseUnavailable, ExchangeUnavailable
from trading.flows.recording import recorded


def gone() -> Any:
    raise DatabaseUnavailable("the database is away")


def test_a_failure_that_cannot_be_recorded_is_raised_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """What went wrong first is what the caller hears of; that it is in no record is in the log."""
    desk = Desk()
    asked: list[int] = []

    def transaction() -> Any:
        asked.append(1)
        return desk.memory_ledger.transaction() if len(asked) == 1 else gone()

    def body() -> Any:
        raise ExchangeUnavailable("the venue is away")

    with caplog.at_level(logging.INFO), pytest.raises(ExchangeUnavailable, match="the venue is away"):
        recorded(
            Behind(desk.memory_ledger, transaction=transaction), desk.clock, desk.run_of("reconcile"), "reconcile", body
        )
    events = [record.__dict__.get("event") for record in caplog.records]
    assert events == ["run_started", "run_unrecorded", "run_failed"]


def test_a_start_that_cannot_be_recorded_starts_nothing() -> None:
    """No body without a recorded run."""
    desk = Desk()
    done: list[int] = []
    with pytest.raises(DatabaseUnavailable):
        recorded(
            Behind(desk.memory_ledger, transaction=gone),
            desk.clock,
            desk.run_of("place"),
            "place",
            lambda: done.append(1),  # type: ignore[arg-type, return-value]
        )
    assert done == []
