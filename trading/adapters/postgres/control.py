"""The kill switch's memory."""

from datetime import datetime

from psycopg.types.json import Jsonb

from trading.adapters.postgres.connection import Session
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind, Halt, LatchState
from trading.domain.override import Override, OverrideRefused
from trading.errors import InvariantViolation


class PostgresControl:
    """ControlStore over the tables control_event and lease, and triggers on Airflow's table dag."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def halts(self, account: str) -> tuple[Halt, ...]:
        """Halts that nobody released, oldest first."""
        return tuple(Halt(**row) for row in self._session.all("open_halts", {"account": account}))

    def engage(self, account: str, event: ControlEvent) -> int:
        """Append a halt; its id."""
        return self._add(account, event, ControlKind.HALT_ENGAGED)

    def release(self, account: str, override: Override, *, at: datetime, run: Run) -> None:
        """Append the release of exactly this halt, once a token, once a person, once a key."""
        released = self._session.run(
            "release_halt",
            {
                "account": account,
                "halt_id": override.halt_id,
                "scope": override.scope,
                "author": override.subject,
                "reason": override.reason,
                "at": at,
                "run_id": run.run_id,
                "dag_id": run.dag_id,
                "detail": Jsonb({"jti": override.token_id, "kid": override.key_id}),
                "token_id": override.token_id,
                "key_id": override.key_id,
            },
        )
        if released:
            return
        if self._session.one("used_token", {"token_id": override.token_id}):
            raise OverrideRefused("the token was used")
        raise OverrideRefused(f"halt {override.halt_id} is not open")

    def refuse(self, account: str, event: ControlEvent) -> None:
        """Append the refusal of an override."""
        self._add(account, event, ControlKind.OVERRIDE_REFUSED)

    def adopt(self, account: str, event: ControlEvent) -> None:
        """Append that somebody took what happened outside into the ledger."""
        self._add(account, event, ControlKind.ADOPTED)

    def restore(self, account: str, event: ControlEvent) -> None:
        """Append that somebody restored the ledger from a backup."""
        self._add(account, event, ControlKind.RESTORED)

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
        if len(enabled) != len(("pause", "deletion")):
            return LatchState.ABSENT
        return LatchState.ARMED if all(how in ("O", "A") for how in enabled) else LatchState.DISABLED

    def _add(self, account: str, event: ControlEvent, kind: ControlKind) -> int:
        if event.kind is not kind:
            raise InvariantViolation(f"expected a {kind} event, got {event.kind}")
        row = self._session.one(
            "add_control_event",
            {
                "account": account,
                "kind": event.kind,
                "scope": event.scope,
                "halt_id": None if kind is ControlKind.HALT_ENGAGED else event.halt_id,
                "author": event.author,
                "reason": event.reason,
                "at": event.at,
                "run_id": event.run_id,
                "dag_id": event.dag_id,
                "detail": Jsonb(dict(event.detail)),
            },
        )
        return int(row["event_id"]) if row else 0
