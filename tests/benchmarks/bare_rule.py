"""The bare rule, compiled: what nobody can do without. No lots, no limits, no threshold, no trades, no figures."""

from typing import Any

import numba
import numpy as np

FEE = 0.001


@numba.njit(cache=False)
def bare_run(opens: Any, closes: Any, fast: int, slow: int, equity: Any) -> float:
    """Long while the fast mean is above the slow one, decided at the close and filled at the next open."""
    cash, held, quick, slack = 1.0, 0.0, 0.0, 0.0
    for i in range(len(closes)):
        quick += closes[i] - (closes[i - fast] if i >= fast else 0.0)
        slack += closes[i] - (closes[i - slow] if i >= slow else 0.0)
        equity[i] = cash + held * closes[i]
        if i < slow - 1 or i + 1 == len(closes):
            continue
        above = quick / fast > slack / slow
        if above and held == 0.0:
            held, cash = cash / (opens[i + 1] * (1 + FEE)), 0.0
        elif not above and held > 0.0:
            cash, held = held * opens[i + 1] * (1 - FEE), 0.0
    return equity[-1]


@numba.njit(parallel=True, cache=False)
def bare_sweep(opens: Any, closes: Any, pairs: Any) -> Any:
    """The same for each row of (fast, slow), on every thread that numba has."""
    found = np.zeros(len(pairs))
    for number in numba.prange(len(pairs)):
        equity = np.empty(len(closes))
        found[number] = bare_run(opens, closes, pairs[number, 0], pairs[number, 1], equity)
    return found
