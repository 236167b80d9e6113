"""What is told, once, and in how many messages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import T0
from trading.domain.alert_messages import MOST_WARNINGS, SPACING, STALE, due
from trading.domain.alerts import MEANINGS, Alert, AlertKind, Condition, Delivery, Severity, news

RUNBOOK = (Path(__file__).parents[3] / "docs" / "OPERATIONS.md").read_text()
TOLD = Delivery(tried_at=T0, attempts=1)
SECOND = timedelta(seconds=1)


def alert(number: int = 1, kind: AlertKind = AlertKind.HALT_ENGAGED, **changes: object) -> Alert:
    facts = {"subject": str(number), "at": T0, "sentence": f"sentence {number}", "run_id": "r1", "raised_at": T0}
    return Alert(number=number, kind=kind, **(facts | changes))  # type: ignore[arg-type]


def condition(subject: str = "1", *, standing: bool = True) -> Condition:
    return Condition(kind=AlertKind.HALT_ENGAGED, subject=subject, at=T0, sentence="", standing=standing)


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_a_meaning_and_a_place_in_the_runbook(kind: AlertKind) -> None:
    """The anchor that a message names is a heading."""
    assert MEANINGS[kind].title
    assert MEANINGS[kind].command.startswith("trading ")
    assert f"\n### {kind}\n" in RUNBOOK


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=4),
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=4, unique_by=lambda one: one[0]),
)
def test_looking_again_finds_nothing_new(seen: list[tuple[str, bool]], before: list[tuple[str, bool]]) -> None:
    """What was raised and ended as said leaves nothing to raise, and only ends what was over when it was raised."""
    conditions = [condition(subject, standing=standing) for subject, standing in seen]
    known = [alert(i, subject=s, ended_at=T0 if over else None) for i, (s, over) in enumerate(before)]
    raised, ended = news(conditions, known)
    after = [replace(one, ended_at=T0) if one in ended else one for one in known]
    after += [alert(100 + i, subject=one.subject) for i, one in enumerate(raised)]
    again, over = news(conditions, after)
    assert again == []
    assert {one.subject for one in over} == {one.subject for one in raised if not one.standing}
    assert len({one.name for one in raised}) == len(raised)


def test_what_stands_again_is_told_again_and_what_was_over_is_told_once() -> None:
    """A lease may expire twice; a halt that was released before anybody looked is one halt."""
    known = [alert(subject="1", ended_at=T0)]
    assert news([condition()], known)[0] == [condition()]
    assert news([condition(standing=False)], known)[0] == []


def bursts(kind: AlertKind, *, seconds: int) -> tuple[list[str], int]:
    """One alert of a kind each second to one channel that takes all: the titles, and how many alerts they told of."""
    sent: list[object] = []
    titles, told = [], 0
    alerts: list[Alert] = []
    for second in range(seconds):
        at = T0 + second * SECOND
        alerts.append(alert(second, kind, raised_at=at))
        for message in due(alerts, "alert_url", {kind: sent}, at=at, desk="replay"):  # type: ignore[dict-item]
            titles.append(message.title)
            told += len(message.alerts)
            numbers = {one.number for one in message.alerts}
            alerts = [replace(a, deliveries={("alert_url", False): TOLD}) if a.number in numbers else a for a in alerts]
            sent.append(at)
    return titles, told


def test_a_burst_is_one_message_at_once_and_then_one_each_ten_seconds_with_a_count() -> None:
    """The first is not delayed, none waits for longer than the spacing, and none is lost."""
    titles, told = bursts(AlertKind.HALT_ENGAGED, seconds=61)
    assert titles == ["[replay] critical: trading is halted"] + ["[replay] critical: trading is halted (10)"] * 6
    assert told == 61
    assert timedelta(seconds=15) > SPACING


def test_warnings_are_fewer() -> None:
    """After five messages within ten minutes the rest waits, and is counted in the next one."""
    titles, told = bursts(AlertKind.DAG_FAILED, seconds=620)
    assert len(titles) == MOST_WARNINGS + 2
    assert max(int(title.rpartition("(")[2].rstrip(")")) for title in titles if "(" in title) > 500
    assert told > 600


def told(alerts: Sequence[Alert], channel: str = "alert_url") -> list[tuple[bool, str]]:
    messages = due(alerts, channel, {}, at=T0 + SECOND, desk="replay")
    return [(message.over, message.title) for message in messages]


def test_an_end_is_told_to_whom_the_beginning_was() -> None:
    """And only where it is news: nobody waits for the end of a failed DAG run."""
    ended = alert(ended_at=T0, deliveries={("alert_url", False): TOLD})
    assert told([ended]) == [(True, "[replay] over: the halt was released")]
    assert told([ended], "alert_url_mail") == [(False, "[replay] critical: trading is halted")]
    assert told([replace(ended, deliveries={**ended.deliveries, ("alert_url", True): TOLD})]) == []
    assert told([replace(ended, kind=AlertKind.DAG_FAILED)]) == []


def test_a_failed_delivery_is_due_again_until_it_is_stale() -> None:
    """A channel that was away for a night gets no yesterday's alarms."""
    failed = alert(deliveries={("alert_url", False): Delivery(tried_at=T0, attempts=3, problem="it answered HTTP 500")})
    assert len(told([failed])) == 1
    assert told([replace(failed, raised_at=T0 - STALE)]) == []


def test_critical_ones_come_first_and_a_message_says_where_to_look() -> None:
    """Title, what happened when, the run, the command and the anchor."""
    messages = due([alert(1, AlertKind.DAG_FAILED), alert(2)], "alert_url", {}, at=T0, desk="live main")
    assert [message.severity for message in messages] == [Severity.CRITICAL, Severity.WARNING]
    assert messages[1].body.splitlines() == [
        "2026-03-02 12:00:00Z sentence 1",
        "run: r1",
        "look closer: trading why r1",
        "what it means and what to do: docs/OPERATIONS.md#dag_failed",
    ]
