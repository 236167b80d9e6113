"""The fields that every line of a run shares: bound once at the edge, merged into each record, passed by no call."""

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Final

#: The id of the run that the current thread or task works for; None outside runs.
correlation_id_var: Final[ContextVar[str | None]] = ContextVar("correlation_id", default=None)

_EMPTY: Final[Mapping[str, object]] = MappingProxyType({})
_fields_var: Final[ContextVar[Mapping[str, object]]] = ContextVar("log_fields", default=_EMPTY)
_RESERVED: Final = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "timestamp", "level", "logger"}


def current_fields() -> Mapping[str, object]:
    """What is bound here, without the correlation id."""
    return _fields_var.get()


def bind(**fields: object) -> None:
    """Bind `fields` until this context ends: for a process that serves one run. A None is left out."""
    _bind(fields)


class LogContext:
    """`with LogContext(correlation_id=…, dag_id=…):` every record inside carries these fields; nesting adds to them."""

    def __init__(self, **fields: object) -> None:
        self._fields = fields
        self._tokens: list[tuple[Token[str | None], Token[Mapping[str, object]]]] = []

    def __enter__(self) -> "LogContext":
        self._tokens.append(_bind(self._fields))
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        correlation, fields = self._tokens.pop()
        correlation_id_var.reset(correlation)
        _fields_var.reset(fields)


def _bind(fields: Mapping[str, object]) -> tuple[Token[str | None], Token[Mapping[str, object]]]:
    given = {name: value for name, value in fields.items() if value is not None}
    for name in given:
        if name in _RESERVED or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"{name!r} cannot be a log field: expected a snake_case name that logging does not use")
    correlation_id = given.pop("correlation_id", correlation_id_var.get())
    merged = MappingProxyType({**_fields_var.get(), **given})
    return correlation_id_var.set(None if correlation_id is None else str(correlation_id)), _fields_var.set(merged)


class CorrelationFilter(logging.Filter):
    """Stamps records with the bound fields; a field that the call itself gave stays as it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record through."""
        known = record.__dict__
        if known.get("correlation_id") is None:
            known["correlation_id"] = correlation_id_var.get()
        for name, value in _fields_var.get().items():
            known.setdefault(name, value)
        return True
