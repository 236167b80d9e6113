"""Adoption: what happened outside the pipeline, as a person is shown it, signs for it, and the ledger takes it over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from trading.domain.ids import content_hash
from trading.domain.ledger import HOUSE, Category, LedgerEntry, LedgerTransaction
from trading.domain.money import EXACT, plain
from trading.domain.reconciliation import ACKNOWLEDGED_KINDS, Discrepancy, DiscrepancyKind, compare_balances
from trading.errors import TradingError


class AdoptionRefused(TradingError):
    """Nothing was adopted: something is in flight, or both sides say something else than what was signed for."""

    exit_code = 77


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """All in which both sides disagree, sorted by kind and key, each with both figures."""

    account: str
    findings: tuple[Discrepancy, ...]

    @property
    def differences(self) -> dict[str, Decimal]:
        """What the ledger has to gain, or to lose, to hold what the venue holds; by currency."""
        with localcontext(EXACT):
            return {one.key: one.theirs - one.ours for one in self._of(DiscrepancyKind.BALANCE)}

    @property
    def acknowledged(self) -> tuple[Discrepancy, ...]:
        """External orders, external fills and overfills: the venue's history, to be taken note of."""
        return self._of(*ACKNOWLEDGED_KINDS)

    @property
    def forgotten(self) -> tuple[str, ...]:
        """Orders of ours that the venue knows nothing of any more, by client order id."""
        return tuple(one.key for one in self._of(DiscrepancyKind.FORGOTTEN_ORDER))

    @property
    def content_hash(self) -> str:
        """What a person signs for: the account, and everything that is found with both figures, however it is dated."""
        rows = [[one.kind.value, one.key, plain(one.ours), plain(one.theirs)] for one in self.findings]
        return content_hash({"account": self.account, "findings": rows})

    @property
    def detail(self) -> dict[str, str]:
        """Both sides' figures for the audit log."""
        figures = {
            f"{one.kind} {one.key}": f"ours {plain(one.ours)}, theirs {plain(one.theirs)}" for one in self.findings
        }
        return {"shown": self.content_hash, **figures}

    def transaction(self, run_id: str, at: datetime) -> LedgerTransaction | None:
        """The house gains or loses the differences, against capital; None where the balances agree."""
        entries = [
            LedgerEntry(sub_account=HOUSE, category=category, currency=currency, amount=amount)
            for currency, difference in self.differences.items()
            for category, amount in ((Category.ASSET, difference), (Category.CAPITAL, difference.copy_negate()))
        ]
        if not entries:
            return None
        return LedgerTransaction(
            account=self.account,
            kind="adoption",
            reference=f"adoption:{run_id}",
            occurred_at=at,
            entries=tuple(entries),
        )

    def _of(self, *kinds: DiscrepancyKind) -> tuple[Discrepancy, ...]:
        return tuple(one for one in self.findings if one.kind in kinds)


def adoption_of(
    account: str,
    *,
    ours: Mapping[str, Decimal],
    theirs: Mapping[str, Decimal],
    found: Iterable[Discrepancy],
    at: datetime,
) -> Adoption:
    """What both sides say: balances by currency, whether traded here or not, and what no intent explains."""
    balances = compare_balances(ours, theirs, {*ours, *theirs}, at)
    findings = sorted([*balances, *found], key=lambda one: (one.kind.value, one.key))
    return Adoption(account=account, findings=tuple(findings))
