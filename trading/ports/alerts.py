"""Alerts: where they are kept, and the channels that carry them to people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from trading.domain.alert_messages import Message
from trading.domain.alerts import Alert, Condition


class AlertStore(Protocol):
    """The outbox: alerts, and what became of telling each channel."""

    def lead(self, account: str) -> bool:
        """Whether this connection is the one that tells; the first to ask stays it until its connection ends."""
        ...

    def record(self, account: str, conditions: Sequence[Condition], *, at: datetime) -> None:
        """Raise an alert for each; one of the same name that stands is left as it is."""
        ...

    def end(self, account: str, alerts: Sequence[Alert], *, at: datetime) -> None:
        """Note that they stand no more."""
        ...

    def known(self, account: str, since: datetime) -> list[Alert]:
        """Those that stand, and those that were raised at or after `since`, oldest first, with their deliveries."""
        ...

    def recent(self, account: str, limit: int) -> list[Alert]:
        """The newest, newest first."""
        ...

    def note(self, message: Message, channel: str, *, at: datetime, problem: str) -> None:
        """What came of telling a channel of the message's alerts; `problem` is empty where it took them."""
        ...


class Attempt(Protocol):
    """A message on its way."""

    def problem(self) -> str | None:
        """None while nobody knows; empty where it was delivered; otherwise why not, without any part of an address."""
        ...


class Alerts(Protocol):
    """A channel to people. `name` is its secret's name, `service` what it is (Telegram, E-Mail)."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def service(self) -> str: ...  # noqa: D102

    def send(self, message: Message) -> Attempt:
        """Begin to send; never waits for the channel, never raises because of it."""
        ...
