"""What both ledgers promise of accounts and of the kill switch's memory."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.examples import ACCOUNT, RUN, T0, override
from trading.domain.dual_control import signature_of
from trading.domain.kill_switch import ControlEvent, ControlKind, LatchState
from trading.domain.override import Action, OverrideRefused
from trading.errors import ConfigurationError, InvariantViolation
from trading.ports.control import EVERY_ACCOUNT
from trading.ports.ledger import Account, Ledger


def halt(**changes: Any) -> ControlEvent:
    values: dict[str, Any] = {
        "kind": ControlKind.HALT_ENGAGED,
        "author": "ada",
        "reason": "something smells",
        "at": T0,
        "run_id": RUN.run_id,
        "dag_id": RUN.dag_id,
        "detail": {"why": "test"},
    }
    return ControlEvent(**(values | changes))


def release_all(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        for number, one in enumerate(books.control.halts(ACCOUNT)):
            books.control.release(ACCOUNT, override(halt_id=one.halt_id, token_id=f"r{number}"), at=T0, run=RUN)


def test_a_fresh_account_is_opened_once_in_its_first_incarnation_and_epoch(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        assert books.accounts.get(ACCOUNT) is None
        assert books.accounts.open(ACCOUNT, venue="binance", mode="replay", at=T0, run=RUN) is True
        assert books.accounts.open(ACCOUNT, venue="kraken", mode="live", at=T0, run=RUN) is False
    with ledger.transaction() as books:
        assert books.accounts.get(ACCOUNT) == Account(
            account=ACCOUNT, venue="binance", mode="replay", incarnation=1, epoch=0, opened_at=T0
        )
        assert books.accounts.lock(ACCOUNT) == books.accounts.get(ACCOUNT)


def test_a_fresh_account_is_halted_and_has_no_lease(opened: Ledger) -> None:
    with opened.transaction() as books:
        (first,) = books.control.halts(ACCOUNT)
        assert (first.author, first.scope, first.engaged_at) == (RUN.actor, "all", T0)
        assert "signed override" in first.reason
        assert books.control.lease_expires_at(ACCOUNT) is None


@pytest.mark.parametrize(("name", "mode"), [("", "replay"), (EVERY_ACCOUNT, "replay"), ("a", "demo")])
def test_an_account_needs_a_name_of_its_own_and_a_known_mode(ledger: Ledger, name: str, mode: str) -> None:
    with pytest.raises(InvariantViolation), ledger.transaction() as books:
        books.accounts.open(name, venue="binance", mode=mode, at=T0, run=RUN)


def test_locking_an_account_that_was_never_opened_is_a_configuration_error(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="nobody"), ledger.transaction() as books:
        books.accounts.lock("nobody")


def test_epoch_and_incarnation_grow_by_one_and_survive_the_transaction(opened: Ledger) -> None:
    with opened.transaction() as books:
        books.accounts.lock(ACCOUNT)
        assert [books.accounts.advance_epoch(ACCOUNT) for _ in range(3)] == [1, 2, 3]
        assert books.accounts.next_incarnation(ACCOUNT) == 2
    with opened.transaction() as books:
        account = books.accounts.lock(ACCOUNT)
        assert (account.epoch, account.incarnation) == (3, 2)


@pytest.mark.parametrize("step", ["advance_epoch", "next_incarnation"])
def test_a_step_of_the_account_without_its_lock_is_refused(opened: Ledger, step: str) -> None:
    with opened.transaction() as books:
        books.accounts.lock(ACCOUNT)
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        getattr(books.accounts, step)(ACCOUNT)


def test_halts_are_listed_oldest_first_with_those_of_all_accounts_and_not_of_others(opened: Ledger) -> None:
    with opened.transaction() as books:
        own = books.control.engage(ACCOUNT, halt(reason="own"))
        everywhere = books.control.engage(EVERY_ACCOUNT, halt(reason="pause", author="airflow:pause"))
        books.control.engage("other", halt(reason="not ours"))
        halts = books.control.halts(ACCOUNT)
    assert [one.halt_id for one in halts[1:]] == [own, everywhere]
    assert [(one.author, one.reason) for one in halts[1:]] == [("ada", "own"), ("airflow:pause", "pause")]
    assert own < everywhere


def test_a_halt_can_be_engaged_for_an_account_that_does_not_exist_since_anybody_may_stop(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        books.control.engage(ACCOUNT, halt())
        assert len(books.control.halts(ACCOUNT)) == 1


def test_a_release_ends_exactly_the_named_halt(opened: Ledger) -> None:
    with opened.transaction() as books:
        second = books.control.engage(ACCOUNT, halt())
        books.control.release(ACCOUNT, override(halt_id=second), at=T0, run=RUN)
        assert second not in {one.halt_id for one in books.control.halts(ACCOUNT)}
        assert len(books.control.halts(ACCOUNT)) == 1


def test_a_halt_of_all_accounts_is_released_for_all(opened: Ledger) -> None:
    with opened.transaction() as books:
        everywhere = books.control.engage(EVERY_ACCOUNT, halt())
        books.control.release(ACCOUNT, override(halt_id=everywhere), at=T0, run=RUN)
        assert books.control.halts("other") == ()


def test_a_halt_is_released_once_whoever_signs_again(opened: Ledger) -> None:
    with opened.transaction() as books:
        halt_id = books.control.engage(ACCOUNT, halt())
        books.control.release(ACCOUNT, override(halt_id=halt_id), at=T0, run=RUN)
    for again in (
        override(halt_id=halt_id),
        override(halt_id=halt_id, token_id="token-2"),
        override(halt_id=halt_id, token_id="token-3", subject="bob", key_id="b"),
    ):
        with pytest.raises(OverrideRefused), opened.transaction() as books:
            books.control.release(ACCOUNT, again, at=T0, run=RUN)


def test_a_first_signature_waits_for_a_second_and_for_one_only(opened: Ledger) -> None:
    """It is told as it was signed, with those of other halts left out, and once completed it is gone."""
    keys = {"a": "k" * 32}
    with opened.transaction() as books:
        one, two = (books.control.engage(ACCOUNT, halt()) for _ in range(2))
        wish = override(halt_id=one, action=Action.REDUCE_ONLY, largest_notional=Decimal("5.5"), token_id="first")
        first = signature_of(wish, keys)
        books.control.sign_first(ACCOUNT, first, reason="r", at=T0, run=RUN)
        books.control.sign_first(
            ACCOUNT, signature_of(override(halt_id=two, token_id="other"), keys), reason="r", at=T0, run=RUN
        )
        assert books.control.waiting(ACCOUNT, one) == (first,)
        assert books.control.waiting("stranger", one + 1000) == ()
        second = replace(wish, token_id="second", subject="bob", key_id="b")
        books.control.grant(ACCOUNT, second, at=T0, run=RUN, first=first)
        assert books.control.waiting(ACCOUNT, one) == ()
        assert [grant.largest_notional for grant in books.control.grants(ACCOUNT, T0)] == [Decimal("5.5")]
        assert books.control.history(ACCOUNT, 1)[0].detail["first_jti"] == "first"
    for token in ("first", "second", "third"):
        with pytest.raises(OverrideRefused), opened.transaction() as books:
            books.control.release(ACCOUNT, replace(second, token_id=token), at=T0, run=RUN, first=first)


def test_refusals_are_counted_by_account_and_instant(opened: Ledger) -> None:
    with opened.transaction() as books:
        for second in range(3):
            at = T0 + timedelta(seconds=second)
            books.control.refuse(ACCOUNT, halt(kind=ControlKind.OVERRIDE_REFUSED, at=at))
        assert [books.control.refusals_since(ACCOUNT, T0 + timedelta(seconds=n)) for n in (-1, 0, 1, 2)] == [3, 2, 1, 0]
        assert books.control.refusals_since("other", T0 - timedelta(seconds=1)) == 0


def test_a_token_releases_once_even_another_halt(opened: Ledger) -> None:
    with opened.transaction() as books:
        first, second = (books.control.engage(ACCOUNT, halt()) for _ in range(2))
        books.control.release(ACCOUNT, override(halt_id=first, token_id="once"), at=T0, run=RUN)
    with pytest.raises(OverrideRefused) as caught, opened.transaction() as books:
        books.control.release(ACCOUNT, override(halt_id=second, token_id="once"), at=T0, run=RUN)
    assert "token" in caught.value.cause
    with opened.transaction() as books:
        assert second in {one.halt_id for one in books.control.halts(ACCOUNT)}


def test_one_person_may_release_different_halts_with_different_tokens(opened: Ledger) -> None:
    release_all(opened)
    with opened.transaction() as books:
        halt_id = books.control.engage(ACCOUNT, halt())
        books.control.release(ACCOUNT, override(halt_id=halt_id, token_id="second"), at=T0, run=RUN)
        assert books.control.halts(ACCOUNT) == ()


def test_a_halt_that_is_not_there_or_not_ours_is_not_released(opened: Ledger) -> None:
    with opened.transaction() as books:
        others = books.control.engage("other", halt())
    for halt_id in (others, others + 1000):
        with pytest.raises(OverrideRefused), opened.transaction() as books:
            books.control.release(ACCOUNT, override(halt_id=halt_id), at=T0, run=RUN)


def test_history_tells_halts_releases_and_refusals_newest_first(opened: Ledger) -> None:
    refusal = halt(kind=ControlKind.OVERRIDE_REFUSED, halt_id=None, reason="expired", detail={"jti": "x"})
    with opened.transaction() as books:
        engaged = halt()
        halt_id = books.control.engage(ACCOUNT, engaged)
        books.control.refuse(ACCOUNT, refusal)
        books.control.refuse("other", refusal)
        books.control.release(ACCOUNT, override(halt_id=halt_id), at=T0 + timedelta(seconds=9), run=RUN)
        released, refused, stored, first = books.control.history(ACCOUNT, 10)
        assert books.control.history(ACCOUNT, 2) == [released, refused]
    assert refused == refusal
    assert stored == replace(engaged, halt_id=halt_id)
    assert first.kind is ControlKind.HALT_ENGAGED
    assert (released.kind, released.halt_id, released.author) == (ControlKind.HALT_RELEASED, halt_id, "ada")
    assert (released.at, released.reason) == (T0 + timedelta(seconds=9), "checked the books")
    assert released.detail["jti"] == "token-1"


def test_an_adoption_is_in_the_history_with_its_figures_and_ends_no_halt(opened: Ledger) -> None:
    adopted = halt(kind=ControlKind.ADOPTED, reason="deposit", detail={"balance USDT": "ours 1, theirs 2"})
    with opened.transaction() as books:
        books.control.adopt(ACCOUNT, adopted)
    with opened.transaction() as books:
        assert books.control.history(ACCOUNT, 1) == [adopted]
        assert len(books.control.halts(ACCOUNT)) == 1
        assert books.control.history("other", 1) == []


def test_only_a_halt_engages_and_only_a_refusal_is_refused(opened: Ledger) -> None:
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.control.engage(ACCOUNT, halt(kind=ControlKind.HALT_RELEASED, halt_id=1))
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.control.refuse(ACCOUNT, halt())
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.control.adopt(ACCOUNT, halt())


def test_the_lease_ends_when_it_was_last_told_to(opened: Ledger) -> None:
    with opened.transaction() as books:
        for minutes in (3, 5, 1):
            books.control.renew_lease(ACCOUNT, T0 + timedelta(minutes=minutes), RUN)
    with opened.transaction() as books:
        assert books.control.lease_expires_at(ACCOUNT) == T0 + timedelta(minutes=1)
        assert books.control.lease_expires_at("other") is None


def test_without_airflows_tables_there_is_no_latch_to_arm(opened: Ledger) -> None:
    with opened.transaction() as books:
        assert books.control.latch() is LatchState.NO_AIRFLOW_TABLES
        assert books.control.arm_latch() is LatchState.NO_AIRFLOW_TABLES
