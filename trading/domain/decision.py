"""Decisions: what a strategy wants to hold, and how much of it that means in quantities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.ids import content_hash
from trading.domain.market import Panel
from trading.errors import DataError

#: Weights are quantised to this before sizing, so that every way of running gives the same digits.
WEIGHT_PLACES: Final = 6
#: Stands for NaN among weights in millionths.
NO_WEIGHT: Final = -1
_MILLION: Final = 10**WEIGHT_PLACES


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
    millionths = weights_in_millionths(row[np.newaxis])
    _require_spot(strategy, instruments, row[np.newaxis], millionths, lambda _row: "")
    return {
        symbol: Decimal(number).scaleb(-WEIGHT_PLACES)
        for symbol, number in zip(instruments, millionths[0].tolist(), strict=True)
    }


def quantised_rows(strategy: str, panel: Panel, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """A strategy's whole answer in millionths, int64 (candles, instruments); NO_WEIGHT in rows without a signal.

    Each row comes to what `quantised_weights` makes of it. Raises DataError that names the row, its close, the
    instrument and the value where a row is partly NaN, or is not spot.
    """

    def named(row: int) -> str:
        return f" row {row} (close of {panel.close_time(row).isoformat()}):"

    silent = np.isnan(weights.sum(axis=1))
    for row in np.flatnonzero(silent & ~np.isnan(weights).all(axis=1))[:1].tolist():
        symbol = panel.instruments[int(np.argmax(np.isnan(weights[row])))]
        raise DataError(f"strategy {strategy}:{named(row)} the weight of {symbol} is NaN: expected all or none")
    given = np.where(silent[:, np.newaxis], 0.0, weights)
    millionths = weights_in_millionths(given)
    _require_spot(strategy, panel.instruments, given, millionths, named)
    millionths[silent] = NO_WEIGHT
    return millionths


def require_shape(strategy: str, panel: Panel, weights: object) -> NDArray[np.float64]:
    """A strategy's answer, which is float64 (candles, instruments). Raises DataError for anything else."""
    expected = panel.close.shape
    if isinstance(weights, np.ndarray) and weights.shape == expected and weights.dtype == np.float64:
        return weights
    found = f"{weights.dtype} {weights.shape}" if isinstance(weights, np.ndarray) else type(weights).__name__
    raise DataError(f"strategy {strategy}: expected weights as float64 {expected}, got {found}")


def weights_in_millionths(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Each weight's shortest decimal text, cut to six places, as a whole number; what is not finite gives nonsense.

    A float64 is at or above k / 1e6 exactly where its text is, since k / 1e6 is the float64 nearest to that decimal.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        nearest: NDArray[np.float64] = np.rint(weights * _MILLION)
        return (nearest - (weights < nearest / _MILLION)).astype(np.int64)


def _require_spot(
    strategy: str,
    instruments: tuple[str, ...],
    weights: NDArray[np.float64],
    millionths: NDArray[np.int64],
    named: Callable[[int], str],
) -> None:
    """Raise DataError for the first row that borrows or sells short."""
    outside = ~((weights >= 0) & (weights <= 1))
    if outside.any():
        row, column = (int(index[0]) for index in np.nonzero(outside))
        raise DataError(
            f"strategy {strategy}:{named(row)} expected a weight of 0 to 1 for {instruments[column]}, got"
            f" {float(weights[row, column])}"
        )
    over = millionths.sum(axis=1) > _MILLION
    if over.any():
        row = int(np.argmax(over))
        total = Decimal(int(millionths[row].sum())).scaleb(-WEIGHT_PLACES)
        raise DataError(f"strategy {strategy}:{named(row)} expected weights that sum to at most 1, got {total}")
