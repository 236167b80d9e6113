"""Two signatures where two are asked for, leave to reduce, and patience with those who guess."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import ENVIRONMENT, Behind, Desk
from tests.examples import ACCOUNT
from trading.domain.dual_control import Grant
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.override import MAX_REFUSALS, Action, OverrideRefused
from trading.domain.versions import Versions
from trading.errors import ConfigurationError
from trading.flows.resume import Outcome, Resume, ResumeReport
from trading.flows.standing import Standing
from trading.ports.control import EVERY_ACCOUNT

KEYS = {"a": "k" * 32, "b": "l" * 32}
REDUCE: dict[str, Any] = {"action": Action.REDUCE_ONLY, "largest_notional": Decimal(5_000)}
BOB: dict[str, Any] = {"subject": "bob", "key_id": "b", "key": KEYS["b"]}


def resume(desk: Desk, halt_id: int, *, dual: bool = True, keys: dict[str, str] | None = None, **changes: Any) -> Any:
    flow = Resume(
        desk.ledger, desk.clock, account=ACCOUNT, environment=ENVIRONMENT, keys=keys or KEYS, dual_control=dual
    )
    report: ResumeReport = flow.run(desk.run_of("resume"), desk.token(halt_id, **changes))
    return report


def refusal(desk: Desk, halt_id: int, **changes: Any) -> str:
    """The cause of this refusal, by the audit log."""
    with pytest.raises(OverrideRefused):
        resume(desk, halt_id, **changes)
    event: ControlEvent = newest(desk)
    assert event.kind is ControlKind.OVERRIDE_REFUSED
    return event.reason


def newest(desk: Desk) -> Any:
    return desk.read(lambda books: books.control.history(ACCOUNT, 1)[0])


def grants(desk: Desk) -> Any:
    return desk.read(lambda books: books.control.grants(ACCOUNT, books.now()))


def test_two_people_with_two_keys_release_together() -> None:
    """The first signature is recorded and releases nothing; the second releases, and its row names both."""
    desk = Desk().open()
    halt = desk.halt()
    first = resume(desk, halt, token_id="one")
    assert (first.outcome, first.counts["signed"], first.counts["released"]) == (Outcome.SIGNED, 1, 0)
    assert [one.halt_id for one in desk.halts()] == [halt]
    assert newest(desk).kind is ControlKind.OVERRIDE_SIGNED
    assert resume(desk, halt, **BOB).outcome is Outcome.RELEASED
    assert desk.halts() == ()
    event = newest(desk)
    assert (event.author, event.detail["first_person"], event.detail["first_jti"]) == ("bob", "ada", "one")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "a second person must"),
        ({"key_id": "b", "key": KEYS["b"]}, "a second person must"),
        ({"subject": "bob"}, "another one must"),
        ({"token_id": "one", **BOB}, "the token was used"),
    ],
)
def test_one_person_or_one_key_is_no_two(changes: dict[str, Any], cause: str) -> None:
    """Refused, and the first signature goes on waiting for somebody else."""
    desk = Desk().open()
    halt = desk.halt()
    resume(desk, halt, token_id="one")
    assert cause in refusal(desk, halt, **changes)
    assert resume(desk, halt, **BOB).outcome is Outcome.RELEASED


def test_dual_control_with_one_key_under_two_names_is_a_mistake_of_the_settings() -> None:
    """As it is with one key alone: nothing can be released then, and it says so before any token is read."""
    desk = Desk().open()
    for keys in ({"a": KEYS["a"], "b": KEYS["a"]}, {"a": KEYS["a"]}):
        with pytest.raises(ConfigurationError, match="two keys"):
            resume(desk, desk.halt(), keys=keys)


def test_a_first_signature_lapses_with_its_token() -> None:
    """Both must be alive at one moment; whoever signed first signs again."""
    desk = Desk().open()
    halt = desk.halt()
    resume(desk, halt)
    desk.clock.advance(601)
    assert resume(desk, halt, **BOB).outcome is Outcome.SIGNED
    assert resume(desk, halt).outcome is Outcome.RELEASED


def test_a_key_that_was_retired_meanwhile_takes_its_signature_along() -> None:
    """The name stays and the content is new: what the old key signed completes nothing."""
    desk = Desk().open()
    halt = desk.halt()
    resume(desk, halt)
    fresh = KEYS | {"a": "n" * 32}
    assert "InvalidSignatureError" in refusal(desk, halt, keys=fresh)
    assert resume(desk, halt, keys=fresh, **BOB).outcome is Outcome.SIGNED
    assert resume(desk, halt, keys=fresh, key=fresh["a"]).outcome is Outcome.RELEASED


def test_a_new_halt_between_two_signatures_stands() -> None:
    """Both signed the older one, and only that one ends."""
    desk = Desk().open()
    older = desk.halt()
    resume(desk, older)
    newer = desk.halt("meanwhile")
    assert resume(desk, older, **BOB).halts_left == 1
    assert [one.halt_id for one in desk.halts()] == [newer]
    assert "is not open" in refusal(desk, older)


@pytest.mark.parametrize("dual", [False, True])
def test_a_new_halt_between_verification_and_release_stands(dual: bool) -> None:
    """Somebody halts at the last moment: the token names another halt, and trading stays forbidden."""
    desk = Desk().open()
    older = desk.halt()
    if dual:
        resume(desk, older)
    control = desk.memory_ledger._books.control

    def late(*facts: Any, **more: Any) -> None:
        event = ControlEvent(kind=ControlKind.HALT_ENGAGED, author="eve", reason="late", at=desk.clock.now(),
                             run_id="r", dag_id="d")  # fmt: skip
        control.engage(EVERY_ACCOUNT, event)
        control.release(*facts, **more)

    desk.memory_ledger._books.control = Behind(control, release=late)  # type: ignore[assignment]
    assert resume(desk, older, dual=dual, **BOB).halts_left == 1
    assert [one.reason for one in desk.halts()] == ["late"]


@pytest.mark.parametrize("dual", [False, True])
def test_leave_to_reduce_is_recorded_while_the_halt_stands(dual: bool) -> None:
    """With scope, largest notional and end; it ends with its first token, and with its halt."""
    desk = Desk().open()
    halt = desk.halt()
    if dual:
        desk.clock.advance(60)
        assert resume(desk, halt, **REDUCE).outcome is Outcome.SIGNED
        assert grants(desk) == ()
        desk.clock.advance(60)
    report = resume(desk, halt, dual=dual, **REDUCE, **BOB)
    assert report.outcome is Outcome.GRANTED
    assert len(desk.halts()) == 1
    (grant,) = grants(desk)
    assert grant == Grant(
        halt_id=halt, scope="all", largest_notional=Decimal(5_000), person="bob", expires_at=report.expires_at
    )
    assert newest(desk).detail["largest_notional"] == "5000"
    left = report.expires_at - desk.clock.now()
    assert left <= timedelta(minutes=9 if dual else 10)
    desk.clock.advance(left.total_seconds())
    assert grants(desk) == ()


def test_leave_to_reduce_ends_with_its_halt() -> None:
    desk = Desk().open()
    halt = desk.halt()
    resume(desk, halt, dual=False, **REDUCE)
    assert len(grants(desk)) == 1
    resume(desk, halt, dual=False)
    assert grants(desk) == ()


def test_a_halt_of_a_part_is_released_by_its_own_scope_alone() -> None:
    """Neither everything nor another part; and under it leave to reduce reaches no farther."""
    desk = Desk().open()
    with desk.store.transaction() as books:
        event = ControlEvent(kind=ControlKind.HALT_ENGAGED, author="ada", reason="r", at=books.now(), run_id="r",
                             dag_id="d", scope="strategy:sma")  # fmt: skip
        halt = books.control.engage(ACCOUNT, event)
    for wish in ({}, {"scope": "strategy:other"}, REDUCE, REDUCE | {"scope": "instrument:BTC/USDT"}):
        assert "the halt's is strategy:sma" in refusal(desk, halt, dual=False, **wish)
    assert resume(desk, halt, dual=False, scope="strategy:sma", **REDUCE).outcome is Outcome.GRANTED
    assert resume(desk, halt, dual=False, scope="strategy:sma").outcome is Outcome.RELEASED


def test_leave_to_reduce_may_be_narrower_than_a_halt_of_everything() -> None:
    desk = Desk().open()
    halt = desk.halt()
    assert resume(desk, halt, dual=False, scope="strategy:sma", **REDUCE).outcome is Outcome.GRANTED
    assert grants(desk)[0].scope == "strategy:sma"


def test_after_too_many_refusals_even_a_good_token_waits_and_none_prolongs_that() -> None:
    """By the database's clock and rows; each refusal looks alike, and only what was looked at is a row."""
    desk = Desk().open()
    halt = desk.halt()
    said = set()
    for _ in range(MAX_REFUSALS + 3):
        with pytest.raises(OverrideRefused) as caught:
            resume(desk, halt, dual=False, key="x" * 32)
        said.add(str(caught.value))
    with pytest.raises(OverrideRefused) as caught:
        resume(desk, halt, dual=False)
    assert {str(caught.value)} == said
    assert "within a minute" in caught.value.cause
    kinds = [event.kind for event in desk.read(lambda books: books.control.history(ACCOUNT, 100))]
    assert kinds.count(ControlKind.OVERRIDE_REFUSED) == MAX_REFUSALS
    desk.clock.advance(61)
    assert resume(desk, halt, dual=False).outcome is Outcome.RELEASED


def test_a_refusal_is_recorded_with_who_brought_it_and_what_it_claims() -> None:
    desk = Desk().open()
    halt = desk.halt()
    refusal(desk, halt, dual=False, key="x" * 32, token_id="forged")
    event = newest(desk)
    assert (event.author, event.halt_id, event.detail["jti"]) == ("unknown", None, "forged")
    assert event.detail["submitted_by"] == "system"
    refusal(desk, 10**9, dual=False)
    assert (newest(desk).author, newest(desk).halt_id, newest(desk).detail["halt"]) == ("ada", None, str(10**9))


def migrated_by_others(desk: Desk) -> None:
    """The database is at a version that this code does not know."""
    risk = desk.memory_ledger._books.risk
    standing = replace(risk.standing(ACCOUNT), versions=Versions(schema="0014", deployed_schema="0099"))
    desk.memory_ledger._books.risk = Behind(risk, standing=lambda _: standing)  # type: ignore[assignment]


def test_another_schema_releases_nothing_and_grants_nothing() -> None:
    """The database was migrated by other code: which rows mean what nobody here knows."""
    desk = Desk().open()
    halt = desk.halt()
    migrated_by_others(desk)
    for wish in ({}, REDUCE):
        assert "this process has schema 0014, deployed is 0099" in refusal(desk, halt, dual=False, **wish)


def test_whoever_signs_is_shown_what_stands_and_what_is_in_the_way() -> None:
    """Halts with reason and command, signatures that wait, obstacles; and no markup comes through."""
    desk = Desk().open()
    halt = desk.halt("see ```\n![x](http://127.0.0.1/)")
    resume(desk, halt)
    standing = Standing(desk.ledger, account=ACCOUNT, environment=ENVIRONMENT)
    found = standing.run()
    assert found.counts == {"halts": 1, "waiting": 1, "obstacles": 0}
    text = found.markdown
    assert f"TRADING_MODE=replay trading killswitch sign --halt {halt} --scope all" in text
    assert f"halt {halt} (halt, all, not effective yet), by ada at" in text
    assert f"halt {halt}: ada signed resume with a, alive until" in text
    assert "nothing is in the way of a release" in text
    assert "may buy what was closed" in text
    assert text.count("```") == 2
    assert text.startswith("```\n")
    assert text.endswith("\n```")
    desk.clock.advance(601)
    assert standing.run().counts["waiting"] == 0
    migrated_by_others(desk)
    assert "in the way: this process has schema 0014, deployed is 0099" in standing.run().markdown
