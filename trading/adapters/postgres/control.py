"""The kill switch's memory."""

from datetime import datetime
from typing import Final

from psycopg.types.json import Jsonb

from trading.adapters.postgres.connection import Session
from trading.domain.dual_control import Grant, Signature, accepted, half
from trading.domain.ids import Run
from trading.domain.kill_switch import EFFECTS, ControlEvent, ControlKind, Halt, HaltLevel, LatchState
from trading.domain.override import Action, Override, OverrideRefused
from trading.errors import InvariantViolation

#: The triggers on Airflow's table: a pause, a row that comes back paused, and its deletion.
_TRIGGERS: Final = 3


class PostgresControl:
    """ControlStore over the tables control_event and lease, and triggers on Airflow's table dag."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def halts(self, account: str) -> tuple[Halt, ...]:
        """Halts that nobody released, oldest first."""
        rows = self._session.all("open_halts", {"account": account})
        return tuple(Halt(level=HaltLevel(row.pop("level")), **row) for row in rows)

    def engage(self, account: str, event: ControlEvent) -> int:
        """Append a halt; its id."""
        return self._add(account, event, ControlKind.HALT_ENGAGED)

    def release(
        self, account: str, override: Override, *, at: datetime, run: Run, first: Signature | None = None
    ) -> None:
        """Append the release of exactly this halt, once a token; with `first` completed by it, where two must sign."""
        self._use(account, accepted(ControlKind.HALT_RELEASED, override, first, at=at, run=run), first)

    def grant(
        self, account: str, override: Override, *, at: datetime, run: Run, first: Signature | None = None
    ) -> None:
        """Append leave to reduce while exactly this halt stands."""
        self._use(account, accepted(ControlKind.REDUCE_ONLY_GRANTED, override, first, at=at, run=run), first)

    def sign_first(self, account: str, signature: Signature, *, reason: str, at: datetime, run: Run) -> None:
        """Append the first of two signatures about exactly this halt."""
        self._use(account, half(signature, reason, at=at, run=run), None)

    def waiting(self, account: str, halt_id: int) -> tuple[Signature, ...]:
        """First signatures about this halt that no second one completed, oldest first."""
        self._session.run("lock_halt", {"halt_id": halt_id})
        rows = self._session.all("waiting_signatures", {"account": account, "halt_id": halt_id})
        return tuple(Signature(**row | {"action": Action(row["action"])}) for row in rows)

    def grants(self, account: str, at: datetime) -> tuple[Grant, ...]:
        """Leave to reduce that is alive at this instant, under halts that stand, oldest first."""
        return tuple(Grant(**row) for row in self._session.all("live_grants", {"account": account, "at": at}))

    def refuse(self, account: str, event: ControlEvent) -> None:
        """Append the refusal of an override."""
        self._add(account, event, ControlKind.OVERRIDE_REFUSED)

    def refusals_since(self, account: str, at: datetime) -> int:
        """How many overrides were refused after this instant."""
        row = self._session.one("count_refusals", {"account": account, "at": at})
        return int(row["refusals"]) if row else 0

    def adopt(self, account: str, event: ControlEvent) -> None:
        """Append that somebody took what happened outside into the ledger."""
        self._add(account, event, ControlKind.ADOPTED)

    def restore(self, account: str, event: ControlEvent) -> None:
        """Append that somebody restored the ledger from a backup."""
        self._add(account, event, ControlKind.RESTORED)

    def record(self, account: str, event: ControlEvent) -> None:
        """Append an event that neither halts nor releases."""
        if event.kind in (ControlKind.HALT_ENGAGED, ControlKind.HALT_RELEASED):
            raise InvariantViolation(f"expected an event that neither halts nor releases, got {event.kind}")
        self._add(account, event, event.kind)

    def take_effect(self, account: str, event: ControlEvent) -> None:
        """Append that a halt is effective, or verified, on this account; only the first of each counts."""
        self._add(account, event, *EFFECTS)

    def history(self, account: str, limit: int) -> list[ControlEvent]:
        """The newest control events, newest first."""
        rows = self._session.all("control_history", {"account": account, "limit": max(0, limit)})
        return [ControlEvent(kind=ControlKind(row.pop("kind")), **row) for row in rows]

    def lease_expires_at(self, account: str) -> datetime | None:
        """When the dead man's switch forbids entries, unless it is renewed."""
        row = self._session.one("get_lease", {"account": account})
        return None if row is None else row["expires_at"]

    def renew_lease(self, account: str, until: datetime, run: Run) -> None:
        """Move the lease's end to `until`."""
        self._session.run(
            "renew_lease", {"account": account, "until": until, "run_id": run.run_id, "dag_id": run.dag_id}
        )

    def arm_latch(self) -> LatchState:
        """Install the triggers on Airflow's table where that is in this database; the state after it."""
        state = self.latch()
        if state in (LatchState.ABSENT, LatchState.DISABLED):
            self._session.run("arm_latch")
        return self.latch()

    def latch(self) -> LatchState:
        """Whether a pause of the DAG `kill_switch` latches by itself."""
        row = self._session.one("latch_triggers")
        if row is None or not row["has_airflow"]:
            return LatchState.NO_AIRFLOW_TABLES
        enabled = row["enabled"] or []
        if len(enabled) != _TRIGGERS:
            return LatchState.ABSENT
        return LatchState.ARMED if all(how in ("O", "A") for how in enabled) else LatchState.DISABLED

    def _use(self, account: str, event: ControlEvent, first: Signature | None) -> None:
        """Spend the token on its halt, in one statement with whatever must be true for that."""
        token_id = event.detail["jti"]
        used = self._session.run(
            "use_override",
            {
                "account": account,
                "kind": event.kind,
                "halt_id": event.halt_id,
                "scope": event.scope,
                "author": event.author,
                "reason": event.reason,
                "at": event.at,
                "run_id": event.run_id,
                "dag_id": event.dag_id,
                "detail": Jsonb(dict(event.detail)),
                "token_id": token_id,
                "key_id": event.detail["kid"],
                "first_token_id": first.token_id if first else None,
            },
        )
        if used:
            return
        if self._session.one("used_token", {"token_id": token_id}):
            raise OverrideRefused("the token was used")
        if all(halt.halt_id != event.halt_id for halt in self.halts(account)):
            raise OverrideRefused(f"halt {event.halt_id} is not open")
        raise OverrideRefused("the first signature waits no more")

    def _add(self, account: str, event: ControlEvent, *kinds: ControlKind) -> int:
        if event.kind not in kinds:
            raise InvariantViolation(f"expected a {' or '.join(kinds)} event, got {event.kind}")
        row = self._session.one(
            "add_control_event",
            {
                "account": account,
                "kind": event.kind,
                "scope": event.scope,
                "halt_id": None if event.kind is ControlKind.HALT_ENGAGED else event.halt_id,
                "author": event.author,
                "reason": event.reason,
                "at": event.at,
                "run_id": event.run_id,
                "dag_id": event.dag_id,
                "detail": Jsonb(dict(event.detail)),
            },
        )
        return int(row["event_id"]) if row else 0
