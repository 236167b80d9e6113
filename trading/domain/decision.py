"""Decisions: what a strategy wants to hold, and how much of it that means in quantities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.ids import content_hash
from trading.domain.market import Panel
from trading.domain.money import ONE, ZERO, floor_to_step
from trading.errors import DataError

#: Weights are quantised to this before sizing, so that every way of running gives the same digits.
WEIGHT_PLACES: Final = 6


class DecisionStatus(StrEnum):
    """Whether a close led to weights."""

    DECIDED = "decided"
    NO_SIGNAL = "no_signal"  # the window touches a gap, or history is too short
    MISSED = "missed"  # nobody looked at this close in time


class Recorded(StrEnum):
    """What storing a decision found: the first one wins."""

    FIRST = "first"
    SAME = "same"
    REVISION = "revision"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A strategy's target weights (shares of its own equity, by symbol) at `as_of`, with a hash of its inputs."""

    strategy: str
    timeframe: str
    as_of: datetime
    status: DecisionStatus
    weights: Mapping[str, Decimal]
    input_hash: str
    decided_at: datetime
    reason: str = ""
    run_id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


def panel_hash(panel: Panel, parameters: Mapping[str, object]) -> str:
    """Hash of everything that a decision may depend on: the candles of its window and its parameters."""
    columns = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    return content_hash(
        {
            "instruments": list(panel.instruments),
            "timeframe": panel.timeframe,
            "open_ms": panel.open_ms.tobytes().hex(),
            "columns": [np.ascontiguousarray(column).tobytes().hex() for column in columns],
            "parameters": {key: str(value) for key, value in sorted(parameters.items())},
        }
    )


def quantised_weights(strategy: str, instruments: tuple[str, ...], row: NDArray[np.float64]) -> dict[str, Decimal]:
    """One row of weights (instruments,) as exact numbers, quantised to 1e-6 towards zero.

    Raises DataError where a weight is not finite, is negative, or they sum to more than 1: spot, without borrowing.
    """
    weights: dict[str, Decimal] = {}
    for symbol, value in zip(instruments, row.tolist(), strict=True):
        if not np.isfinite(value) or value < 0 or value > 1:
            raise DataError(f"strategy {strategy}: expected a weight of 0 to 1 for {symbol}, got {value}")
        weights[symbol] = floor_to_step(Decimal(repr(value)), Decimal(1).scaleb(-WEIGHT_PLACES))
    total = sum(weights.values(), ZERO)
    if total > ONE:
        raise DataError(f"strategy {strategy}: expected weights that sum to at most 1, got {total}")
    return weights
