"""Machine code for what looks at every candle. numba is imported here alone: who never backtests never loads it.

numba keeps the code of a compiled function beside its file, and takes it for new where that file has changed: whatever
is inlined belongs into the same file.
"""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """The machine code of `function`, kept beside it where that can be written. Dividing by zero raises nothing."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to keep it in
        return numba.njit(nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Made a part of its caller: a call counts the references of every array, which takes longer than the work."""
    return numba.njit(inline="always", error_model="numpy")(function)
