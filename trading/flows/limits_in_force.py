"""Which limits bind: those that somebody applied. A file that was changed since, or is invalid, waits for a person."""

import logging
from collections.abc import Callable

from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.limits import AppliedLimits, LimitChange, Limits, limit_changes
from trading.domain.portfolio import Portfolio
from trading.errors import ConfigurationError, DatabaseError
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger

logger = logging.getLogger(__name__)


def limits_in_force(books: Books, account: str, portfolio: Portfolio, *, run: Run) -> Limits:
    """The applied limits, under the account's lock; at the first start the file's own are applied, and recorded.

    Says so where the file says something else by now.
    """
    applied = books.risk.limits(account)
    if applied is None:
        record_limits(books, account, portfolio, author=run.actor, reason="first start", run=run)
        return portfolio.limits
    problem = unapplied(applied, portfolio)
    if problem:
        log_event(logger, "limits_unapplied", level=logging.WARNING, account=account, reason=problem)
    return applied.limits


def recorded_limits(ledger: Callable[[], Ledger], account: str) -> Limits | None:
    """The limits in force, for whoever cannot read the file's; None where no database can tell them."""
    try:
        with ledger().transaction() as books:
            applied = books.risk.limits(account)
    except (ConfigurationError, DatabaseError):
        return None  # the complaint about the file comes first
    return applied.limits if applied else None


def unapplied(applied: AppliedLimits, portfolio: Portfolio) -> str:
    """In words why the file's limits are not in force; empty where they are."""
    if portfolio.limits_problem:
        return f"the limits of {applied.at:%Y-%m-%d %H:%M}Z stay in force, since the file was refused: " + (
            portfolio.limits_problem
        )
    if applied.limits == portfolio.limits:
        return ""
    changed = limit_changes(applied.limits, portfolio.limits)
    names = ", ".join(f"{change.name} of {change.scope}" for change in changed)
    return (
        f"the limits of {applied.at:%Y-%m-%d %H:%M}Z stay in force, though the file differs in {names}:"
        " `trading risk apply` shows and applies it"
    )


def record_limits(
    books: Books, account: str, portfolio: Portfolio, *, author: str, reason: str, run: Run
) -> list[LimitChange]:
    """Put the file's limits in force; what changed. The event holds them whole, with the hash of the file."""
    applied = books.risk.limits(account)
    changed = limit_changes(applied.limits if applied else None, portfolio.limits)
    event = ControlEvent(
        kind=ControlKind.LIMITS_APPLIED,
        author=author,
        reason=reason,
        at=books.now(),
        run_id=run.run_id,
        dag_id=run.dag_id,
        scope=f"account:{account}",
        detail={
            "document": portfolio.limits.document,
            "limits_hash": portfolio.limits.content_hash,
            "file_hash": portfolio.content_hash,
            "changed": "; ".join(_in_words(change) for change in changed),
        },
    )
    books.control.record(account, event)
    log_event(
        logger,
        "limits_applied",
        level=logging.WARNING,
        account=account,
        author=author,
        limits_hash=portfolio.limits.content_hash,
        file_hash=portfolio.content_hash,
        changed=len(changed),
    )
    return changed


def _in_words(change: LimitChange) -> str:
    return f"{change.scope} {change.name}: {change.before or 'unset'} → {change.after or 'unset'}"
