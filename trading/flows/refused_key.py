"""A key that the venue refuses stops everything: whatever is sent next would be refused as well."""

import logging
from datetime import datetime

from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.errors import TradingError, Trouble
from trading.logging.events import log_event
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)

AUTHOR = "credentials"


def halt_on_refused_key(ledger: Ledger, account: str, error: TradingError, *, at: datetime, run: Run) -> None:
    """Halt the account where `error` says that its key was refused; once, however often it is refused."""
    if error.trouble is not Trouble.CREDENTIALS:
        return
    with ledger.transaction() as books:
        if any(halt.author == AUTHOR for halt in books.control.halts(account)):
            return
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author=AUTHOR,
            reason=str(error),
            at=at,
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        halt_id = books.control.engage(account, event)
    log_event(
        logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, reason=event.reason, trouble=error.trouble.value
    )
