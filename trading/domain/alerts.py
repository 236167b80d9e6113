"""Alerts: what a person is told at once, as one literal table, and which are news against those already told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class AlertKind(StrEnum):
    """What an alert is about. Each has a heading of its name in docs/OPERATIONS.md."""

    HALT_ENGAGED = "halt_engaged"
    REFUSED_KEY = "refused_key"
    LOST_ROWS = "lost_rows"
    DISCREPANCY_CONFIRMED = "discrepancy_confirmed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    DENIAL_BURST = "denial_burst"
    STRATEGY_DISABLED = "strategy_disabled"
    STALE_DATA = "stale_data"
    LEASE_EXPIRED = "lease_expired"
    DAG_FAILED = "dag_failed"
    VENUE_AWAY = "venue_away"
    DISK_FULL = "disk_full"
    LEDGER_AWAY = "ledger_away"


class Severity(StrEnum):
    """Critical: trading stopped, or money may be in the wrong place. Warning: look at it today."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a kind says. `command` looks closer; {run_id} in it is the alert's run.

    `over` is the title of the message that it ended; empty where an end is no news.
    """

    severity: Severity
    title: str
    command: str
    over: str = ""


def _critical(title: str, command: str, over: str = "") -> Meaning:
    return Meaning(severity=Severity.CRITICAL, title=title, command=command, over=over)


def _warning(title: str, command: str, over: str = "") -> Meaning:
    return Meaning(severity=Severity.WARNING, title=title, command=command, over=over)


_K = AlertKind
_STATUS: Final = "trading killswitch status"
_RELEASED: Final = "the halt was released"

MEANINGS: Final[Mapping[AlertKind, Meaning]] = MappingProxyType(
    {
        _K.HALT_ENGAGED: _critical("trading is halted", _STATUS, _RELEASED),
        _K.REFUSED_KEY: _critical("the venue refuses the API key", _STATUS, _RELEASED),
        _K.LOST_ROWS: _critical("the ledger lost rows", _STATUS, _RELEASED),
        _K.DISCREPANCY_CONFIRMED: _critical(
            "the ledger and the venue disagree", "trading reconcile --adopt", "the ledger and the venue agree again"
        ),
        _K.OUTCOME_UNKNOWN: _critical(
            "an order's outcome is unknown", "trading why {run_id}", "the order's outcome is known"
        ),
        _K.DENIAL_BURST: _warning("many orders are denied", "trading why {run_id}"),
        _K.STRATEGY_DISABLED: _critical("a strategy is disabled", "trading risk show", "the strategy is enabled again"),
        _K.STALE_DATA: _warning("market data is stale", "trading doctor", "market data is fresh again"),
        _K.LEASE_EXPIRED: _critical("the lease expired, no entry is sent", "trading doctor", "the lease was renewed"),
        _K.DAG_FAILED: _warning("a DAG run failed", "trading why {run_id}"),
        _K.VENUE_AWAY: _warning("the venue keeps us out", "trading doctor", "the venue answers again"),
        _K.DISK_FULL: _critical("the disk is full, nothing is sent", "trading doctor", "there is room on the disk"),
        _K.LEDGER_AWAY: _critical("the ledger is out of reach", "trading doctor", "the ledger is back"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Something that a person should know of. One alert a `subject` (a halt's number, an order's id) at a time.

    `standing` is true while it lasts, and false of what has happened and is over: that is told once.
    """

    kind: AlertKind
    subject: str
    at: datetime
    sentence: str
    run_id: str = ""
    standing: bool = True

    @property
    def name(self) -> tuple[AlertKind, str]:
        """What it is told once by."""
        return (self.kind, self.subject)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What became of telling one channel. `problem` is empty where it was delivered."""

    tried_at: datetime
    attempts: int
    problem: str = ""


#: Of which channel, and whether of the end.
DeliveryKey = tuple[str, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """A condition that was taken note of, and whom it reached. `number` is positive where the ledger holds it."""

    number: int
    kind: AlertKind
    subject: str
    at: datetime
    sentence: str
    run_id: str
    raised_at: datetime
    ended_at: datetime | None = None
    deliveries: Mapping[DeliveryKey, Delivery] = field(default_factory=dict)

    @property
    def name(self) -> tuple[AlertKind, str]:
        """What it is told once by."""
        return (self.kind, self.subject)

    def reached(self, channel: str, *, over: bool = False) -> bool:
        """Whether the channel took it."""
        delivery = self.deliveries.get((channel, over))
        return delivery is not None and not delivery.problem


def news(conditions: Sequence[Condition], known: Sequence[Alert]) -> tuple[list[Condition], list[Alert]]:
    """(to be raised, ended). `known` are the alerts that stand, and the recent ones.

    What stands is raised where no alert of its name stands; what is over already, where none of its name is known.
    """
    open_names = {alert.name for alert in known if alert.ended_at is None}
    all_names = {alert.name for alert in known}
    standing = {one.name for one in conditions if one.standing}
    raised = {
        one.name: one for one in conditions if one.name not in (open_names if one.standing else all_names | standing)
    }
    return list(raised.values()), [a for a in known if a.ended_at is None and a.name not in standing]
