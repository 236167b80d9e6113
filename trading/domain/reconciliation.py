"""Two books compared: what the venue says against what the ledger holds."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


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
