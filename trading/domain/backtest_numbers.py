"""Candles and weights as whole numbers, one look at each; numbers too near to a boundary are named, for Decimal."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest_terms import WHOLE_WEIGHT
from trading.domain.compiled import compiled, inlined
from trading.domain.decision import NO_WEIGHT

Floats: TypeAlias = NDArray[np.float64]
Wholes: TypeAlias = NDArray[np.int64]

#: Weights are compared so many at a time.
_BLOCK: Final = 32
_HALF: Final = 0.5


@compiled
def ticks_of(prices: Floats, tick: float, most: float, ticks: Wholes) -> tuple[bool, bool]:
    """Set `ticks` to the prices, half up, 0 where there is none; whether some price has more than `most` ticks.

    And whether some price is nearer to a half than its quotient's own rounding: `unsure_ticks` are those.
    """
    beyond, unsure = False, False
    for row in range(len(prices)):
        scaled = prices[row] / tick if np.isfinite(prices[row]) else 0.0
        below = np.floor(scaled)
        ticks[row] = np.int64(below) + np.int64(scaled - below >= _HALF)
        beyond |= scaled > most
        unsure |= abs(scaled - below - _HALF) < scaled * 1e-14 + 1e-9
    return beyond, unsure


def unsure_ticks(prices: Floats, tick: float) -> Wholes:
    """The rows whose whole ticks a float cannot decide."""
    scaled = np.where(np.isfinite(prices), prices, 0.0) / tick
    return np.flatnonzero(np.abs(scaled - np.floor(scaled) - _HALF) < scaled * 1e-14 + 1e-9)


@compiled
def lots_of(volume: Floats, numerator: float, denominator: float, lots: Wholes) -> float:
    """Set `lots` to how many of numerator / denominator each volume holds; the largest of them, rounded."""
    largest, factor = 0.0, denominator / numerator
    for row in range(len(volume)):
        near = np.rint(volume[row] * factor) if np.isfinite(volume[row]) else 0.0
        whole = near - (1.0 if volume[row] < near * numerator / denominator else 0.0)
        lots[row] = np.int64(min(max(whole, 0.0), 2.0**62))
        largest = near if near > largest else largest
    return largest


def even_lots(volume: Floats, numerator: float, denominator: float) -> Wholes:
    """The rows whose volume is, as a float, a whole number of lots: their exact decimal may be below."""
    near = np.rint(np.nan_to_num(volume, nan=0.0, posinf=0.0) * (denominator / numerator))
    return np.flatnonzero((volume == near * numerator / denominator) & (near > 0))


@inlined
def _change_after(bits: Wholes, row: int, stop: int, width: int) -> int:
    """The first row from `row` on that is not, bit by bit, as the one before it; `stop` where there is none."""
    while row < stop:
        block, other = min(row + _BLOCK, stop), np.int64(0)
        for at in range(row * width, block * width):
            other |= bits[at] ^ bits[at - width]
        if other != 0:
            break
        row = block
    while row < stop:
        other = np.int64(0)
        for at in range(row * width, row * width + width):
            other |= bits[at] ^ bits[at - width]
        if other != 0:
            break
        row += 1
    return row


@inlined
def _quantised(weights: Floats, row: int, whole: Wholes) -> bool:
    """Set `whole` to the row in millionths, as `weights_in_millionths` does; False for what is no row of weights."""
    unknown, total, sound = 0, 0, True
    for j in range(len(whole)):
        weight = weights[row, j]
        if np.isnan(weight):
            unknown += 1
            whole[j] = NO_WEIGHT
        else:
            sound = sound and 0.0 <= weight <= 1.0
            near = np.rint(weight * WHOLE_WEIGHT)
            whole[j] = np.int64(near - (weight < near / WHOLE_WEIGHT))
            total += whole[j]
    return sound and total <= WHOLE_WEIGHT and (unknown == 0 or unknown == len(whole))


@compiled
def changes_of(weights: Floats, stretches: Wholes) -> tuple[Wholes, Wholes, bool]:
    """The rows at which the weights change, and what they are from there on, in millionths.

    NO_WEIGHT outside of the `stretches` (start, stop) and where all are NaN. False where a row of a stretch is no row
    of weights. weights: float64 (rows, instruments). The first row is always among the
    changes. What is, bit by bit, as in the row before is not looked at again.
    """
    size, width = weights.shape
    bits = weights.reshape(size * width).view(np.int64)
    rows, millionths, count = np.empty(size + 1, np.int64), np.empty((size + 1, width), np.int64), 0
    end = 0
    for number in range(len(stretches) + 1):
        start, stop = (stretches[number, 0], stretches[number, 1]) if number < len(stretches) else (size, size)
        if end < start:
            rows[count], millionths[count] = end, NO_WEIGHT
            count += 1
        row = start
        while row < stop:
            if not _quantised(weights, row, millionths[count]):
                return rows[:count], millionths[:count], False
            same = count > 0
            for j in range(width):
                same = same and millionths[count, j] == millionths[count - 1, j]
            rows[count] = row
            count += not same
            row = _change_after(bits, row + 1, stop, width)
        end = stop
    return rows[:count], millionths[:count], True
