"""What PostgreSQL remembers, one store a noun, all reached through one transaction.

`Ledger.transaction()` commits when its block ends and rolls back when it raises. Everything in it is one instant:
`Books` is only valid inside the block.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.domain.decision import Decision, Recorded
from trading.domain.ids import Run
from trading.domain.ledger import LedgerTransaction
from trading.domain.reconciliation import Discrepancy, Finding, ReconciliationResult
from trading.domain.traffic import TrafficQuestion
from trading.ports.alerts import AlertStore
from trading.ports.audit import AuditStore
from trading.ports.candles import CandleStore, InstrumentStore
from trading.ports.conformance import ConformanceStore
from trading.ports.control import ControlStore
from trading.ports.orders import FillStore, OrderStore
from trading.ports.replays import ReplayStore
from trading.ports.risk import RiskStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One set of venue credentials. `epoch` is the fencing token: each place run advances it.

    `restored_at` is when somebody last said that this ledger had been restored from a backup.
    """

    account: str
    venue: str
    mode: str
    incarnation: int
    epoch: int
    opened_at: datetime
    restored_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run as stored. `counts` are whole numbers by name; `outcome` is running, done, skipped or failed.

    `trouble` is what it failed with, where that is one of trading.errors.Trouble.
    """

    run: Run
    flow: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    message: str
    counts: Mapping[str, int]
    trouble: str = ""


class DecisionStore(Protocol):
    """Decisions: the first one for an as_of wins."""

    def record(self, decision: Decision, run: Run) -> Recorded:
        """Store it, or find it there; a differing one is kept as a revision and changes nothing."""
        ...

    def newest(self, strategy: str) -> Decision | None:
        """The newest by as_of, whatever its status."""
        ...

    def by_run(self, run_id: str) -> list[Decision]:
        """Those that a run stored."""
        ...

    def between(self, strategy: str, *, since: datetime, until: datetime) -> list[Decision]:
        """Those with since < as_of ≤ until, ascending."""
        ...


class EntryStore(Protocol):
    """The double-entry ledger."""

    def post(self, transaction: LedgerTransaction, run: Run) -> bool:
        """Post it; False where its reference exists."""
        ...

    def references(self, account: str, prefix: str) -> list[str]:
        """References that start with `prefix`, in the order in which they were posted."""
        ...

    def flows_since(self, account: str, position: int) -> dict[tuple[str, str], Decimal]:
        """(sub_account, currency) → what transactions after `position` moved, but for fills: deposits, transfers."""
        ...

    def position(self) -> int:
        """How far the ledger goes: the number of its newest transaction."""
        ...

    def balances(self, account: str) -> dict[tuple[str, str], Decimal]:
        """(sub_account, currency) → sum of the asset legs; zeros left out."""
        ...


class AccountStore(Protocol):
    """Accounts and their lock."""

    def open(self, account: str, *, venue: str, mode: str, at: datetime, run: Run) -> bool:
        """Create the account, halted: a fresh installation never trades by itself. False where it exists."""
        ...

    def get(self, account: str) -> Account | None:
        """The account, unlocked."""
        ...

    def lock(self, account: str) -> Account:
        """The account, locked until the transaction ends. Raises ConfigurationError where it was never opened."""
        ...

    def advance_epoch(self, account: str) -> int:
        """The next fencing epoch; needs the lock."""
        ...

    def next_incarnation(self, account: str, *, at_least: int = 0) -> int:
        """After a restore: every id from here on is new. One more, or `at_least`; needs the lock."""
        ...

    def note_restored(self, account: str, at: datetime) -> None:
        """The ledger was restored; what was signed or reconciled before `at` counts no more; needs the lock."""
        ...


class ReconciliationStore(Protocol):
    """Comparisons of our books with the venue's."""

    def record(self, account: str, result: ReconciliationResult, run: Run) -> None:
        """Keep the result, and bring the open discrepancies in line with it."""
        ...

    def newest_clean_at(self, account: str, *, full_history: bool = False) -> datetime | None:
        """When both sides last agreed; over the account's full history, where that is asked for."""
        ...

    def open_discrepancies(self, account: str) -> list[Discrepancy]:
        """Those that nobody resolved."""
        ...

    def acknowledge(self, account: str, findings: Sequence[Discrepancy], run: Run) -> None:
        """Take note of what the venue shows and no intent explains; the same again changes nothing.

        Raises InvariantViolation for a kind that the ledger itself must end.
        """
        ...

    def acknowledged(self, account: str) -> frozenset[Finding]:
        """All that was ever taken note of."""
        ...


class RunStore(Protocol):
    """Runs, so that every row's run_id can be explained without Airflow's tables."""

    def start(self, run: Run, flow: str, at: datetime) -> None:
        """Note the start; the same run starting again (a clear, a retry) is noted as such, and loses nothing."""
        ...

    def finish(
        self,
        run: Run,
        flow: str,
        at: datetime,
        *,
        outcome: str,
        message: str,
        counts: Mapping[str, int],
        trouble: str = "",
    ) -> None:
        """Note the end."""
        ...

    def recent(self, flow: str | None, limit: int) -> list[RunRecord]:
        """The newest runs, newest first."""
        ...

    def get(self, run_id: str) -> list[RunRecord]:
        """Every flow that this run id ran, oldest first."""
        ...


class Books(Protocol):
    """All stores within one transaction."""

    @property
    def instruments(self) -> InstrumentStore: ...  # noqa: D102
    @property
    def candles(self) -> CandleStore: ...  # noqa: D102
    @property
    def decisions(self) -> DecisionStore: ...  # noqa: D102
    @property
    def orders(self) -> OrderStore: ...  # noqa: D102
    @property
    def fills(self) -> FillStore: ...  # noqa: D102
    @property
    def entries(self) -> EntryStore: ...  # noqa: D102
    @property
    def accounts(self) -> AccountStore: ...  # noqa: D102
    @property
    def control(self) -> ControlStore: ...  # noqa: D102
    @property
    def audit(self) -> AuditStore: ...  # noqa: D102
    @property
    def reconciliations(self) -> ReconciliationStore: ...  # noqa: D102
    @property
    def risk(self) -> RiskStore: ...  # noqa: D102
    @property
    def conformances(self) -> ConformanceStore: ...  # noqa: D102
    @property
    def replays(self) -> ReplayStore: ...  # noqa: D102
    @property
    def runs(self) -> RunStore: ...  # noqa: D102
    @property
    def alerts(self) -> AlertStore: ...  # noqa: D102

    def read_ahead(self, client_order_id: str, question: TrafficQuestion) -> None:
        """Lock the account and ask for all that its sender reads of it and of one order, where that saves round trips.

        It changes no answer: whoever needs the lock asks for it all the same.
        """
        ...

    def now(self) -> datetime:
        """The database's clock, which leases and overrides are judged by."""
        ...


class Ledger(Protocol):
    """The way to the books."""

    def transaction(self) -> AbstractContextManager[Books]:
        """One transaction; commits at the end of the block, rolls back where it raises.

        Raises DatabaseError where it is not stored, but for CommitUnknown, where nobody knows: only a transaction that
        reads by key what is there may be done again then.
        """
        ...

    def sending(self, account: str) -> AbstractContextManager[None]:
        """Hold the account's sending fence (shared) from before the kill switch is read until the answer is in.

        Whoever halts takes it exclusively, and so waits for those that were past the flag.
        """
        ...

    def draining(self, account: str) -> AbstractContextManager[None]:
        """Hold the fence exclusively: nobody is between the flag and the answer, and nobody enters."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...
