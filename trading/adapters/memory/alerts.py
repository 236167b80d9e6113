"""The outbox of alerts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.alert_messages import Message
from trading.domain.alerts import Alert, Condition, Delivery


class MemoryAlerts:
    """AlertStore. There is one thread here, so that whoever asks is the one that tells."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._alerts: dict[int, tuple[str, Alert]] = {}

    def lead(self, account: str) -> bool:  # noqa: ARG002 - PostgreSQL's lock is an account's
        """Always."""
        return True

    def record(self, account: str, conditions: Sequence[Condition], *, at: datetime) -> None:
        """Raise an alert for each; one of the same name that stands is left as it is."""
        for one in conditions:
            if any(alert.name == one.name and alert.ended_at is None for alert in self._of(account)):
                continue
            alert = Alert(
                number=len(self._alerts) + 1,
                kind=one.kind,
                subject=one.subject,
                at=one.at,
                sentence=one.sentence,
                run_id=one.run_id,
                raised_at=at,
            )
            self._journal.put(self._alerts, alert.number, (account, alert))

    def end(self, account: str, alerts: Sequence[Alert], *, at: datetime) -> None:
        """Note that they stand no more."""
        numbers = {alert.number for alert in alerts}
        for alert in self._of(account):
            if alert.number in numbers and alert.ended_at is None:
                self._journal.put(self._alerts, alert.number, (account, replace(alert, ended_at=at)))

    def known(self, account: str, since: datetime) -> list[Alert]:
        """Those that stand, and those that were raised at or after `since`, oldest first."""
        return [alert for alert in self._of(account) if alert.ended_at is None or alert.raised_at >= since]

    def recent(self, account: str, limit: int) -> list[Alert]:
        """The newest, newest first."""
        return self._of(account)[::-1][: max(0, limit)]

    def note(self, message: Message, channel: str, *, at: datetime, problem: str) -> None:
        """What came of telling a channel of the message's alerts."""
        for told in message.alerts:
            account, alert = self._alerts[told.number]
            before = alert.deliveries.get((channel, message.over))
            delivery = Delivery(tried_at=at, attempts=before.attempts + 1 if before else 1, problem=problem)
            deliveries = {**alert.deliveries, (channel, message.over): delivery}
            self._journal.put(self._alerts, alert.number, (account, replace(alert, deliveries=deliveries)))

    def _of(self, account: str) -> list[Alert]:
        self._journal.require_active()
        return [alert for owner, alert in self._alerts.values() if owner == account]
