"""Deploy: note which version may trade. Every process of another one sends nothing from then on."""

import logging
from dataclasses import dataclass

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.versions import Versions
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.control import EVERY_ACCOUNT
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployReport:
    """The version before, and whether another one may trade now."""

    before: Versions
    changed: bool

    @property
    def counts(self) -> dict[str, int]:
        """One where it changed."""
        return {"deployed": int(self.changed)}


class Deploy:
    """Make this process's version the deployed one, for every account of the database."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def run(self, run: Run) -> DeployReport:
        """Safe to repeat: the same version is noted once."""
        return recorded(self._ledger, self._clock, run, "deploy", lambda: self._deploy(run))

    def _deploy(self, run: Run) -> DeployReport:
        with self._ledger.transaction() as books:
            before = books.risk.standing(EVERY_ACCOUNT).versions
            changed = before.code != before.deployed_code
            if changed:
                event = ControlEvent(
                    kind=ControlKind.DEPLOYED,
                    author=run.actor,
                    reason=f"{before.deployed_code or 'nothing'} → {before.code}",
                    at=books.now(),
                    run_id=run.run_id,
                    dag_id=run.dag_id,
                    detail={"code_version": before.code, "schema_version": before.schema},
                )
                books.control.record(EVERY_ACCOUNT, event)
        if changed:
            log_event(
                logger, "version_deployed", level=logging.WARNING, code_version=before.code, before=before.deployed_code
            )
        return DeployReport(before=before, changed=changed)
