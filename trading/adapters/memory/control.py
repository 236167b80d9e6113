"""The kill switch's memory."""

from dataclasses import replace
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind, Halt, LatchState
from trading.domain.override import Override, OverrideRefused
from trading.errors import InvariantViolation
from trading.ports.control import EVERY_ACCOUNT


class MemoryControl:
    """ControlStore. There is no Airflow here, and so no pause to latch."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._log: list[tuple[str, ControlEvent]] = []
        self._open: dict[int, tuple[str, Halt]] = {}
        self._tokens: dict[str, int] = {}
        self._leases: dict[str, datetime] = {}

    def halts(self, account: str) -> tuple[Halt, ...]:
        """Halts that nobody released, oldest first."""
        return tuple(self._open[key][1] for key in sorted(self._open) if self._concerns(self._open[key][0], account))

    def engage(self, account: str, event: ControlEvent) -> int:
        """Append a halt; its id."""
        self._require(event, ControlKind.HALT_ENGAGED)
        halt_id = self._append(account, event)
        halt = Halt(halt_id=halt_id, scope=event.scope, author=event.author, reason=event.reason, engaged_at=event.at)
        self._journal.put(self._open, halt_id, (account, halt))
        return halt_id

    def release(self, account: str, override: Override, *, at: datetime, run: Run) -> None:
        """Append the release of exactly this halt, once a token, once a person, once a key."""
        if override.token_id in self._tokens:
            raise OverrideRefused("the token was used")
        owner, _ = self._open.get(override.halt_id, (None, None))
        if owner is None or not self._concerns(owner, account):
            raise OverrideRefused(f"halt {override.halt_id} is not open")
        self._journal.put(self._tokens, override.token_id, override.halt_id)
        self._journal.remove(self._open, override.halt_id)
        released = ControlEvent(
            kind=ControlKind.HALT_RELEASED,
            author=override.subject,
            reason=override.reason,
            at=at,
            run_id=run.run_id,
            dag_id=run.dag_id,
            scope=override.scope,
            halt_id=override.halt_id,
            detail={"jti": override.token_id, "kid": override.key_id},
        )
        self._append(owner, released)

    def refuse(self, account: str, event: ControlEvent) -> None:
        """Append the refusal of an override."""
        self._require(event, ControlKind.OVERRIDE_REFUSED)
        self._append(account, event)

    def adopt(self, account: str, event: ControlEvent) -> None:
        """Append that somebody took what happened outside into the ledger."""
        self._require(event, ControlKind.ADOPTED)
        self._append(account, event)

    def restore(self, account: str, event: ControlEvent) -> None:
        """Append that somebody restored the ledger from a backup."""
        self._require(event, ControlKind.RESTORED)
        self._append(account, event)

    def history(self, account: str, limit: int) -> list[ControlEvent]:
        """The newest control events, newest first."""
        mine = (event for owner, event in reversed(self._log) if self._concerns(owner, account))
        return [event for _, event in zip(range(limit), mine, strict=False)]

    @property
    def log(self) -> list[tuple[str, ControlEvent]]:
        """Every event with its account, oldest first."""
        return self._log

    def lease_expires_at(self, account: str) -> datetime | None:
        """When the dead man's switch forbids entries, unless it is renewed."""
        return self._leases.get(account)

    def renew_lease(self, account: str, until: datetime, run: Run) -> None:  # noqa: ARG002 — PostgreSQL's rows name it
        """Move the lease's end to `until`."""
        self._journal.put(self._leases, account, until)

    def arm_latch(self) -> LatchState:
        """There is nothing to arm."""
        return LatchState.NO_AIRFLOW_TABLES

    def latch(self) -> LatchState:
        """There is nothing to latch."""
        return LatchState.NO_AIRFLOW_TABLES

    def _append(self, account: str, event: ControlEvent) -> int:
        number = len(self._log) + 1
        stored = replace(event, halt_id=number) if event.kind is ControlKind.HALT_ENGAGED else event
        self._journal.append(self._log, (account, stored))
        return number

    @staticmethod
    def _concerns(owner: str, account: str) -> bool:
        return owner in (account, EVERY_ACCOUNT)

    @staticmethod
    def _require(event: ControlEvent, kind: ControlKind) -> None:
        if event.kind is not kind:
            raise InvariantViolation(f"expected a {kind} event, got {event.kind}")
