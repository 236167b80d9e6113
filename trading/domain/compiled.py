"""Machine code for what looks at every candle. numba is imported here alone: who never backtests never loads it.

numba keeps the code of a compiled function, and takes it for new where that function's own file has changed, not where
a file has whose functions are part of it. So each state of all these files has a folder of its own.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba

_HERE = Path(__file__).parent


def fingerprint(folder: Path) -> str:
    """Of every file that may be a part of the machine code."""
    sources = sorted(folder.glob("backtest_*.py"))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in sources), digest_size=8).hexdigest()


def _may_write(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)


# NUMBA_CACHE_DIR, where it is set, says where else than beside the files.
_SETTINGS = vars(numba.config)
_KEPT_IN = Path(_SETTINGS["CACHE_DIR"] or _HERE / "__pycache__") / f"backtest-{fingerprint(_HERE)}"
_IS_KEPT = _may_write(_KEPT_IN)
_SETTINGS["CACHE_DIR"] = str(_KEPT_IN)


def compiled(function: Callable[..., Any]) -> Any:
    """The machine code of `function`, kept where that can be written. Dividing by zero raises nothing."""
    return numba.njit(cache=_IS_KEPT, nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Made a part of its caller: a call counts the references of every array, which takes longer than the work."""
    return numba.njit(inline="always", error_model="numpy")(function)
