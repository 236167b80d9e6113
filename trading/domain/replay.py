"""What would have been decided, beside what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.domain.decision import Decision, DecisionStatus


class ReplayVerdict(StrEnum):
    """How a recomputed decision compares with the stored one."""

    SAME = "same"
    RESTATED = "restated"  # the same from the candles as they were known then; they were restated since
    NOT_DECIDED = "not_decided"  # nobody looked at that close, or the pipeline did not run
    DIFFERS = "differs"  # unexplained: other parameters, other code, or a strategy that is not a pure function


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayedDecision:
    """A recomputation, kept apart from decisions: no order can come of it."""

    strategy: str
    as_of: datetime
    timeframe: str
    status: DecisionStatus
    weights: Mapping[str, Decimal]
    verdict: ReplayVerdict
    explanation: str = ""


def judged(replayed: Decision, stored: Decision | None, as_known: Decision | None = None) -> ReplayedDecision:
    """Compare. `as_known` was recomputed from the candles as they were known when `stored` was decided."""
    verdict, explanation = _verdict(replayed, stored, as_known)
    return ReplayedDecision(
        strategy=replayed.strategy,
        as_of=replayed.as_of,
        timeframe=replayed.timeframe,
        status=replayed.status,
        weights=replayed.weights,
        verdict=verdict,
        explanation=explanation,
    )


def says_the_same(left: Decision, right: Decision) -> bool:
    """Whether two computations lead to the same orders."""
    return (left.timeframe, left.status, dict(left.weights)) == (right.timeframe, right.status, dict(right.weights))


def _verdict(replayed: Decision, stored: Decision | None, as_known: Decision | None) -> tuple[ReplayVerdict, str]:
    if stored is None:
        return ReplayVerdict.NOT_DECIDED, "no decision is stored"
    if stored.status is DecisionStatus.MISSED:
        return ReplayVerdict.NOT_DECIDED, stored.reason
    if says_the_same(replayed, stored):
        return ReplayVerdict.SAME, ""
    if as_known is not None and says_the_same(as_known, stored):
        return ReplayVerdict.RESTATED, "candles of its window were restated or came late"
    inputs = (
        "the same candles and parameters"
        if as_known and as_known.input_hash == stored.input_hash
        else ("other parameters, instruments or candles")
    )
    return ReplayVerdict.DIFFERS, f"decided {_said(stored)}, replayed {_said(replayed)}, from {inputs}"


def _said(decision: Decision) -> str:
    weights = ", ".join(f"{symbol} {weight}" for symbol, weight in decision.weights.items())
    return weights or str(decision.status)
