"""A strategy's whole answer, as a backtest takes it: the candles at which its weights change, in exact numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.decision import NO_WEIGHT, quantised_rows
from trading.domain.market import Panel


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """`rows` int64 (changes,), ascending, the first one 0: what is decided at these closes stays until the next.

    `millionths` int64 (changes, instruments): weights, or NO_WEIGHT as a whole where there is no signal.
    """

    rows: NDArray[np.int64]
    millionths: NDArray[np.int64]

    @property
    def first(self) -> int | None:
        """The first row with a signal."""
        decided = np.flatnonzero(self.millionths[:, 0] >= 0)
        return int(self.rows[decided[0]]) if len(decided) else None

    def since(self, row: int) -> "Targets":
        """The same without a signal before `row`."""
        if row <= 0:
            return self
        after = int(np.searchsorted(self.rows, row, side="right"))
        silence = np.full((1, self.millionths.shape[1]), NO_WEIGHT, dtype=np.int64)
        return Targets(
            rows=np.concatenate([[0, row], self.rows[after:]]),
            millionths=np.concatenate([silence, self.millionths[after - 1 :]]),
        )


def targets_of(
    strategy: str, panel: Panel, weights: NDArray[np.float64], stretches: NDArray[np.int64] | None = None
) -> Targets:
    """Weights float64 (candles, instruments) as `quantised_rows` makes them; no signal outside of `stretches`.

    `stretches`: int64 (stretches, 2), first rows and the ones after the last; None: all. Raises DataError that names
    the row, its close, the instrument and the value where a row is partly NaN, or is not spot.
    """
    from trading.domain.backtest_numbers import changes_of  # noqa: PLC0415 - numba, only where a backtest is run

    heard = np.array([[0, len(panel)]]) if stretches is None else stretches
    rows, millionths, sound = changes_of(np.ascontiguousarray(weights), heard)
    if not sound:
        silent = np.full(weights.shape, np.nan)
        for start, stop in heard.tolist():
            silent[start:stop] = weights[start:stop]
        quantised_rows(strategy, panel, silent)  # says what is wrong, and where
        raise AssertionError(f"strategy {strategy}: weights that are refused here are taken one by one")
    return Targets(rows=rows, millionths=millionths)
