"""Accounts and their lock."""

from datetime import datetime

from trading.adapters.postgres.connection import Row, Session
from trading.domain.ids import Run
from trading.domain.kill_switch import FIRST_HALT
from trading.errors import ConfigurationError, InvariantViolation
from trading.ports.ledger import Account


class PostgresAccounts:
    """AccountStore over the table account, whose row is the lock."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self, account: str, *, venue: str, mode: str, at: datetime, run: Run) -> bool:
        """Create the account, halted. False where it exists."""
        halted = self._session.run(
            "open_account",
            {
                "account": account,
                "venue": venue,
                "mode": mode,
                "at": at,
                "run_id": run.run_id,
                "dag_id": run.dag_id,
                "actor": run.actor,
                "reason": FIRST_HALT,
            },
        )
        return halted == 1

    def get(self, account: str) -> Account | None:
        """The account, unlocked."""
        row = self._session.one("get_account", {"account": account})
        return None if row is None else Account(**row)

    def lock(self, account: str) -> Account:
        """The account, locked until the transaction ends. Raises ConfigurationError where it was never opened."""
        row = self._session.one("lock_account", {"account": account})
        if row is None:
            raise ConfigurationError(
                f"account {account!r} was never opened in this database: run `make run`, or check TRADING_ACCOUNT"
            )
        self._session.chains[account] = (row.pop("chain_sequence"), row.pop("chain_head"))
        return Account(**row)

    def advance_epoch(self, account: str) -> int:
        """The next fencing epoch; needs the lock."""
        return int(self._held(account, "advance_epoch")["epoch"])

    def next_incarnation(self, account: str, *, at_least: int = 0) -> int:
        """The next incarnation; needs the lock."""
        return int(self._held(account, "next_incarnation", at_least=at_least)["incarnation"])

    def note_restored(self, account: str, at: datetime) -> None:
        """The ledger was restored; needs the lock."""
        self._held(account, "note_restored", at=at)

    def _held(self, account: str, query: str, **facts: object) -> Row:
        """Run an update of the account's row. Raises InvariantViolation without the lock."""
        row = self._session.one(query, {"account": account, **facts}) if account in self._session.chains else None
        if row is None:
            raise InvariantViolation(f"account {account!r}: expected its lock to be held, call lock() first")
        return row
