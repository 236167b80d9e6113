"""Anchor: chain what is not chained yet, and keep the chains' heads outside the database."""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from trading.domain.audit import Anchor, ChainHead, sign_anchor
from trading.errors import TradingError
from trading.logging.events import log_event
from trading.ports.audit import AnchorLog
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)


def anchor_heads(ledger: Ledger, log: AnchorLog, account: str, secret: Callable[[], str]) -> None:
    """Anchor every head that moved. A chain alone does not show that its end was cut off; its anchors do.

    What goes wrong is logged, and never undoes the reconciliation before it.
    """
    try:
        with ledger.transaction() as books:
            books.audit.extend()
            heads, at = books.audit.heads(account), books.now()
        known = {(anchor.head.chain, anchor.head.account): anchor.head for anchor in log.newest()}
        moved = [head for head in heads if known.get((head.chain, head.account)) != head]
        if moved:
            _keep(moved, known.values(), log, at, secret())
    except TradingError as error:
        log_event(logger, "audit_anchor_failed", level=logging.ERROR, reason=str(error))


def _keep(moved: Sequence[ChainHead], known: Iterable[ChainHead], log: AnchorLog, at: datetime, secret: str) -> None:
    anchors = [sign_anchor(head, at, secret) for head in moved]
    log.append(anchors)
    before = {(head.chain, head.account): head.sequence for head in known}
    for anchor in anchors:
        _tell(anchor, before.get((anchor.head.chain, anchor.head.account), 0))


def _tell(anchor: Anchor, before: int) -> None:
    """The log line is an anchor of its own, wherever the logs are shipped to."""
    head = anchor.head
    log_event(
        logger,
        "audit_anchored",
        chain=head.chain,
        account=head.account,
        sequence=head.sequence,
        hash=head.hash,
        at=anchor.at.isoformat(),
        mac=anchor.mac,
    )
    if before >= head.sequence:
        log_event(
            logger,
            "audit_chain_shrank",
            level=logging.ERROR,
            chain=head.chain,
            account=head.account,
            expected=f"more than {before} links",
            found=head.sequence,
        )
