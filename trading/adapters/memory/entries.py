"""The double-entry ledger."""

from collections import defaultdict
from decimal import Decimal, localcontext
from itertools import islice

from trading.adapters.memory.accounts import MemoryAccounts
from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.ledger import FILL, Category, LedgerTransaction
from trading.domain.money import EXACT, ZERO


class MemoryEntries:
    """EntryStore. A transaction proves its own balance when it is made; balances are kept as sums."""

    def __init__(self, journal: Journal, accounts: MemoryAccounts) -> None:
        self._journal = journal
        self._accounts = accounts
        self._transactions: dict[tuple[str, str], LedgerTransaction] = {}
        self._references: defaultdict[str, list[str]] = defaultdict(list)
        self._balances: defaultdict[str, dict[tuple[str, str], Decimal]] = defaultdict(dict)

    def post(self, transaction: LedgerTransaction, run: Run) -> bool:  # noqa: ARG002 — PostgreSQL's rows name it
        """Post it; False where its reference exists."""
        key = (transaction.account, transaction.reference)
        if key in self._transactions:
            return False
        self._accounts.require(transaction.account)
        self._journal.put(self._transactions, key, transaction)
        self._journal.append(self._references[transaction.account], transaction.reference)
        balances = self._balances[transaction.account]
        with localcontext(EXACT):
            for entry in transaction.entries:
                if entry.category is Category.ASSET:
                    place = (entry.sub_account, entry.currency)
                    self._journal.put(balances, place, balances.get(place, ZERO) + entry.amount)
        return True

    def references(self, account: str, prefix: str) -> list[str]:
        """References that start with `prefix`, in the order in which they were posted."""
        return [reference for reference in self._references.get(account, ()) if reference.startswith(prefix)]

    def flows_since(self, account: str, position: int) -> dict[tuple[str, str], Decimal]:
        """(sub_account, currency) → what transactions after `position` moved, but for fills."""
        flows: defaultdict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        with localcontext(EXACT):
            for posted in islice(self._transactions.values(), position, None):
                for entry in posted.entries if posted.account == account and posted.kind != FILL else ():
                    if entry.category is Category.ASSET:
                        flows[entry.sub_account, entry.currency] += entry.amount
        return dict(flows)

    def position(self) -> int:
        """How far the ledger goes: the number of its newest transaction."""
        return len(self._transactions)

    def balances(self, account: str) -> dict[tuple[str, str], Decimal]:
        """(sub_account, currency) → sum of the asset legs; zeros left out."""
        return {place: total for place, total in self._balances.get(account, {}).items() if total != 0}
