"""From alerts to the messages that a channel is due now: bursts become one message with a count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading.domain.alerts import MEANINGS, Alert, AlertKind, Severity

#: A kind's messages to a channel are this far apart; what happens meanwhile goes into the next one.
SPACING: Final = timedelta(seconds=10)
#: Warnings are fewer: this many of a kind within the window, the rest waits and is counted.
MOST_WARNINGS: Final = 5
WARNING_WINDOW: Final = timedelta(minutes=10)
#: What no channel took for this long is not told any more; `trading alerts list` still has it.
STALE: Final = timedelta(hours=6)
#: A message names so many of what it counts.
NAMED: Final = 5
_MOST_CHARACTERS: Final = 600
_MANUAL: Final = "docs/OPERATIONS.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What goes to a channel, and the alerts that it tells of: their beginning, or (`over`) their end."""

    kind: AlertKind
    over: bool
    severity: Severity
    title: str
    body: str
    alerts: tuple[Alert, ...]


def due(
    alerts: Sequence[Alert], channel: str, sent: Mapping[AlertKind, Sequence[datetime]], *, at: datetime, desk: str
) -> list[Message]:
    """The messages that `channel` should get now, critical ones first. `sent` is when it got earlier ones, by kind."""
    groups: dict[tuple[AlertKind, bool], list[Alert]] = {}
    for alert in alerts:
        if alert.raised_at <= at - STALE or not _may_send(alert.kind, sent.get(alert.kind, ()), at):
            continue
        if not alert.reached(channel):
            groups.setdefault((alert.kind, False), []).append(alert)
        elif alert.ended_at and MEANINGS[alert.kind].over and not alert.reached(channel, over=True):
            groups.setdefault((alert.kind, True), []).append(alert)
    messages = [_message(kind, group, over=over, desk=desk) for (kind, over), group in groups.items()]
    return sorted(messages, key=lambda one: (one.over, one.severity is not Severity.CRITICAL, one.alerts[0].raised_at))


def _may_send(kind: AlertKind, sent: Sequence[datetime], at: datetime) -> bool:
    if sent and at - max(sent) < SPACING:
        return False
    recent = [when for when in sent if at - when < WARNING_WINDOW]
    return MEANINGS[kind].severity is Severity.CRITICAL or len(recent) < MOST_WARNINGS


def _message(kind: AlertKind, alerts: Sequence[Alert], *, over: bool, desk: str) -> Message:
    meaning = MEANINGS[kind]
    count = f" ({len(alerts)})" if len(alerts) > 1 else ""
    words = "over" if over else meaning.severity.value
    return Message(
        kind=kind,
        over=over,
        severity=meaning.severity,
        title=f"[{desk}] {words}: {meaning.over if over else meaning.title}{count}",
        body="\n".join(_lines(kind, alerts, over=over)),
        alerts=tuple(alerts),
    )


def _lines(kind: AlertKind, alerts: Sequence[Alert], *, over: bool) -> list[str]:
    newest = max(alerts, key=lambda alert: alert.raised_at)
    lines = []
    for alert in alerts[:NAMED]:
        when = alert.ended_at if over and alert.ended_at else alert.at
        lines.append(f"{when:%Y-%m-%d %H:%M:%S}Z {alert.sentence[:_MOST_CHARACTERS]}")
    if len(alerts) > NAMED:
        lines.append(f"… and {len(alerts) - NAMED} more: trading alerts list")
    if newest.run_id:
        lines.append(f"run: {newest.run_id}")
    if not over:
        lines.append(f"look closer: {command(newest)}")
        lines.append(f"what it means and what to do: {_MANUAL}#{kind}")
    return lines


def command(alert: Alert) -> str:
    """The command that looks closer at an alert."""
    given = MEANINGS[alert.kind].command
    return given.format(run_id=alert.run_id).strip()
