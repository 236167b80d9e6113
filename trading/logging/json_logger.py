"""JSON lines: whatever a record holds, exactly one object comes out, in one write, to a file that processes share."""

import logging
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter

from trading.logging.log_context import CorrelationFilter
from trading.logging.redaction import redact

#: Their own chatter is worth reading only from WARNING up.
NOISY: Final = ("ccxt", "urllib3", "httpx", "httpcore", "asyncio")

_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_CORE: Final = frozenset({"timestamp", "level", "logger", "message"})
# Legal in JSON, but a terminal or a line reader takes them for commands or line ends.
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
_MAX_DEPTH: Final = 20
_MAX_ITEMS: Final = 1_000


class CustomJsonFormatter(OrjsonFormatter):
    """One record, one JSON object: timestamp, level, logger, message, correlation_id, then context and extra fields."""

    def __init__(self, *, service: str | None = None) -> None:
        super().__init__(json_default=_default)
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without its newline; never raises because of what the record holds."""
        try:
            line = super().format(record)
        except Exception as error:  # noqa: BLE001 - a log call must never break what it tells about
            line = _dump(
                {
                    **self._core_fields(record, _text(record.msg)),
                    "correlation_id": _text(getattr(record, "correlation_id", None)),
                    "log_args": _text(record.args),
                    "log_error": _text(error),
                }
            )
        cleaned = redact(line)
        return cleaned if cleaned is line or _is_json(cleaned) else self._withheld(record)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """The order in which people read: the core, the run, all else. The core's names are never overwritten."""
        log_data.update(self._core_fields(record, record.message))
        log_data["correlation_id"] = record.__dict__.get("correlation_id")
        if self._service is not None:
            log_data["service"] = self._service
        for name, value in record.__dict__.items():
            if name not in self.reserved_attrs and not name.startswith("_"):
                log_data[f"{name}_" if name in _CORE else name] = value
        for name, value in message_dict.items():
            log_data[f"{name}_" if name in _CORE else name] = value

    def jsonify_log_record(self, log_data: Mapping[str, Any]) -> str:
        """The object as text: Decimals as text, times as RFC 3339, unknown objects as their repr."""
        return _dump(log_data)

    def _core_fields(self, record: logging.LogRecord, message: str) -> dict[str, Any]:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return {
            "timestamp": f"{at[:-6]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }

    def _withheld(self, record: logging.LogRecord) -> str:
        core = self._core_fields(record, "line withheld: masking a secret in it broke its structure")
        return _dump({**core, "logger": "trading.logging", "correlation_id": None})


class AppendHandler(logging.Handler):
    """Appends each line with one write to a file that many processes share, and follows it when it is rotated."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; a failing disk is reported on standard error and stops nothing."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            self._follow()
            while line:
                line = line[os.write(self._descriptor, line) :]
        except Exception:  # noqa: BLE001 - logging's own rule: report, never raise
            self.handleError(record)

    def close(self) -> None:
        """Close the file; a later record opens it again."""
        self.acquire()
        try:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._identity = -1, None
        finally:
            self.release()
        super().close()

    def _follow(self) -> None:
        try:
            status = os.stat(self.path)
            if (status.st_dev, status.st_ino) == self._identity:
                return
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)


class JsonStreamHandler(logging.StreamHandler[TextIO]):
    """JSON lines on a stream; its own type, so that setting up again finds it."""


def setup_json_logging(
    path: Path | None, level: str | int = "INFO", stream: TextIO | None = None, service: str | None = None
) -> None:
    """Send all records of `level` and up to `path` and `stream` as JSON lines; a second call replaces the first.

    Other handlers stay, and the root logger only ever becomes more talkative, since it may belong to somebody else.
    """
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, AppendHandler | JsonStreamHandler)]:
        root.removeHandler(old)
        if isinstance(old, AppendHandler):
            old.close()
    handlers: list[logging.Handler] = []
    if path is not None:
        handlers.append(AppendHandler(path))
    if stream is not None:
        handlers.append(JsonStreamHandler(stream))
    for handler in handlers:
        handler.setLevel(level)
        handler.setFormatter(CustomJsonFormatter(service=service))
        handler.addFilter(CorrelationFilter())
        root.addHandler(handler)
        root.setLevel(min(root.level, handler.level))
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _dump(fields: Mapping[str, Any]) -> str:
    try:
        raw = orjson.dumps(fields, default=_default, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):  # a lone surrogate, a huge integer, a cycle, an odd key
        raw = orjson.dumps(_plain(fields, 0))
    text = raw.decode()
    return text if raw.isascii() and b"\x7f" not in raw else _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _default(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(map(_text, value))
    if isinstance(value, Mapping):
        return dict(value)
    return _text(value)


def _plain(value: object, depth: int) -> object:
    """`value` rebuilt from what JSON surely takes; what is too deep, as in a cycle, as text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _text(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        items = list(value.items())[:_MAX_ITEMS]
        return {_text(key): _plain(item, depth + 1) for key, item in items}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return _text(_default(value) if isinstance(value, bytes | bytearray) else value)


def _text(value: object) -> str:
    """`value` as text without lone surrogates, whatever its methods do."""
    try:
        text = value if isinstance(value, str) else str(value) if isinstance(value, Path) else repr(value)
        return text.encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a broken __repr__ must not cost the line
        return f"<{type(value).__name__} whose repr failed>"


def _is_json(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
