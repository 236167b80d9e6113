"""Statistics over a moving window, computed so that a row's bits depend on its own window alone.

Cumulative sums would be faster and make each row depend on everything before it; numpy's own reductions pick the order
of additions by the array's shape. Here each row adds its window from the oldest to the newest, whatever surrounds it.
"""

import numpy as np
from numpy.typing import NDArray


def rolling_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of the `window` rows up to and with each row; (rows, columns) → the same; NaN in the first window - 1 rows.

    A NaN in the window makes the mean NaN.
    """
    result = np.full(values.shape, np.nan)
    if len(values) >= window:
        result[window - 1 :] = _window_sums(values, window) / window
    return result


def rolling_deviation(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Sample standard deviation (window - 1 degrees of freedom), in two passes; shapes and NaN as in `rolling_mean`."""
    result = np.full(values.shape, np.nan)
    rows = len(values) - window + 1
    if rows < 1:
        return result
    mean = _window_sums(values, window) / window
    squares = np.zeros_like(mean)
    for offset in range(window):
        difference = values[offset : offset + rows] - mean
        squares += difference * difference
    result[window - 1 :] = np.sqrt(squares / (window - 1))
    return result


def _window_sums(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    rows = len(values) - window + 1
    total = values[:rows].astype(np.float64, copy=True)
    for offset in range(1, window):
        total += values[offset : offset + rows]
    return total
