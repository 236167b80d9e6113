"""The kill switch's memory."""

from datetime import datetime
from typing import Final, Protocol

from trading.domain.dual_control import Grant, Signature
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, Halt, LatchState
from trading.domain.override import Override

#: The account of a control event that concerns them all, such as a pause of the DAG `kill_switch`.
EVERY_ACCOUNT: Final = "*"


class ControlStore(Protocol):
    """Halts, releases, the lease and the latch on Airflow's own pause."""

    def halts(self, account: str) -> tuple[Halt, ...]:
        """Halts that nobody released, oldest first: the account's own, and those of all accounts (a paused DAG)."""
        ...

    def engage(self, account: str, event: ControlEvent) -> int:
        """Append a halt; its id. Needs no lock: anybody may stop."""
        ...

    def release(
        self, account: str, override: Override, *, at: datetime, run: Run, first: Signature | None = None
    ) -> None:
        """Append the release of exactly this halt, once a token; with `first` completed by it, where two must sign.

        Raises OverrideRefused where the halt is not open, the token was used, or `first` waits no more.
        """
        ...

    def grant(
        self, account: str, override: Override, *, at: datetime, run: Run, first: Signature | None = None
    ) -> None:
        """Append leave to reduce while exactly this halt stands; otherwise as `release`."""
        ...

    def sign_first(self, account: str, signature: Signature, *, reason: str, at: datetime, run: Run) -> None:
        """Append the first of two signatures about exactly this halt. Raises OverrideRefused as `release`."""
        ...

    def waiting(self, account: str, halt_id: int) -> tuple[Signature, ...]:
        """First signatures about this halt that no second one completed, lapsed ones too, oldest first.

        Until the transaction ends nobody else gets an answer about this halt, whatever their account.
        """
        ...

    def grants(self, account: str, at: datetime) -> tuple[Grant, ...]:
        """Leave to reduce that is alive at this instant, under halts that stand, oldest first."""
        ...

    def refuse(self, account: str, event: ControlEvent) -> None:
        """Append the refusal of an override."""
        ...

    def refusals_since(self, account: str, at: datetime) -> int:
        """How many overrides were refused after this instant."""
        ...

    def adopt(self, account: str, event: ControlEvent) -> None:
        """Append that somebody took what happened outside into the ledger."""
        ...

    def restore(self, account: str, event: ControlEvent) -> None:
        """Append that somebody restored the ledger from a backup."""
        ...

    def record(self, account: str, event: ControlEvent) -> None:
        """Append an event that neither halts nor releases. Raises InvariantViolation for one that does."""
        ...

    def take_effect(self, account: str, event: ControlEvent) -> None:
        """Append that a halt is effective, or verified, on this account; only the first of each counts."""
        ...

    def history(self, account: str, limit: int) -> list[ControlEvent]:
        """The newest control events, newest first."""
        ...

    def lease_expires_at(self, account: str) -> datetime | None:
        """When the dead man's switch forbids entries, unless it is renewed."""
        ...

    def renew_lease(self, account: str, until: datetime, run: Run) -> None:
        """Move the lease's end to `until`."""
        ...

    def arm_latch(self) -> LatchState:
        """Install the trigger on Airflow's table where that is in this database; the state after it."""
        ...

    def latch(self) -> LatchState:
        """Whether a pause of the DAG `kill_switch` latches by itself."""
        ...
