"""What both ledgers promise of runs and of comparisons with the venue."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.examples import ACCOUNT, MINUTE, RUN, T0
from trading.domain.ids import Run
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, ReconciliationResult
from trading.errors import InvariantViolation
from trading.ports.ledger import Ledger, RunRecord

CAUSED = Run(run_id="r2", dag_id="evaluate", actor="bob", run_type="asset_triggered", causes=("r1", "r0"))


def start(ledger: Ledger, run: Run, flow: str, seconds: int = 0) -> None:
    with ledger.transaction() as books:
        books.runs.start(run, flow, T0 + timedelta(seconds=seconds))


def finish(ledger: Ledger, run: Run, flow: str, **changes: Any) -> None:
    values: dict[str, Any] = {"outcome": "done", "message": "", "counts": {"orders": 2}}
    with ledger.transaction() as books:
        books.runs.finish(run, flow, changes.pop("at", T0 + MINUTE), **(values | changes))


def get(ledger: Ledger, run_id: str) -> list[RunRecord]:
    with ledger.transaction() as books:
        return books.runs.get(run_id)


def test_a_run_is_told_from_its_start_to_its_end(ledger: Ledger) -> None:
    start(ledger, CAUSED, "evaluate")
    running = RunRecord(
        run=CAUSED, flow="evaluate", started_at=T0, ended_at=None, outcome="running", message="", counts={}
    )
    assert get(ledger, "r2") == [running]
    finish(ledger, CAUSED, "evaluate", outcome="failed", message="it rained")
    ended = replace(running, ended_at=T0 + MINUTE, outcome="failed", message="it rained", counts={"orders": 2})
    assert get(ledger, "r2") == [ended]
    assert get(ledger, "nobody") == []


def test_a_run_that_starts_again_runs_again_and_loses_nothing(ledger: Ledger) -> None:
    start(ledger, RUN, "place")
    finish(ledger, RUN, "place")
    start(ledger, RUN, "place", seconds=120)
    (again,) = get(ledger, RUN.run_id)
    assert (again.outcome, again.ended_at, again.started_at) == ("running", None, T0)
    finish(ledger, RUN, "place", at=T0 + 3 * MINUTE, outcome="skipped", counts={})
    (ended,) = get(ledger, RUN.run_id)
    assert (ended.outcome, ended.ended_at, ended.counts) == ("skipped", T0 + 3 * MINUTE, {})


def test_the_flows_of_one_run_id_come_oldest_first_and_do_not_mix(ledger: Ledger) -> None:
    for seconds, flow in enumerate(("reconcile", "place", "halt")):
        start(ledger, RUN, flow, seconds)
    finish(ledger, RUN, "place")
    assert [(one.flow, one.outcome) for one in get(ledger, RUN.run_id)] == [
        ("reconcile", "running"),
        ("place", "done"),
        ("halt", "running"),
    ]


def test_the_same_run_id_of_two_dags_is_two_runs(ledger: Ledger) -> None:
    other = replace(RUN, dag_id="another")
    start(ledger, RUN, "place")
    start(ledger, other, "place", seconds=1)
    finish(ledger, other, "place")
    assert [(one.run.dag_id, one.outcome) for one in get(ledger, RUN.run_id)] == [
        (RUN.dag_id, "running"),
        ("another", "done"),
    ]


def test_a_run_that_never_started_does_not_end(ledger: Ledger) -> None:
    with pytest.raises(InvariantViolation):
        finish(ledger, RUN, "place")


def test_an_outcome_that_nobody_knows_is_refused(ledger: Ledger) -> None:
    start(ledger, RUN, "place")
    for wrong in ("running", "finished", ""):
        with pytest.raises(InvariantViolation):
            finish(ledger, RUN, "place", outcome=wrong)


def test_recent_runs_come_newest_first_of_one_flow_or_of_all(ledger: Ledger) -> None:
    for number, flow in enumerate(("a", "b", "a", "a")):
        start(ledger, replace(RUN, run_id=f"r{number}"), flow, seconds=0 if number == 3 else number)
    with ledger.transaction() as books:
        assert [one.run.run_id for one in books.runs.recent(None, 10)] == ["r2", "r1", "r3", "r0"]
        assert [one.run.run_id for one in books.runs.recent("a", 2)] == ["r2", "r3"]
        assert books.runs.recent("c", 2) == []
        assert books.runs.recent(None, 0) == []


def discrepancy(**changes: Any) -> Discrepancy:
    values: dict[str, Any] = {
        "kind": DiscrepancyKind.BALANCE,
        "key": "USDT",
        "ours": Decimal("100.000000001"),
        "theirs": Decimal(99),
        "first_seen_at": T0,
    }
    return Discrepancy(**(values | changes))


def compare(ledger: Ledger, *found: Discrepancy, minutes: int = 0, **changes: Any) -> list[Discrepancy]:
    """Record a comparison; the discrepancies that are open after it."""
    values: dict[str, Any] = {"compared": True, "unknown_orders": 0}
    result = ReconciliationResult(at=T0 + minutes * MINUTE, discrepancies=found, **(values | changes))
    with ledger.transaction() as books:
        books.reconciliations.record(ACCOUNT, result, RUN)
    with ledger.transaction() as books:
        return books.reconciliations.open_discrepancies(ACCOUNT)


def newest_clean(ledger: Ledger) -> object:
    with ledger.transaction() as books:
        return books.reconciliations.newest_clean_at(ACCOUNT)


def test_only_a_clean_comparison_is_clean(opened: Ledger) -> None:
    assert newest_clean(opened) is None
    compare(opened, compared=False)
    compare(opened, unknown_orders=1)
    compare(opened, discrepancy())
    assert newest_clean(opened) is None
    compare(opened, minutes=5)
    compare(opened, minutes=6, compared=False)
    compare(opened, minutes=4)
    assert newest_clean(opened) == T0 + 5 * MINUTE


def test_a_discrepancy_opens_is_confirmed_and_resolves(opened: Ledger) -> None:
    first = discrepancy()
    assert compare(opened, first) == [first]
    worse = discrepancy(theirs=Decimal(98), first_seen_at=T0 + MINUTE, confirmed=True)
    carried_on = replace(worse, first_seen_at=T0)
    assert compare(opened, worse, minutes=1) == [carried_on]
    assert compare(opened, replace(worse, confirmed=False), minutes=2) == [carried_on]
    assert compare(opened, minutes=3) == []


def test_a_comparison_that_could_not_be_made_resolves_nothing_and_may_add(opened: Ledger) -> None:
    first = discrepancy()
    external = discrepancy(kind=DiscrepancyKind.EXTERNAL_ORDER, key="9", first_seen_at=T0 + MINUTE)
    compare(opened, first)
    assert compare(opened, external, minutes=1, compared=False) == [first, external]
    assert compare(opened, external, minutes=2) == [external]


def test_what_was_resolved_and_comes_back_is_a_new_discrepancy(opened: Ledger) -> None:
    compare(opened, discrepancy(confirmed=True))
    compare(opened, minutes=1)
    back = discrepancy(first_seen_at=T0 + 2 * MINUTE)
    assert compare(opened, back, minutes=2) == [back]


def test_discrepancies_come_oldest_first_then_by_kind_and_key(opened: Ledger) -> None:
    found = [
        discrepancy(first_seen_at=T0 - MINUTE, kind=DiscrepancyKind.OVERFILL, key="z"),
        discrepancy(key="BTC"),
        discrepancy(key="USDT"),
        discrepancy(key="BTC", kind=DiscrepancyKind.EXTERNAL_FILL),
    ]
    assert compare(opened, *reversed(found)) == found
    with opened.transaction() as books:
        assert books.reconciliations.open_discrepancies("other") == []


def test_the_newest_count_of_sightings_is_kept(opened: Ledger) -> None:
    lost = discrepancy(kind=DiscrepancyKind.FORGOTTEN_ORDER, key="a")
    assert compare(opened, lost) == [lost]
    assert compare(opened, replace(lost, sightings=2), minutes=1, compared=False) == [replace(lost, sightings=2)]


NOTED = discrepancy(kind=DiscrepancyKind.EXTERNAL_FILL, key="BTC/USDT:7", theirs=Decimal("1.50"))


def acknowledge(ledger: Ledger, *findings: Discrepancy) -> object:
    with ledger.transaction() as books:
        books.reconciliations.acknowledge(ACCOUNT, findings, RUN)
    with ledger.transaction() as books:
        return books.reconciliations.acknowledged(ACCOUNT)


def test_what_was_acknowledged_is_remembered_by_kind_key_and_figure(opened: Ledger) -> None:
    with opened.transaction() as books:
        assert books.reconciliations.acknowledged(ACCOUNT) == frozenset()
    overfill = discrepancy(kind=DiscrepancyKind.OVERFILL, key="a", theirs=Decimal(2))
    further = replace(overfill, theirs=Decimal(3))
    order = replace(NOTED, kind=DiscrepancyKind.EXTERNAL_ORDER)
    assert acknowledge(opened, NOTED, order, overfill) == {NOTED.finding, order.finding, overfill.finding}
    assert acknowledge(opened, further) == {NOTED.finding, order.finding, overfill.finding, further.finding}
    with opened.transaction() as books:
        assert books.reconciliations.acknowledged("other") == frozenset()


def test_acknowledging_the_same_again_changes_nothing_however_it_is_dated_or_written(opened: Ledger) -> None:
    again = replace(NOTED, theirs=Decimal("1.5"), first_seen_at=T0 + MINUTE, confirmed=True, ours=Decimal(9))
    assert acknowledge(opened, NOTED, again) == {NOTED.finding} == {again.finding}


@pytest.mark.parametrize(
    "kind", [DiscrepancyKind.BALANCE, DiscrepancyKind.FORGOTTEN_ORDER, DiscrepancyKind.LATE_ACCEPTANCE]
)
def test_what_the_ledger_itself_must_end_cannot_be_waved_through(opened: Ledger, kind: DiscrepancyKind) -> None:
    with pytest.raises(InvariantViolation):
        acknowledge(opened, NOTED, replace(NOTED, kind=kind))
    with opened.transaction() as books:
        assert books.reconciliations.acknowledged(ACCOUNT) == frozenset()


def test_nothing_is_acknowledged_for_an_account_that_was_never_opened(ledger: Ledger) -> None:
    with pytest.raises(InvariantViolation):
        acknowledge(ledger, NOTED)
