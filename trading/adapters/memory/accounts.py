"""Accounts and their lock."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from trading.adapters.memory.control import MemoryControl
from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.kill_switch import FIRST_HALT, ControlEvent, ControlKind
from trading.errors import ConfigurationError, InvariantViolation
from trading.ports.control import EVERY_ACCOUNT
from trading.ports.ledger import Account

MODES: Final = ("replay", "paper", "sandbox", "live")


class MemoryAccounts:
    """AccountStore. Nobody else writes, so a lock is a note that this transaction has it."""

    def __init__(self, journal: Journal, control: MemoryControl) -> None:
        self._journal = journal
        self._control = control
        self._accounts: dict[str, Account] = {}

    def open(self, account: str, *, venue: str, mode: str, at: datetime, run: Run) -> bool:
        """Create the account, halted. False where it exists."""
        if account in self._accounts:
            return False
        if account in ("", EVERY_ACCOUNT) or mode not in MODES:
            raise InvariantViolation(
                f"account {account!r} in mode {mode!r}: expected a name of its own and one of {', '.join(MODES)}"
            )
        row = Account(account=account, venue=venue, mode=mode, incarnation=1, epoch=0, opened_at=at)
        self._journal.put(self._accounts, account, row)
        halt = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author=run.actor,
            reason=FIRST_HALT,
            at=at,
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        self._control.engage(account, halt)
        return True

    def get(self, account: str) -> Account | None:
        """The account, unlocked."""
        return self._accounts.get(account)

    def require(self, account: str) -> None:
        """Raise InvariantViolation for an account that was never opened: no row may name it."""
        if account not in self._accounts:
            raise InvariantViolation(f"expected an account that was opened, got {account!r}")

    def lock(self, account: str) -> Account:
        """The account, locked until the transaction ends. Raises ConfigurationError where it was never opened."""
        row = self._accounts.get(account)
        if row is None:
            raise ConfigurationError(f"account {account!r} was never opened: run `make run`, or `trading db migrate`")
        self._journal.lock(account)
        return row

    def advance_epoch(self, account: str) -> int:
        """The next fencing epoch; needs the lock."""
        row = self._held(account)
        self._journal.put(self._accounts, account, replace(row, epoch=row.epoch + 1))
        return row.epoch + 1

    def next_incarnation(self, account: str, *, at_least: int = 0) -> int:
        """The next incarnation; needs the lock."""
        row = self._held(account)
        number = max(row.incarnation + 1, at_least)
        self._journal.put(self._accounts, account, replace(row, incarnation=number))
        return number

    def note_restored(self, account: str, at: datetime) -> None:
        """The ledger was restored; needs the lock."""
        row = self._held(account)
        self._journal.put(self._accounts, account, replace(row, restored_at=max(at, row.restored_at or at)))

    def _held(self, account: str) -> Account:
        if not self._journal.holds(account):
            raise InvariantViolation(f"account {account!r}: expected its lock to be held, call lock() first")
        return self._accounts[account]
