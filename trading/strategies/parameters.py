"""Parameters of a strategy: a frozen dataclass whose fields carry their bounds and refuse what lies outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, TypeVar

from trading.errors import ConfigurationError

_P = TypeVar("_P", bound="Parameters")


def bounded(default: float, *, minimum: float, maximum: float) -> Any:
    """A field of `Parameters` from `minimum` to `maximum`; whole numbers where the default is one."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum, "type": type(default)})


@dataclass(frozen=True)
class Parameters:
    """Base of every strategy's parameters. Raises ConfigurationError naming parameter, value and bounds."""

    def __post_init__(self) -> None:
        for item in fields(self):
            minimum, maximum = item.metadata["minimum"], item.metadata["maximum"]
            value = getattr(self, item.name)
            whole = item.metadata["type"] is int
            expected_type = int if whole else (int, float)
            right_type = isinstance(value, expected_type) and not isinstance(value, bool)
            if not (right_type and minimum <= value <= maximum):
                kind = "a whole number" if whole else "a number"
                raise ConfigurationError(f"{item.name} is {value!r}: expected {kind} from {minimum} to {maximum}")


def parameters_from(kind: type[_P], values: Mapping[str, object]) -> _P:
    """`kind` with `values`, which may be text. Raises ConfigurationError for an unknown name or a bad value."""
    known = {item.name: item.metadata["type"] for item in fields(kind)}
    for name in values:
        if name not in known:
            raise ConfigurationError(
                f"{name} is unknown: expected one of {', '.join(known) or 'none, it has no parameters'}"
            )
    return kind(**{name: _number(value, known[name]) for name, value in values.items()})


def _number(value: object, kind: type[int] | type[float]) -> Any:
    """Text, and the portfolio file's exact decimals, as numbers; anything else as it is, for the bounds to judge."""
    if not isinstance(value, str) and not (kind is float and isinstance(value, Decimal)):
        return value
    try:
        return kind(value)
    except ValueError:
        return value
