"""Resume: signed overrides end a halt where the books agree, or grant leave to reduce. Nothing else does either."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trading.clock import Clock
from trading.domain.dual_control import completed_by, signature_of
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.override import (
    MAX_REFUSALS,
    REFUSALS_WITHIN,
    Action,
    Override,
    OverrideRefused,
    require_after_restore,
    token_facts,
    verify_override,
)
from trading.errors import ConfigurationError
from trading.flows.calm import unfit, unsettled
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Account, Books, Ledger

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a valid override."""

    RELEASED = "released"
    GRANTED = "granted"
    SIGNED = "signed"  # the first of two: nothing is allowed yet


@dataclass(frozen=True, kw_only=True, slots=True)
class ResumeReport:
    """What an override brought about, and how many halts still stand. `expires_at` is None for a release."""

    outcome: Outcome
    halt_id: int
    halts_left: int
    person: str
    expires_at: datetime | None = None

    @property
    def counts(self) -> dict[str, int]:
        """One release, grant or first signature; the halts that still stand."""
        return {outcome.value: int(outcome is self.outcome) for outcome in Outcome} | {"halts": self.halts_left}


class Resume:
    """Verify an override, and do exactly what it says about exactly the halt that it names.

    Under `dual_control` a first person's override only waits for a second person's, signed with another key.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        account: str,
        environment: str,
        keys: Mapping[str, str],
        dual_control: bool = False,
        max_refusals: int = MAX_REFUSALS,
    ) -> None:
        if dual_control and len(set(keys.values())) < len(("one person's", "the other's")):
            raise ConfigurationError(f"dual control: expected two keys with different content, got {', '.join(keys)}")
        self._ledger = ledger
        self._clock = clock
        self._account = account
        self._environment = environment
        self._keys = dict(keys)
        self._dual_control = dual_control
        self._max_refusals = max_refusals

    def run(self, run: Run, token: str) -> ResumeReport:
        """Release, grant or wait. Raises OverrideRefused, alike from outside for every cause; the audit log has it."""
        return recorded(self._ledger, self._clock, run, "resume", lambda: self._resume(run, token))

    def _resume(self, run: Run, token: str) -> ResumeReport:
        with self._ledger.transaction() as books:
            account = books.accounts.lock(self._account)
            at = books.now()  # of the moment when the lock was given: a token may expire while it waits for that
            became = self._became(books, account, run, token, at)
        if isinstance(became, OverrideRefused):
            log_event(logger, "override_refused", level=logging.WARNING, reason=became.cause, **token_facts(token))
            raise became
        name = "halt_released" if became.outcome is Outcome.RELEASED else f"override_{became.outcome}"
        log_event(logger, name, level=logging.WARNING, halt_id=became.halt_id, person=became.person)
        return became

    def _became(
        self, books: Books, account: Account, run: Run, token: str, at: datetime
    ) -> ResumeReport | OverrideRefused:
        """A refusal is an answer here, not an error, so that its audit row is committed under the same lock."""
        override: Override | None = None
        try:
            self._require_patience(books, at)
            override = verify_override(token, self._keys, at=at, environment=self._environment)
            require_after_restore(override, account.restored_at)
            self._require_halts_scope(books, override)
            self._require_calm(books, account, override)
            return self._use(books, override, run, at)
        except OverrideRefused as refused:
            if refused.recorded:
                self._record(books, run, token, override, refused)
            return refused

    def _use(self, books: Books, override: Override, run: Run, at: datetime) -> ResumeReport:
        """Compare and set: the store takes the token only where all that was read still holds."""
        control, first, outcome, expires_at = books.control, None, Outcome.RELEASED, None
        if self._dual_control:
            first = completed_by(override, control.waiting(self._account, override.halt_id), self._keys, at=at)
        if self._dual_control and first is None:
            outcome, expires_at = Outcome.SIGNED, override.expires_at
            signature = signature_of(override, self._keys)
            control.sign_first(self._account, signature, reason=override.reason, at=at, run=run)
        elif override.action == Action.REDUCE_ONLY:
            outcome = Outcome.GRANTED
            expires_at = min(override.expires_at, first.expires_at) if first else override.expires_at
            control.grant(self._account, override, at=at, run=run, first=first)
        else:
            control.release(self._account, override, at=at, run=run, first=first)
        return ResumeReport(
            outcome=outcome,
            halt_id=override.halt_id,
            halts_left=len(control.halts(self._account)),
            person=override.subject,
            expires_at=expires_at,
        )

    def _require_patience(self, books: Books, at: datetime) -> None:
        """After too many refusals none is looked at for a while; what is not looked at does not prolong it."""
        if books.control.refusals_since(self._account, at - REFUSALS_WITHIN) >= self._max_refusals:
            raise OverrideRefused(f"{self._max_refusals} were refused within a minute", recorded=False)

    def _require_halts_scope(self, books: Books, override: Override) -> None:
        """A halt ends as a whole, and leave to reduce reaches no farther than it; whether it stands the store says."""
        halt = next((one for one in books.control.halts(self._account) if one.halt_id == override.halt_id), None)
        within = halt is None or override.scope == halt.scope
        if override.action == Action.REDUCE_ONLY:
            within = within or (halt is not None and halt.scope == "all")
        if not within:
            raise OverrideRefused(f"signed for scope {override.scope}, the halt's is {halt.scope if halt else ''}")

    @staticmethod
    def _require_calm(books: Books, account: Account, override: Override) -> None:
        """Closing positions is for when things are not settled; only a ledger that is fit for nothing forbids it."""
        settled = override.action == Action.REDUCE_ONLY
        obstacles = unfit(books, account) + ([] if settled else unsettled(books, account))
        if obstacles:
            raise OverrideRefused(obstacles[0])

    def _record(
        self,
        books: Books,
        run: Run,
        token: str,
        override: Override | None,
        refused: OverrideRefused,
    ) -> None:
        """The cause goes to the audit log with the token's hash, never the token."""
        named = override.halt_id if override else None
        event = ControlEvent(
            kind=ControlKind.OVERRIDE_REFUSED,
            author=override.subject if override else "unknown",
            reason=refused.cause,
            at=books.now(),
            run_id=run.run_id,
            dag_id=run.dag_id,
            scope=override.scope if override else "all",
            halt_id=named if any(halt.halt_id == named for halt in books.control.halts(self._account)) else None,
            detail={**token_facts(token), "halt": str(named or ""), "submitted_by": run.actor},
        )
        books.control.refuse(self._account, event)
