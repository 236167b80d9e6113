"""Two books compared: what the venue says against what the ledger holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from trading.domain.money import ZERO


class DiscrepancyKind(StrEnum):
    """How two books may disagree."""

    BALANCE = "balance"
    EXTERNAL_ORDER = "external_order"
    EXTERNAL_FILL = "external_fill"
    OVERFILL = "overfill"
    LATE_ACCEPTANCE = "late_acceptance"


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """One disagreement. `key` names the currency, order or fill; `confirmed` once it outlived the visibility lag."""

    kind: DiscrepancyKind
    key: str
    ours: Decimal
    theirs: Decimal
    first_seen_at: datetime
    confirmed: bool = False

    def since(self, before: "Discrepancy | None", lag: timedelta, *, at: datetime) -> "Discrepancy":
        """The same finding, dated from when it was first seen; confirmed once it is older than the visibility lag.

        `at` is when the look that found it again began: how long its findings waited to be judged ages nothing.
        """
        if before is None:
            return self
        aged = at - before.first_seen_at > lag
        return replace(self, first_seen_at=before.first_seen_at, confirmed=before.confirmed or aged)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconciliationResult:
    """What one comparison found. `compared` is False where something was in flight, so that nothing can be said."""

    at: datetime
    compared: bool
    discrepancies: tuple[Discrepancy, ...]
    unknown_orders: int

    @property
    def clean(self) -> bool:
        """Both sides agree, and nothing is unknown."""
        return self.compared and not self.discrepancies and not self.unknown_orders


def compare_balances(
    ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], currencies: Iterable[str], at: datetime
) -> list[Discrepancy]:
    """The currencies of which the ledger and the venue hold different totals."""
    return [
        Discrepancy(
            kind=DiscrepancyKind.BALANCE,
            key=currency,
            ours=ours.get(currency, ZERO),
            theirs=theirs.get(currency, ZERO),
            first_seen_at=at,
        )
        for currency in sorted(currencies)
        if ours.get(currency, ZERO) != theirs.get(currency, ZERO)
    ]
