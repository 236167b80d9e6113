"""A pause of `kill_switch` that no trigger could latch becomes a halt when somebody reads it.

Airflow's tables may be in another database, or its upgrade may have dropped the trigger: unpausing would then release.
"""

import logging
from typing import Final

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind, LatchState
from trading.logging.events import log_event
from trading.ports.control import EVERY_ACCOUNT
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)

#: The trigger signs with it too: one pause is one halt, whoever was first.
AUTHOR: Final = "airflow:pause"


def latch_seen_pause(ledger: Ledger, account: str, clock: Clock, run: Run) -> None:
    """Engage the halt that the trigger would have; nothing where it is armed, or where such a halt stands."""
    with ledger.transaction() as books:
        standing = any(halt.author == AUTHOR for halt in books.control.halts(account))
        if standing or books.control.latch() is LatchState.ARMED:
            return
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author=AUTHOR,
            reason="the DAG kill_switch is paused, as a placing read in Airflow",
            at=clock.now(),
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        halt_id = books.control.engage(EVERY_ACCOUNT, event)
    log_event(logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, author=AUTHOR, reason=event.reason)
