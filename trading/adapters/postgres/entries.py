"""The double-entry ledger."""

from decimal import Decimal

from trading.adapters.postgres.connection import Session
from trading.domain.ids import Run
from trading.domain.ledger import LedgerTransaction


class PostgresEntries:
    """EntryStore over the tables ledger_transaction and ledger_entry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def post(self, transaction: LedgerTransaction, run: Run) -> bool:
        """Post it; False where its reference exists."""
        legs = transaction.entries
        posted = self._session.run(
            "post_transaction",
            {
                "account": transaction.account,
                "kind": transaction.kind,
                "reference": transaction.reference,
                "occurred_at": transaction.occurred_at,
                "run_id": run.run_id,
                "dag_id": run.dag_id,
                "sub_accounts": [leg.sub_account for leg in legs],
                "categories": [leg.category.value for leg in legs],
                "currencies": [leg.currency for leg in legs],
                "amounts": [leg.amount for leg in legs],
            },
        )
        return posted > 0

    def references(self, account: str, prefix: str) -> list[str]:
        """References that start with `prefix`, in the order in which they were posted."""
        rows = self._session.all("ledger_references", {"account": account, "prefix": prefix})
        return [row["reference"] for row in rows]

    def flows_since(self, account: str, position: int) -> dict[tuple[str, str], Decimal]:
        """(sub_account, currency) → what transactions after `position` moved, but for fills."""
        rows = self._session.all("flows_since", {"account": account, "position": position})
        return {(row["sub_account"], row["currency"]): row["amount"] for row in rows}

    def position(self) -> int:
        """How far the ledger goes: the number of its newest transaction."""
        row = self._session.one("ledger_position")
        return int(row["position"]) if row else 0

    def balances(self, account: str) -> dict[tuple[str, str], Decimal]:
        """(sub_account, currency) → sum of the asset legs; zeros left out."""
        rows = self._session.all("balances", {"account": account})
        return {(row["sub_account"], row["currency"]): row["amount"] for row in rows}
