"""What the pre-trade checks count and remember: limits in force, traffic, equity marks, disabled strategies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from trading.domain.ids import Run
from trading.domain.limits import AppliedLimits
from trading.domain.losses import EquityMark
from trading.domain.traffic import Traffic, TrafficQuestion
from trading.domain.versions import Versions


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskStanding:
    """Where an account stands: strategies that are disabled, with the reason; versions; marks of the newest day."""

    disabled: Mapping[str, str] = field(default_factory=dict)
    versions: Versions = field(default_factory=Versions)
    marks: Mapping[str, EquityMark] = field(default_factory=dict)


class RiskStore(Protocol):
    """What the checks read, beside orders and balances. Limits and breakers live in the control events themselves."""

    def limits(self, account: str) -> AppliedLimits | None:
        """The limits in force; None where none were ever applied. Raises InvariantViolation where unreadable."""
        ...

    def standing(self, account: str) -> RiskStanding:
        """All that stands for the account now."""
        ...

    def traffic(self, question: TrafficQuestion) -> Traffic:
        """How much was sent."""
        ...

    def note_cancel(self, account: str, client_order_id: str, at: datetime, run: Run) -> None:
        """A cancel is about to be asked for: it counts as a message."""
        ...

    def cancels_since(self, account: str, since: datetime) -> int:
        """How many cancels were asked for at or after `since`."""
        ...

    def marks(self, account: str) -> dict[str, EquityMark]:
        """Each scope's newest mark, of whatever day."""
        ...

    def keep_marks(self, account: str, marks: Sequence[EquityMark], run: Run) -> None:
        """Keep these; one of the same scope and UTC day is replaced."""
        ...

    def losses_taken_at(self, account: str) -> dict[str, datetime]:
        """By scope, when a person last released a halt that a loss limit had engaged."""
        ...
