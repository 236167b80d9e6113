"""The strategies that exist: each is one pure function in one file, registered by its decorator."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.errors import ConfigurationError
from trading.strategies.parameters import Parameters, parameters_from

_P = TypeVar("_P", bound=Parameters)

#: A panel of candles and parameters in, target weights (candles, instruments) out.
Compute = Callable[[Panel, _P], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """A registered strategy.

    `compute(panel, parameters)` returns target weights, float64 (candles, instruments): row i is decided at candle i's
    close and uses rows ≤ i alone. Weights are ≥ 0 and a row sums to at most 1 (spot). A row is NaN as a whole where
    the rule has no signal: fewer candles than `warmup`, or a window that touches a gap in any instrument.
    `warmup(parameters)` is the number of candles that one row needs, its own included; more history changes nothing.
    """

    name: str
    compute: Compute[Any]
    parameters_type: type[Parameters]
    warmup: Callable[[Any], int]


_REGISTERED: Final[dict[str, Strategy]] = {}


def strategy(*, name: str, parameters: type[_P], warmup: Callable[[_P], int]) -> Callable[[Compute[_P]], Compute[_P]]:
    """Register the decorated function under `name`; the function itself stays as it is."""

    def register(compute: Compute[_P]) -> Compute[_P]:
        if name in _REGISTERED:
            raise ConfigurationError(f"strategy {name} is registered twice: expected each name once")
        _REGISTERED[name] = Strategy(name=name, compute=compute, parameters_type=parameters, warmup=warmup)
        return compute

    return register


def names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    _import_shipped()
    return tuple(sorted(_REGISTERED))


def get(name: str) -> Strategy:
    """The strategy `name`. Raises ConfigurationError that names those that exist."""
    known = names()
    if name not in known:
        raise ConfigurationError(f"unknown strategy {name!r}: expected one of {', '.join(known)}")
    return _REGISTERED[name]


def parameters(name: str, values: Mapping[str, object]) -> Parameters:
    """The parameters of strategy `name`, checked; what is not given has its default.

    Raises ConfigurationError that names strategy, parameter, value and what is allowed.
    """
    kind = get(name).parameters_type
    try:
        return parameters_from(kind, values)
    except ConfigurationError as error:
        raise ConfigurationError(f"strategy {name}: parameter {error}") from None


def _import_shipped() -> None:
    """Import every file beside this one, so that its decorator has run."""
    package = import_module("trading.strategies")
    for module in pkgutil.iter_modules(package.__path__, "trading.strategies."):
        import_module(module.name)
