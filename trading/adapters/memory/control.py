"""The kill switch's memory."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.kill_switch import EFFECTS, ControlEvent, ControlKind, Grant, Halt, LatchState
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
        self._effects: dict[tuple[int, str, ControlKind], datetime] = {}

    def halts(self, account: str) -> tuple[Halt, ...]:
        """Halts that nobody released, oldest first."""
        effective, verified = EFFECTS
        return tuple(
            replace(
                self._open[key][1],
                effective_at=self._effects.get((key, account, effective)),
                verified_at=self._effects.get((key, account, verified)),
            )
            for key in sorted(self._open)
            if self._concerns(self._open[key][0], account)
        )

    def engage(self, account: str, event: ControlEvent) -> int:
        """Append a halt; its id."""
        self._require(event, ControlKind.HALT_ENGAGED)
        halt_id = self._append(account, event)
        halt = Halt(
            halt_id=halt_id,
            scope=event.scope,
            author=event.author,
            reason=event.reason,
            engaged_at=event.at,
            level=event.level,
        )
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

    def record(self, account: str, event: ControlEvent) -> None:
        """Append an event that neither halts nor releases."""
        if event.kind in (ControlKind.HALT_ENGAGED, ControlKind.HALT_RELEASED):
            raise InvariantViolation(f"expected an event that neither halts nor releases, got {event.kind}")
        self._append(account, event)

    def events(self, account: str) -> Iterator[ControlEvent]:
        """Every event that concerns the account, newest first."""
        return (event for owner, event in reversed(self._log) if self._concerns(owner, account))

    def grants(self, account: str, at: datetime) -> tuple[Grant, ...]:
        """Leave to reduce that is alive at this instant, under halts that stand, oldest first."""
        mine = (event for owner, event in self._log if owner == account)
        grants = [
            Grant(
                halt_id=event.halt_id,
                scope=event.scope,
                largest_notional=Decimal(event.detail["largest_notional"]),
                person=event.author,
                expires_at=datetime.fromisoformat(event.detail["expires_at"]),
            )
            for event in mine
            if event.kind is ControlKind.REDUCE_ONLY_GRANTED and event.halt_id in self._open
        ]
        return tuple(grant for grant in grants if grant.expires_at > at)

    def take_effect(self, account: str, event: ControlEvent) -> None:
        """Append that a halt is effective, or verified, on this account; only the first of each counts."""
        self._require(event, *EFFECTS)
        if event.halt_id is None or (event.halt_id, account, event.kind) in self._effects:
            return
        self._journal.put(self._effects, (event.halt_id, account, event.kind), event.at)
        self._append(account, event)

    def history(self, account: str, limit: int) -> list[ControlEvent]:
        """The newest control events, newest first."""
        return [event for _, event in zip(range(limit), self.events(account), strict=False)]

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
    def _require(event: ControlEvent, *kinds: ControlKind) -> None:
        if event.kind not in kinds:
            raise InvariantViolation(f"expected a {' or '.join(kinds)} event, got {event.kind}")
