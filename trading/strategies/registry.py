"""The strategies that exist: each is one pure function in one file of its own name, registered by its decorator.

Shipped ones lie beside this file. A user's lie in the folders of TRADING_STRATEGIES_PATH, or in an installed package
that names them as entry points of the group `trading.strategies`. Code of users is imported only when its strategy is
asked for: listing names runs none of it, so that whoever places orders never does.
"""

import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.errors import ConfigurationError
from trading.strategies.parameters import Parameters, parameters_from

_P = TypeVar("_P", bound=Parameters)

#: A panel of candles and parameters in, target weights (candles, instruments) out.
Compute = Callable[[Panel, _P], NDArray[np.float64]]

ENTRY_POINTS: Final = "trading.strategies"
_USERS: Final = "trading_user_strategies"


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """A registered strategy.

    `compute(panel, parameters)` returns target weights, float64 (candles, instruments): row i is decided at candle i's
    close and uses rows ≤ i alone. Weights are ≥ 0 and a row sums to at most 1 (spot). A row is NaN as a whole where
    the rule has no signal: fewer candles than `warmup`, or a window that touches a gap in any instrument.
    `warmup(parameters)` is the number of candles that one row needs, its own included; more history changes nothing.
    `timeframe` and `instruments` are what it was written for, and what a backtest takes unless it is told otherwise;
    without instruments it takes any. `module` names its file.
    """

    name: str
    compute: Compute[Any]
    parameters_type: type[Parameters]
    warmup: Callable[[Any], int]
    timeframe: str
    instruments: tuple[str, ...]
    module: str


_REGISTERED: Final[dict[str, Strategy]] = {}
_FOLDERS: Final[list[Path]] = []


def strategy(
    *,
    parameters: type[_P],
    warmup: Callable[[_P], int],
    timeframe: str = "1h",
    instruments: tuple[str, ...] = (),
) -> Callable[[Compute[_P]], Compute[_P]]:
    """Register the decorated function under its own name; the function itself stays as it is."""

    def register(compute: Compute[_P]) -> Compute[_P]:
        name = compute.__name__
        if name in _REGISTERED:
            raise ConfigurationError(f"strategy {name} is registered twice: expected each name once")
        _REGISTERED[name] = Strategy(
            name=name,
            compute=compute,
            parameters_type=parameters,
            warmup=warmup,
            timeframe=timeframe,
            instruments=instruments,
            module=compute.__module__,
        )
        return compute

    return register


def look_in(folders: Sequence[Path]) -> tuple[str, ...]:
    """Take users' strategies from these folders from now on, and name all that there are; a folder may be missing."""
    for name in [name for name, known in _REGISTERED.items() if known.module.startswith(_USERS)]:
        del _REGISTERED[name]
    _FOLDERS[:] = folders
    return names()


def names() -> tuple[str, ...]:
    """Every name that there is, sorted, without running any code of users. Raises ConfigurationError for a double."""
    return tuple(sorted({*_shipped(), *_user_files(), *_entry_points()}))


def get(name: str) -> Strategy:
    """The strategy `name`. Raises ConfigurationError that names those that exist, or says why it cannot be loaded."""
    if name in _REGISTERED:  # naming all that there are reads every installed package: 10 ms
        return _REGISTERED[name]
    known = names()
    if name not in known:
        raise ConfigurationError(f"unknown strategy {name!r}: expected one of {', '.join(known)}")
    if name not in _REGISTERED:
        _load(name)
    return _REGISTERED[name]


def file_of(name: str) -> Path | None:
    """The user's own file that holds strategy `name`; None where it is shipped or installed."""
    return _user_files().get(name)


def parameters(name: str, values: Mapping[str, object]) -> Parameters:
    """The parameters of strategy `name`, checked; what is not given has its default.

    Raises ConfigurationError that names strategy, parameter, value and what is allowed.
    """
    kind = get(name).parameters_type
    try:
        return parameters_from(kind, values)
    except ConfigurationError as error:
        raise ConfigurationError(f"strategy {name}: parameter {error}") from None


def _shipped() -> set[str]:
    """The names of the files beside this one whose decorators have run."""
    package = import_module("trading.strategies")
    for module in pkgutil.iter_modules(package.__path__, "trading.strategies."):
        import_module(module.name)
    return {name for name, known in _REGISTERED.items() if known.module.startswith("trading.strategies.")}


def _user_files() -> dict[str, Path]:
    """By the strategy's name, which is the file's: what starts with `_` or `test_` is something else."""
    files: dict[str, Path] = {}
    shipped = _shipped()
    for folder in _FOLDERS:
        for path in sorted(folder.glob("*.py")):
            if path.stem.startswith(("_", "test_")) or path.stem == "conftest":
                continue
            if path.stem in files or path.stem in shipped:
                other = files.get(path.stem, "a shipped strategy")
                raise ConfigurationError(f"{path} has the name of {other}: expected each strategy once; rename it")
            files[path.stem] = path
    return files


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _load(name: str) -> None:
    """Run the user's file, or import the installed module. Raises ConfigurationError that says what is wrong there."""
    path = file_of(name)
    where = str(path) if path else f"the entry point {name} of {ENTRY_POINTS}"
    try:
        _run_file(path) if path else _entry_points()[name].load()
    except Exception as error:
        line = _line_in(error, path)
        raise ConfigurationError(f"strategy {name}: {where}{line} raised {type(error).__name__}: {error}") from error
    if name not in _REGISTERED:
        raise ConfigurationError(
            f"strategy {name}: expected {where} to hold a function {name} decorated with @strategy(…)"
        )


def _run_file(path: Path) -> None:
    module_name = f"{_USERS}.{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise


def _line_in(error: Exception, path: Path | None) -> str:
    """Where in the user's own file it happened; empty where that is unknown."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}," if error.lineno else ""
    found, at = "", error.__traceback__
    while at is not None:
        if path is not None and at.tb_frame.f_code.co_filename == str(path):
            found = f", line {at.tb_lineno},"
        at = at.tb_next
    return found
