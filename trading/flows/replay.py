"""Replay: what would have been decided in a stretch of the past, stored apart, and where it differs from what was."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from trading.clock import Clock
from trading.domain.decision import Decision
from trading.domain.ids import Run
from trading.domain.market import Panel, floor_to_timeframe, timeframe_s
from trading.domain.replay import ReplayedDecision, ReplayVerdict, judged, says_the_same
from trading.errors import ConfigurationError, TradingError
from trading.flows.evaluate import Strategy, decide
from trading.flows.recording import recorded
from trading.flows.trusted_panel import trusted_panel
from trading.logging.events import log_event
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayReport:
    """What a replay found."""

    lines: tuple[ReplayedDecision, ...]
    failed: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Closes by what became of them."""
        found = Counter(line.verdict for line in self.lines)
        return {str(verdict): found[verdict] for verdict in ReplayVerdict} | {"failed_strategies": len(self.failed)}

    @property
    def differing(self) -> list[ReplayedDecision]:
        """Those that nothing explains."""
        return [line for line in self.lines if line.verdict is ReplayVerdict.DIFFERS]


class Replay:
    """Recompute the decisions of closed candles; its ledger may be one whose role can insert no decision at all."""

    def __init__(self, ledger: Ledger, clock: Clock, strategies: Sequence[Strategy]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._strategies = strategies

    def run(self, run: Run, *, since: datetime, until: datetime) -> ReplayReport:
        """Every close with since < close ≤ until. Raises ConfigurationError for an empty stretch."""
        if since >= until:
            raise ConfigurationError(f"a replay from {since.isoformat()} to {until.isoformat()}: expected some time")
        return recorded(self._ledger, self._clock, run, "replay", lambda: self._replay(run, since, until))

    def _replay(self, run: Run, since: datetime, until: datetime) -> ReplayReport:
        lines: list[ReplayedDecision] = []
        failed: dict[str, str] = {}
        for strategy in self._strategies:
            try:
                lines += self._one(strategy, run, since, min(until, self._clock.now()))
            except TradingError as error:
                failed[strategy.plan.name] = str(error)
                log_event(
                    logger, "strategy_failed", level=logging.ERROR, strategy=strategy.plan.name, reason=str(error)
                )
        report = ReplayReport(lines=tuple(lines), failed=failed)
        for line in report.differing:
            log_event(
                logger,
                "replay_differed",
                level=logging.ERROR,
                strategy=line.strategy,
                as_of=line.as_of,
                reason=line.explanation,
            )
        return report

    def _one(self, strategy: Strategy, run: Run, since: datetime, until: datetime) -> list[ReplayedDecision]:
        plan = strategy.plan
        step = timedelta(seconds=timeframe_s(plan.timeframe))
        last = floor_to_timeframe(until, plan.timeframe)
        closes = (last - floor_to_timeframe(since, plan.timeframe)) // step
        with self._ledger.transaction() as books:
            candles = closes + strategy.warmup - 1
            panel = trusted_panel(books.candles, plan.instruments, plan.timeframe, until=last, candles=candles)
            stored = {one.as_of: one for one in books.decisions.between(plan.name, since=since, until=last)}
        lines = []
        for row in range(strategy.warmup - 1, len(panel)):
            window = _rows(panel, row - strategy.warmup + 1, row + 1)
            before = stored.get(panel.close_time(row))
            if before is None and np.isnan(window.close[-1]).all():
                continue  # nothing is known of that close, then or now
            replayed = decide(strategy, window, panel.close_time(row), self._clock.now(), run)
            differs = before is not None and not says_the_same(replayed, before)
            lines.append(judged(replayed, before, self._as_known(strategy, before, run) if differs else None))
        with self._ledger.transaction() as books:
            books.replays.record(lines, run)
        return lines

    def _as_known(self, strategy: Strategy, stored: Decision | None, run: Run) -> Decision | None:
        """The decision from the candles as they were known when `stored` was decided."""
        if stored is None:
            return None
        with self._ledger.transaction() as books:
            panel = trusted_panel(
                books.candles,
                strategy.plan.instruments,
                strategy.plan.timeframe,
                until=stored.as_of,
                candles=strategy.warmup,
                known_at=stored.decided_at,
            )
        return decide(strategy, panel, stored.as_of, stored.decided_at, run)


def _rows(panel: Panel, start: int, stop: int) -> Panel:
    columns = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    return Panel(
        panel.instruments, panel.timeframe, panel.open_ms[start:stop], *(column[start:stop] for column in columns)
    )
