"""The kill switch's memory."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.dual_control import Grant, Signature, accepted, grant_of, half
from trading.domain.ids import Run
from trading.domain.kill_switch import EFFECTS, ControlEvent, ControlKind, Halt, LatchState
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
        self._waiting: dict[str, Signature] = {}
        self._grants: list[tuple[str, Grant]] = []
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

    def release(
        self, account: str, override: Override, *, at: datetime, run: Run, first: Signature | None = None
    ) -> None:
        """Append the release of exactly this halt, once a token; with `first` completed by it, where two must sign."""
        owner = self._use(account, override.halt_id, override.token_id, first)
        self._journal.remove(self._open, override.halt_id)
        self._append(owner, accepted(ControlKind.HALT_RELEASED, override, first, at=at, run=run))

    def grant(
        self, account: str, override: Override, *, at: datetime, run: Run, first: Signature | None = None
    ) -> None:
        """Append leave to reduce while exactly this halt stands."""
        self._use(account, override.halt_id, override.token_id, first)
        self._append(account, accepted(ControlKind.REDUCE_ONLY_GRANTED, override, first, at=at, run=run))
        self._journal.append(self._grants, (account, grant_of(override, first)))

    def sign_first(self, account: str, signature: Signature, *, reason: str, at: datetime, run: Run) -> None:
        """Append the first of two signatures about exactly this halt."""
        owner = self._use(account, signature.halt_id, signature.token_id, None)
        self._journal.put(self._waiting, signature.token_id, signature)
        self._append(owner, half(signature, reason, at=at, run=run))

    def waiting(self, account: str, halt_id: int) -> tuple[Signature, ...]:  # noqa: ARG002 — one process, one lock
        """First signatures about this halt that no second one completed, oldest first."""
        return tuple(one for one in self._waiting.values() if one.halt_id == halt_id)

    def grants(self, account: str, at: datetime) -> tuple[Grant, ...]:
        """Leave to reduce that is alive at this instant, under halts that stand, oldest first."""
        mine = (one for owner, one in self._grants if owner == account)
        return tuple(one for one in mine if one.expires_at > at and one.halt_id in self._open)

    def refuse(self, account: str, event: ControlEvent) -> None:
        """Append the refusal of an override."""
        self._require(event, ControlKind.OVERRIDE_REFUSED)
        self._append(account, event)

    def refusals_since(self, account: str, at: datetime) -> int:
        """How many overrides were refused after this instant."""
        mine = (event for owner, event in self._log if owner == account)
        return sum(event.kind is ControlKind.OVERRIDE_REFUSED and event.at > at for event in mine)

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

    def _use(self, account: str, halt_id: int, token_id: str, first: Signature | None) -> str:
        """Spend the token on the halt, with the first signature that it completes; whose halt it is."""
        if token_id in self._tokens:
            raise OverrideRefused("the token was used")
        owner, _ = self._open.get(halt_id, (None, None))
        if owner is None or not self._concerns(owner, account):
            raise OverrideRefused(f"halt {halt_id} is not open")
        if first is not None:
            if first.token_id not in self._waiting:
                raise OverrideRefused("the first signature waits no more")
            self._journal.remove(self._waiting, first.token_id)
        self._journal.put(self._tokens, token_id, halt_id)
        return owner

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
