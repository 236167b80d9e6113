"""Evaluate: candles up to as_of, through a strategy, to a decision that is stored once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.clock import Clock
from trading.domain.decision import Decision, DecisionStatus, Recorded, panel_hash, quantised_weights, require_shape
from trading.domain.ids import Run
from trading.domain.market import Panel, from_ms, timeframe_s
from trading.domain.portfolio import StrategyPlan
from trading.errors import DatabaseError, DataError, TradingError
from trading.flows.recording import recorded
from trading.flows.trusted_panel import trusted_panel
from trading.logging.events import log_event
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)

#: Closes that nobody looked at, noted a run at most; older ones are not worth a row each.
MAX_MISSED: Final = 1_000

WeightFunction = Callable[[Panel], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """A strategy of the portfolio, bound to its validated parameters; `warmup` in candles.

    `problem` says why its own code cannot be loaded; empty where it can.
    """

    plan: StrategyPlan
    warmup: int
    weights: WeightFunction
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateReport:
    """What one evaluation stored."""

    decisions: tuple[Decision, ...]
    no_signal: int
    missed: int
    revisions: int
    failed: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Decisions by what became of them."""
        return {
            "decisions": len(self.decisions),
            "no_signal": self.no_signal,
            "missed": self.missed,
            "revisions": self.revisions,
            "failed_strategies": len(self.failed),
        }


class Evaluate:
    """Decide what each strategy wants to hold at its newest complete close."""

    def __init__(self, ledger: Ledger, clock: Clock, strategies: Sequence[Strategy]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._strategies = strategies

    def run(self, run: Run) -> EvaluateReport:
        """Evaluate every strategy; a failing one never stops the others. Raises where every one failed."""
        return recorded(self._ledger, self._clock, run, "evaluate", lambda: self._evaluate(run))

    def _evaluate(self, run: Run) -> EvaluateReport:
        stored: list[Decision] = []
        totals = {"no_signal": 0, "missed": 0, "revisions": 0}
        failed: dict[str, str] = {}
        for strategy in self._strategies:
            try:
                stored += self._one(strategy, run, totals)
            except DatabaseError:  # no other strategy could store its decision either
                raise
            except (TradingError, ArithmeticError, ValueError, IndexError, TypeError, KeyError) as error:
                failed[strategy.plan.name] = f"{type(error).__name__}: {error}"
                log_event(
                    logger, "strategy_failed", level=logging.ERROR, strategy=strategy.plan.name, reason=str(error)
                )
        if failed and len(failed) == len(self._strategies):
            raise TradingError(f"every strategy failed: {failed}")
        return EvaluateReport(decisions=tuple(stored), failed=failed, **totals)

    def _one(self, strategy: Strategy, run: Run, totals: dict[str, int]) -> list[Decision]:
        plan, at = strategy.plan, self._clock.now()
        with self._ledger.transaction() as books:
            newest = books.candles.newest_open_ms(plan.instruments, plan.timeframe)
            as_of = newest_complete_close(plan, newest, at)
            if as_of is None:
                return []
            before = books.decisions.newest(plan.name)
            panel = trusted_panel(books.candles, plan.instruments, plan.timeframe, until=as_of, candles=strategy.warmup)
        decision = decide(strategy, panel, as_of, at, run)
        missed = missed_closes(before, decision)
        with self._ledger.transaction() as books:
            for close in missed:
                books.decisions.record(_missed(plan, close, at, run), run)
            recorded_as = books.decisions.record(decision, run)
        totals["missed"] += len(missed)
        if recorded_as is Recorded.SAME:
            return []
        if recorded_as is Recorded.REVISION:
            totals["revisions"] += 1
            log_event(logger, "decision_revised", level=logging.WARNING, strategy=plan.name, as_of=as_of)
            return []
        totals["no_signal"] += decision.status is DecisionStatus.NO_SIGNAL
        _log_decision(decision)
        return [decision] if decision.status is DecisionStatus.DECIDED else []


def newest_complete_close(plan: StrategyPlan, newest_open_ms: Mapping[str, int], at: datetime) -> datetime | None:
    """The newest close for which all instruments are stored, or whose grace has passed; None without any candle."""
    if not newest_open_ms:
        return None
    step = timedelta(seconds=timeframe_s(plan.timeframe))
    newest = from_ms(max(newest_open_ms.values())) + step
    if at >= newest + timedelta(seconds=plan.grace_s):
        return newest
    if len(newest_open_ms) < len(plan.instruments):
        return None
    return from_ms(min(newest_open_ms.values())) + step


def decide(strategy: Strategy, panel: Panel, as_of: datetime, at: datetime, run: Run) -> Decision:
    """The decision that these candles lead to.

    A window that touches a gap gives no signal, unless the plan tolerates as many missing candles.
    """
    plan = strategy.plan
    weights: Mapping[str, Decimal] = {}
    status, reason = DecisionStatus.DECIDED, ""
    holes = _holes(panel, plan.max_missing_candles)
    if holes:
        status, reason = DecisionStatus.NO_SIGNAL, f"candles are missing in the window of {strategy.warmup}: {holes}"
    else:
        row = _weights(strategy, panel)
        if row is None:
            status, reason = DecisionStatus.NO_SIGNAL, "the strategy gave no weights"
        else:
            weights = quantised_weights(plan.name, plan.instruments, row)
    return Decision(
        strategy=plan.name,
        timeframe=plan.timeframe,
        as_of=as_of,
        status=status,
        weights=weights,
        input_hash=panel_hash(panel, plan.parameters),
        decided_at=at,
        reason=reason,
        run_id=run.run_id,
    )


def _weights(strategy: Strategy, panel: Panel) -> NDArray[np.float64] | None:
    """The newest row of what the strategy's function says; None for no signal.

    It is a user's code: whatever it raises concerns this strategy alone.
    """
    name = strategy.plan.name
    try:
        weights = require_shape(name, panel, strategy.weights(panel))
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"strategy {name} raised {type(error).__name__}: {error}") from error
    return None if np.isnan(weights[-1]).all() else weights[-1]


def missed_closes(before: Decision | None, decision: Decision) -> list[datetime]:
    """Closes between the newest stored decision and this one, newest MAX_MISSED at most, ascending."""
    if before is None:
        return []
    step = timedelta(seconds=timeframe_s(decision.timeframe))
    skipped = max(0, (decision.as_of - before.as_of) // step - 1)
    return [decision.as_of - step * back for back in range(min(skipped, MAX_MISSED), 0, -1)]


def _holes(panel: Panel, tolerated: int) -> str:
    """How many closes each instrument lacks that lacks more than are tolerated; empty where none does."""
    lacking = np.isnan(panel.close).sum(axis=0)
    return ", ".join(
        f"{symbol} {int(count)}" for symbol, count in zip(panel.instruments, lacking, strict=True) if count > tolerated
    )


def _missed(plan: StrategyPlan, close: datetime, at: datetime, run: Run) -> Decision:
    return Decision(
        strategy=plan.name,
        timeframe=plan.timeframe,
        as_of=close,
        status=DecisionStatus.MISSED,
        weights={},
        input_hash="",
        decided_at=at,
        reason="nobody looked at this close in time",
        run_id=run.run_id,
    )


def _log_decision(decision: Decision) -> None:
    log_event(
        logger,
        "decision_stored",
        strategy=decision.strategy,
        as_of=decision.as_of,
        status=decision.status,
        weights={symbol: str(weight) for symbol, weight in decision.weights.items()},
        reason=decision.reason or None,
    )
