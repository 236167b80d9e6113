"""Each run leaves its start, its end and its counts: in the ledger, and as log lines."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from trading.clock import Clock
from trading.domain.ids import Run
from trading.errors import TradingError, TradingHalted
from trading.logging.events import log_event
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)


class Report(Protocol):
    """What a flow gives back."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Whole numbers by name."""
        ...


R = TypeVar("R", bound=Report)


def recorded(ledger: Ledger, clock: Clock, run: Run, flow: str, body: Callable[[], R]) -> R:
    """Run `body` between a recorded start and a recorded end. Whatever it raises is recorded and raised again."""
    started = clock.monotonic()
    with ledger.transaction() as books:
        books.runs.start(run, flow, clock.now())
    log_event(logger, "run_started", flow=flow, causes=list(run.causes) or None)
    try:
        report = body()
    except BaseException as error:
        outcome = "skipped" if isinstance(error, TradingHalted) else "failed"
        message = str(error) or type(error).__name__
        trouble = error.trouble.value if isinstance(error, TradingError) else ""
        try:
            with ledger.transaction() as books:
                books.runs.finish(run, flow, clock.now(), outcome=outcome, message=message, counts={}, trouble=trouble)
        except TradingError as unrecorded:  # what went wrong first is what the caller must hear of
            log_event(logger, "run_unrecorded", level=logging.ERROR, flow=flow, reason=str(unrecorded))
        level = logging.WARNING if outcome == "skipped" else logging.ERROR
        log_event(logger, f"run_{outcome}", level=level, flow=flow, reason=message, trouble=trouble or None)
        raise
    with ledger.transaction() as books:
        books.runs.finish(run, flow, clock.now(), outcome="done", message="", counts=report.counts)
    seconds = round(clock.monotonic() - started, 3)
    log_event(logger, "run_finished", flow=flow, seconds=seconds, **report.counts)
    return report
