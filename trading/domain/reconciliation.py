"""Two books compared: what the venue says against what the ledger holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from trading.domain.money import ZERO

#: A venue that took an order may not be taken at its word when it says that it knows none: not for less than this long,
SILENCE: Final = timedelta(minutes=10)
#: nor in fewer looks than this.
SILENT_LOOKS: Final = 3


class DiscrepancyKind(StrEnum):
    """How two books may disagree."""

    BALANCE = "balance"
    EXTERNAL_ORDER = "external_order"
    EXTERNAL_FILL = "external_fill"
    OVERFILL = "overfill"
    LATE_ACCEPTANCE = "late_acceptance"
    FORGOTTEN_ORDER = "forgotten_order"
    FORGOTTEN_FILL = "forgotten_fill"


#: A disagreement as it is acknowledged: with the venue's figure, so that what changes later is found anew.
Finding: TypeAlias = tuple[DiscrepancyKind, str, Decimal]
#: What the venue showed once and shows no more: it is asked several times before it is believed.
_FORGOTTEN: Final = frozenset({DiscrepancyKind.FORGOTTEN_ORDER, DiscrepancyKind.FORGOTTEN_FILL})
#: What no entry of the ledger can end, since it is the venue's history: a person takes note of it.
ACKNOWLEDGED_KINDS: Final = frozenset(
    {DiscrepancyKind.EXTERNAL_ORDER, DiscrepancyKind.EXTERNAL_FILL, DiscrepancyKind.OVERFILL}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """One disagreement. `key` names the currency, order or fill; `confirmed` once it outlived the visibility lag.

    `sightings` counts the reconciliations that found it, this one included.
    """

    kind: DiscrepancyKind
    key: str
    ours: Decimal
    theirs: Decimal
    first_seen_at: datetime
    confirmed: bool = False
    sightings: int = 1

    @property
    def finding(self) -> Finding:
        """What it says, without when it was seen."""
        return (self.kind, self.key, self.theirs)

    def since(self, before: "Discrepancy | None", lag: timedelta, *, at: datetime) -> "Discrepancy":
        """The same finding, dated from when it was first seen; confirmed once it is older than the visibility lag.

        What the venue forgot takes longer: several looks, over ten minutes. `at` is when the look that found it again
        began: how long its findings waited to be judged ages nothing.
        """
        if before is None:
            return self
        age, sightings = at - before.first_seen_at, before.sightings + 1
        patience, looks = (max(lag, SILENCE), SILENT_LOOKS) if self.kind in _FORGOTTEN else (lag, 0)
        lasting = age > patience and sightings >= looks
        return replace(
            self,
            first_seen_at=before.first_seen_at,
            sightings=sightings,
            confirmed=before.confirmed or lasting,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconciliationResult:
    """What one comparison found. `compared` is False where something was in flight, so that nothing can be said.

    `full_history` is True where the venue's fills were read from the account's first day on.
    """

    at: datetime
    compared: bool
    discrepancies: tuple[Discrepancy, ...]
    unknown_orders: int
    full_history: bool = False

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
