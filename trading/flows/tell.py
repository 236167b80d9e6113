"""Tell: alerts to people, at least once a channel. A channel that does not answer keeps no other one waiting."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from trading.clock import Clock
from trading.domain.alert_messages import WARNING_WINDOW, Message, due
from trading.domain.alerts import Alert, AlertKind, Delivery
from trading.errors import DatabaseUnwritable, TradingError
from trading.logging.events import log_event
from trading.ports.alerts import Alerts, Attempt
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)

#: Longer than a channel may take: whatever is not answered by then is sent again.
PATIENCE_S: Final = 15.0
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0
#: A ledger that is back sooner was restarted.
_AWAY_S: Final = 5.0


@dataclass(slots=True)
class _Channel:
    """What is remembered of one channel while this process lives."""

    way: Alerts
    under_way: tuple[Message, Attempt, float] | None = None
    sent: defaultdict[AlertKind, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    failures: int = 0
    pause_until_s: float = 0.0


class Tell:
    """Sends what is due, a message a channel at a time."""

    def __init__(self, ledger: Ledger, clock: Clock, *, desk: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._desk = desk
        self._channels: dict[str, _Channel] = {}
        self._outage: Alert | None = None
        self._away_since_s: float | None = None

    def use(self, channels: Sequence[Alerts]) -> None:
        """These channels from now on; what is known of those that stay is kept."""
        known = self._channels
        self._channels = {way.name: known.get(way.name) or _Channel(way) for way in channels}
        for way in channels:
            self._channels[way.name].way = way

    def run(self, alerts: Sequence[Alert]) -> bool:
        """Collect answers, send what is due. Whether something is under way, so that a look soon is worth while."""
        self._ledger_answers()
        for channel in self._channels.values():
            self._collect(channel)
        self._send_due(alerts)
        return any(channel.under_way for channel in self._channels.values())

    def without_ledger(self, error: TradingError) -> bool:
        """The ledger cannot say what is due, and that is to be told."""
        at, elapsed_s = self._clock.now(), self._clock.monotonic()
        self._away_since_s = elapsed_s if self._away_since_s is None else self._away_since_s
        told = self._outage is not None and self._outage.ended_at is None
        if not told and elapsed_s - self._away_since_s >= _AWAY_S:
            kind = AlertKind.DISK_FULL if isinstance(error, DatabaseUnwritable) else AlertKind.LEDGER_AWAY
            log_event(logger, "alert_raised", level=logging.ERROR, kind=kind, reason=str(error))
            self._outage = Alert(number=0, kind=kind, subject="", at=at, sentence=str(error), run_id="", raised_at=at)
        for channel in self._channels.values():
            self._collect(channel)
        self._send_due([])
        return any(channel.under_way for channel in self._channels.values())

    def _ledger_answers(self) -> None:
        self._away_since_s = None
        if self._outage is not None and self._outage.ended_at is None:
            self._outage = replace(self._outage, ended_at=self._clock.now())

    def _send_due(self, alerts: Sequence[Alert]) -> None:
        at, elapsed_s = self._clock.now(), self._clock.monotonic()
        every = [*alerts, self._outage] if self._outage else alerts
        for channel in self._channels.values():
            if channel.under_way or elapsed_s < channel.pause_until_s:
                continue
            for message in due(every, channel.way.name, channel.sent, at=at, desk=self._desk)[:1]:
                channel.under_way = (message, channel.way.send(message), elapsed_s)

    def _collect(self, channel: _Channel) -> None:
        if channel.under_way is None:
            return
        message, attempt, since_s = channel.under_way
        problem = attempt.problem()
        if problem is None:
            if self._clock.monotonic() - since_s < PATIENCE_S:
                return
            problem = f"no answer within {PATIENCE_S:.0f} s"
        channel.under_way = None
        at = self._clock.now()
        if problem:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**channel.failures)
            channel.pause_until_s = self._clock.monotonic() + pause_s
            channel.failures = min(channel.failures + 1, 10)
        else:
            recent = [when for when in channel.sent[message.kind] if at - when < WARNING_WINDOW]
            channel.sent[message.kind] = [*recent, at]
            channel.failures = 0
        event, level = ("alert_undelivered", logging.WARNING) if problem else ("alert_delivered", logging.INFO)
        log_event(
            logger,
            event,
            level=level,
            channel=channel.way.name,
            kind=message.kind,
            over=message.over,
            alerts=len(message.alerts),
            reason=problem or None,
        )
        self._note(message, channel.way.name, at=at, problem=problem)

    def _note(self, message: Message, channel: str, *, at: datetime, problem: str) -> None:
        stored = tuple(alert for alert in message.alerts if alert.number)
        if len(stored) < len(message.alerts) and self._outage is not None:
            delivery = Delivery(tried_at=at, attempts=1, problem=problem)
            deliveries = {**self._outage.deliveries, (channel, message.over): delivery}
            self._outage = replace(self._outage, deliveries=deliveries)
        if stored:
            with self._ledger.transaction() as books:
                books.alerts.note(replace(message, alerts=stored), channel, at=at, problem=problem)
