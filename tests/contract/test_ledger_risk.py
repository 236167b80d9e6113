"""What the checks read beside orders and balances: both ledgers tell the same."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.examples import ACCOUNT, MINUTE, RUN, T0, intent, override
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import ManualClock
from trading.domain.kill_switch import TOLD, ControlEvent, ControlKind
from trading.domain.losses import AUTHOR, first_mark, next_mark
from trading.errors import InvariantViolation
from trading.flows.deploy import Deploy
from trading.ports.ledger import Ledger


def event(kind: ControlKind, **changes: str) -> ControlEvent:
    return replace(ControlEvent(kind=kind, author="ada", reason="", at=T0, run_id="r", dag_id="d"), **changes)  # type: ignore[arg-type]


def test_marks_are_exact_and_the_newest_day_s_stand(opened: Ledger) -> None:
    """To the last digit, through whatever they are read by; a scope that is gone stands no more."""
    old = first_mark("strategy:gone", equity=Decimal(1), at=T0 - timedelta(days=1), position=0)
    first = first_mark("strategy:sma", equity=Decimal("3.000000000000000001"), at=T0, position=4)
    mark = next_mark(first, equity=Decimal(1), flow=Decimal(0), at=T0 + MINUTE, position=7)
    with opened.transaction() as books:
        books.risk.keep_marks(ACCOUNT, [old, first], RUN)
        books.risk.keep_marks(ACCOUNT, [mark], RUN)
    with opened.transaction() as books:
        assert books.risk.standing(ACCOUNT).marks == {"strategy:sma": mark}
        assert books.risk.marks(ACCOUNT) == {"strategy:gone": old, "strategy:sma": mark}


def test_a_loss_is_taken_by_the_release_of_its_own_halt(opened: Ledger) -> None:
    """The release of any other halt says nothing of losses."""
    with opened.transaction() as books:
        lost = event(ControlKind.HALT_ENGAGED, author=AUTHOR, scope="strategy:sma")
        halts = [books.control.engage(ACCOUNT, one) for one in (lost, event(ControlKind.HALT_ENGAGED))]
        books.control.release(ACCOUNT, override(halt_id=halts[1], token_id="other"), at=T0, run=RUN)
        assert books.risk.losses_taken_at(ACCOUNT) == {}
        books.control.release(ACCOUNT, override(halt_id=halts[0], token_id="this"), at=T0 + MINUTE, run=RUN)
        assert books.risk.losses_taken_at(ACCOUNT) == {"strategy:sma": T0 + MINUTE}


def test_what_halts_releases_or_grants_has_its_own_way_in(opened: Ledger) -> None:
    """Nothing that a signature is asked for can be appended as if it were only told."""
    for kind in set(ControlKind) - set(TOLD):
        with (
            pytest.raises(InvariantViolation, match="expected a override_refused or"),
            opened.transaction() as books,
        ):
            books.control.record(ACCOUNT, event(kind))


def test_a_cancel_of_nothing_is_refused(opened: Ledger) -> None:
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.risk.note_cancel(ACCOUNT, intent().client_order_id, T0, RUN)


@pytest.mark.postgres
def test_the_newest_deployment_decides_which_version_may_send(postgres_ledger: Ledger, database_url: str) -> None:
    """Nobody said: both may. Once one version was deployed, the other one differs; a repetition is no news."""
    other = PostgresLedger(database_url, code_version="another")

    def differs(ledger: Ledger) -> bool:
        with ledger.transaction() as books:
            return bool(books.risk.standing(ACCOUNT).versions.mismatch)

    assert not differs(postgres_ledger)
    assert Deploy(other, ManualClock(T0)).run(RUN).changed
    assert (differs(postgres_ledger), differs(other)) == (True, False)
    assert not Deploy(other, ManualClock(T0)).run(RUN).changed
    assert Deploy(postgres_ledger, ManualClock(T0)).run(RUN).changed
    assert (differs(postgres_ledger), differs(other)) == (False, True)
    other.close()


@pytest.mark.postgres
def test_a_process_of_another_schema_differs(postgres_ledger: Ledger, database_url: str) -> None:
    import psycopg

    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE trading.alembic_version SET version_num = '9999'")
    with postgres_ledger.transaction() as books:
        assert "deployed is 9999" in books.risk.standing(ACCOUNT).versions.mismatch
