"""Notices that the ledger lost rows: by what is remembered outside of it, and by orders of ours that it never sent."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.ledger import Fill
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind
from trading.domain.restore import AUTHOR, Mark, forgotten_run, is_lost, lost_order, lost_rows
from trading.domain.venue_order import VenueOrder
from trading.flows.unexplained import fill_key
from trading.flows.venue_look import Progress, VenueLook, days, passing_by_what_is_gone
from trading.logging.events import log_event
from trading.ports.ledger import Account, Books, Ledger, RunRecord
from trading.ports.market import Venue
from trading.ports.witness import Witness

logger = logging.getLogger(__name__)

#: An order with fills is looked for among those that were made since this long before the first of them.
_BEFORE_FILL: Final = timedelta(days=1)
#: The venue's clock may be ahead of ours, and its newest orders belong to what is read.
_AHEAD: Final = timedelta(seconds=5)
_EXTERNAL: Final = frozenset({DiscrepancyKind.EXTERNAL_ORDER, DiscrepancyKind.EXTERNAL_FILL})


def check_memory(ledger: Ledger, witness: Witness | None, *, account: str, run: Run, flow: str) -> str:
    """Halt where the ledger forgot the run that is remembered outside of it; in words why, empty where all is well.

    Where all is well this run, whose start is committed, is what is remembered from now on: it stands outside before
    anything is sent. Without a witness nobody remembers anything.
    """
    if witness is None:
        return ""
    mark = witness.read()
    with ledger.transaction() as books:
        held = books.accounts.get(account)
        known = books.runs.get(mark.run_id) if mark else []
        own = [one for one in books.runs.get(run.run_id) if (one.run.dag_id, one.flow) == (run.dag_id, flow)]
        if held is None or not own:
            return ""
        if mark and lost_rows(mark, [mark_of(one, held) for one in known], incarnation=held.incarnation):
            newest = newest_run(books, held, before=run)
            sentence = forgotten_run(mark, newest)
            _halt_once(books, account, sentence, run)
            return sentence
    witness.write(mark_of(own[0], held))
    return ""


def newest_run(books: Books, account: Account, *, before: Run) -> Mark | None:
    """The newest run in the ledger that is not `before` itself."""
    others = (one for one in books.runs.recent(None, 10) if one.run.run_id != before.run_id)
    newest = next(others, None)
    return mark_of(newest, account) if newest else None


def mark_of(record: RunRecord, account: Account) -> Mark:
    """The run as it is remembered."""
    return Mark(
        run_id=record.run.run_id,
        dag_id=record.run.dag_id,
        flow=record.flow,
        started_at=record.started_at,
        incarnation=account.incarnation,
    )


def orders_behind(venue: Venue, fills: Sequence[Fill], until: datetime) -> list[VenueOrder]:
    """The orders of these fills, which name only the venue's own ids; older ones than a day before are not found."""
    first: dict[str, datetime] = {}
    for fill in fills:
        first[fill.instrument] = min(fill.filled_at, first.get(fill.instrument, fill.filled_at))
    ids = {(fill.instrument, fill.venue_order_id) for fill in fills}
    return [
        order
        for symbol, at in first.items()
        for order in venue.order_history(symbol, since=at - _BEFORE_FILL, until=until + _AHEAD)
        if (symbol, order.venue_order_id) in ids
    ]


def whole_order_history(
    venue: Venue, instruments: Iterable[str], *, since: datetime, until: datetime, tell: Progress
) -> list[VenueOrder]:
    """Every order that the venue tells of, by instrument and day, oldest first."""
    found: list[VenueOrder] = []
    for symbol in instruments:
        with passing_by_what_is_gone(symbol, set()):
            for start, end in days(since, until + _AHEAD, tell, f"{symbol}: orders"):
                found += venue.order_history(symbol, since=start, until=end)
    return found


def lost_orders(books: Books, orders: Iterable[VenueOrder]) -> list[VenueOrder]:
    """Those that bear a name of ours, and that the ledger never sent."""
    return [order for order in orders if is_lost(order, books.orders.get(order.client_order_id))]


def untold(account: Account, lost: Iterable[VenueOrder]) -> list[VenueOrder]:
    """Those that no restore explains that somebody has told of."""
    return [order for order in lost if account.restored_at is None or order.created_at > account.restored_at]


def suspects(venue: Venue, seen: VenueLook, found: Sequence[Discrepancy]) -> list[VenueOrder]:
    """The venue's orders behind external findings: those that rest, and those of fills. Asks only where there are."""
    keys = {(one.kind, one.key) for one in found if one.kind in _EXTERNAL}
    if not keys:
        return []
    fills = [fill for fill in seen.fills if (DiscrepancyKind.EXTERNAL_FILL, fill_key(fill)) in keys]
    return [*seen.open_orders, *orders_behind(venue, fills, seen.until)]


def halt_on_lost_orders(ledger: Ledger, account: str, orders: Sequence[VenueOrder], run: Run) -> list[VenueOrder]:
    """Of the venue's orders those that prove lost rows; halts where nobody has told of a restore since they were made.

    No lag excuses them: an intent is committed before its POST.
    """
    if not orders:
        return []
    with ledger.transaction() as books:
        lost = lost_orders(books, orders)
        unexplained = untold(books.accounts.lock(account), lost)
        if unexplained:
            _halt_once(books, account, lost_order(unexplained[0]), run)
    for order in lost:
        log_event(
            logger,
            "order_without_intent",
            level=logging.WARNING,
            client_order_id=order.client_order_id,
            symbol=order.instrument,
            venue_order_id=order.venue_order_id,
            status=order.status,
        )
    return lost


def _halt_once(books: Books, account: str, sentence: str, run: Run) -> None:
    """Engage a halt, unless one for lost rows stands already."""
    if any(halt.author == AUTHOR for halt in books.control.halts(account)):
        return
    event = ControlEvent(
        kind=ControlKind.HALT_ENGAGED,
        author=AUTHOR,
        reason=sentence,
        at=books.now(),
        run_id=run.run_id,
        dag_id=run.dag_id,
    )
    halt_id = books.control.engage(account, event)
    log_event(logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, reason=sentence)
