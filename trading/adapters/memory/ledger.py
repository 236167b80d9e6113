"""The ledger in memory: PostgreSQL's rules over dicts, fast enough to simulate a million crashes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from trading.adapters.memory.accounts import MemoryAccounts
from trading.adapters.memory.alerts import MemoryAlerts
from trading.adapters.memory.audit import MemoryAudit
from trading.adapters.memory.candles import MemoryCandles
from trading.adapters.memory.conformances import MemoryConformances
from trading.adapters.memory.control import MemoryControl
from trading.adapters.memory.decisions import MemoryDecisions
from trading.adapters.memory.entries import MemoryEntries
from trading.adapters.memory.fills import MemoryFills
from trading.adapters.memory.instruments import MemoryInstruments
from trading.adapters.memory.journal import Journal
from trading.adapters.memory.orders import MemoryOrders
from trading.adapters.memory.reconciliations import MemoryReconciliations
from trading.adapters.memory.replays import MemoryReplays
from trading.adapters.memory.risk import MemoryRisk
from trading.adapters.memory.runs import MemoryRuns
from trading.clock import Clock
from trading.domain.traffic import TrafficQuestion
from trading.errors import InvariantViolation


class MemoryBooks:
    """Books: every store over one journal."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._clock = clock
        self.instruments = MemoryInstruments(journal)
        self.candles = MemoryCandles(journal)
        self.decisions = MemoryDecisions(journal)
        self.control = MemoryControl(journal)
        self.accounts = MemoryAccounts(journal, self.control)
        self.orders = MemoryOrders(journal, self.accounts)
        self.audit = MemoryAudit(journal, self.orders, self.control)
        self.entries = MemoryEntries(journal, self.accounts)
        self.fills = MemoryFills(journal, self.orders, self.entries, self.instruments)
        self.reconciliations = MemoryReconciliations(journal, self.accounts)
        self.risk = MemoryRisk(journal, self.orders, self.control)
        self.conformances = MemoryConformances(journal)
        self.replays = MemoryReplays(journal)
        self.runs = MemoryRuns(journal)
        self.alerts = MemoryAlerts(journal)

    def read_ahead(self, client_order_id: str, question: TrafficQuestion) -> None:
        """Nothing is far away here."""

    def now(self) -> datetime:
        """The database's clock: the one that the ledger was handed."""
        return self._clock.now()


class MemoryTransaction:
    """What `with ledger.transaction()` enters; no generator, since simulations enter it by the hundred million."""

    def __init__(self, journal: Journal, books: MemoryBooks) -> None:
        self._journal = journal
        self._books = books

    def __enter__(self) -> MemoryBooks:
        self._journal.begin()
        return self._books

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._journal.commit()
        else:
            self._journal.rollback()


class MemoryLedger:
    """Ledger, for one thread. It outlives whoever uses it, as a database does: `close` gives up nothing."""

    def __init__(self, clock: Clock) -> None:
        self._journal = Journal()
        self._books = MemoryBooks(self._journal, clock)
        self._senders: Counter[str] = Counter()
        self._drainers: Counter[str] = Counter()

    def transaction(self) -> "MemoryTransaction":
        """One transaction; commits at the end of the block, rolls back where it raises."""
        return MemoryTransaction(self._journal, self._books)

    @contextmanager
    def sending(self, account: str) -> Iterator[None]:
        """Hold the account's sending fence; re-entrant. Raises InvariantViolation while somebody drains it."""
        if self._drainers[account]:
            raise InvariantViolation(f"account {account!r}: a sender entered while the fence was being drained")
        self._senders[account] += 1
        try:
            yield
        finally:
            self._senders[account] -= 1

    @contextmanager
    def draining(self, account: str) -> Iterator[None]:
        """Hold the fence exclusively; re-entrant. Raises InvariantViolation while a sender holds it."""
        if self._senders[account]:
            raise InvariantViolation(
                f"account {account!r}: expected no sender past the fence, got {self._senders[account]}"
            )
        self._drainers[account] += 1
        try:
            yield
        finally:
            self._drainers[account] -= 1

    def senders(self, account: str) -> int:
        """How many hold the account's fence."""
        return self._senders[account]

    def close(self) -> None:
        """Nothing to give up."""
