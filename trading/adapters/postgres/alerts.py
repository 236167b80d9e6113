"""The outbox of alerts."""

from collections.abc import Sequence
from datetime import datetime

from trading.adapters.postgres.connection import Row, Session
from trading.domain.alert_messages import Message
from trading.domain.alerts import Alert, AlertKind, Condition, Delivery


class PostgresAlerts:
    """AlertStore over the tables alert and alert_delivery; who tells holds an advisory lock of its session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lead(self, account: str) -> bool:
        """Whether this connection is the one that tells."""
        row = self._session.one("lead_alerts", {"account": account})
        return row is not None and bool(row["held"])

    def record(self, account: str, conditions: Sequence[Condition], *, at: datetime) -> None:
        """Raise an alert for each; one of the same name that stands is left as it is."""
        for one in conditions:
            facts = {"kind": one.kind.value, "subject": one.subject, "at": one.at, "sentence": one.sentence}
            self._session.run("record_alert", {**facts, "account": account, "run_id": one.run_id, "raised_at": at})

    def end(self, account: str, alerts: Sequence[Alert], *, at: datetime) -> None:
        """Note that they stand no more."""
        if alerts:
            numbers = [alert.number for alert in alerts]
            self._session.run("end_alerts", {"account": account, "numbers": numbers, "at": at})

    def known(self, account: str, since: datetime) -> list[Alert]:
        """Those that stand, and those that were raised at or after `since`, oldest first."""
        return [_alert(row) for row in self._session.all("known_alerts", {"account": account, "since": since})]

    def recent(self, account: str, limit: int) -> list[Alert]:
        """The newest, newest first."""
        return [_alert(row) for row in self._session.all("recent_alerts", {"account": account, "limit": limit})]

    def note(self, message: Message, channel: str, *, at: datetime, problem: str) -> None:
        """What came of telling a channel of the message's alerts."""
        facts = {"channel": channel, "is_over": message.over, "at": at, "problem": problem}
        for alert in message.alerts:
            self._session.run("note_delivery", {**facts, "number": alert.number})


def _alert(row: Row) -> Alert:
    deliveries = {
        (one["channel"], one["is_over"]): Delivery(
            tried_at=datetime.fromisoformat(one["tried_at"]), attempts=one["attempts"], problem=one["problem"]
        )
        for one in row["deliveries"]
    }
    return Alert(**{**row, "kind": AlertKind(row["kind"]), "deliveries": deliveries})
