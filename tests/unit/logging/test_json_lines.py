"""Every record becomes exactly one JSON object on one line, whatever it holds, and processes share the file."""

import io
import json
import logging
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.config.secret import Secret
from trading.logging.json_logger import AppendHandler, CustomJsonFormatter, JsonStreamHandler, setup_json_logging
from trading.logging.log_context import CorrelationFilter, LogContext, bind, correlation_id_var, current_fields
from trading.logging.redaction import forget_secrets, register_secret


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.fixture(autouse=True)
def _clean_root() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    forget_secrets()


def line(message: object, *args: object, exc_info: Any = None, **extra: object) -> dict[str, Any]:
    """What the formatter makes of one call, after checking that it is one printable line of JSON."""
    record = logging.LogRecord("trading.x", logging.INFO, __file__, 1, message, args, exc_info)
    record.__dict__.update(extra)
    text = CustomJsonFormatter().format(record)
    assert len(text.splitlines()) == 1
    assert not [character for character in text if ord(character) < 32 or 0x7F <= ord(character) <= 0x9F]
    parsed: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return parsed


def test_a_line_starts_with_the_fields_that_every_line_has() -> None:
    made = line("hello %s", "you")
    assert list(made) == ["timestamp", "level", "logger", "message", "correlation_id"]
    assert (made["level"], made["logger"], made["message"]) == ("info", "trading.x", "hello you")


def test_the_timestamp_is_utc_rfc_3339_in_milliseconds() -> None:
    record = logging.makeLogRecord({"created": 1_700_000_000.123456, "msg": "x"})
    assert json.loads(CustomJsonFormatter().format(record))["timestamp"] == "2023-11-14T22:13:20.123Z"


@pytest.mark.parametrize(
    "message", ["a\nb", "a\r\nb", "\x1b[31mred", "a\u2028b\u2029c\x85d", "\x00\x7f\x9b", "\ud800", "é😀"]
)
def test_hostile_text_stays_in_its_line_and_survives(message: str) -> None:
    made = line(message)["message"]
    assert made == message or made == message.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("1E-8"), "1E-8"),
        (math.nan, None),
        (math.inf, None),
        (b"raw\xff", "raw\\xff"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T00:00:00+02:00"),
        (2**80, str(2**80)),
        ({1: {2: (3, 4)}}, {"1": {"2": [3, 4]}}),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ({"b", "a"}, ["a", "b"]),
        (Path("/x"), "/x"),
        (Broken(), "<Broken whose repr failed>"),
        ([Broken(), 2**80], ["<Broken whose repr failed>", str(2**80)]),
        (Secret("key", "canary"), "Secret('key')"),
        (ValueError("no"), "ValueError('no')"),
    ],
)
def test_values_keep_their_meaning(value: object, shown: object) -> None:
    assert line("x", value=value)["value"] == shown


def test_cycles_and_depths_end() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert line("x", cycle=cycle, deep=deep)["message"] == "x"


def test_a_call_with_the_wrong_arguments_still_gives_its_line() -> None:
    made = line("%d of %s", "x")
    assert made["message"] == "%d of %s"
    assert "TypeError" in made["log_error"]
    assert line("%s", Broken())["log_error"] == "RuntimeError('no repr')"


def test_fields_cannot_pose_as_the_core() -> None:
    made = line("real", timestamp="forged", level="forged", logger="forged")
    assert (made["message"], made["level"], made["timestamp_"]) == ("real", "info", "forged")
    assert line({"message": "forged", "n": 1})["message_"] == "forged"


def test_an_exception_is_one_field() -> None:
    try:
        int("two\nlines")
    except ValueError as error:
        made = line("x", exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: invalid literal" in made["exc_info"]
    assert "\n" in made["exc_info"]


_json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary() | st.decimals() | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers() | st.binary(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(message=st.text(), value=_json_like, name=st.text(max_size=8))
def test_any_record_is_one_json_object(message: str, value: object, name: str) -> None:
    line(message, **{f"field_{name}": value})


def test_setting_up_twice_writes_each_line_once(tmp_path: Path) -> None:
    path, stream = tmp_path / "new" / "trading.jsonl", io.StringIO()
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    for _ in range(2):
        setup_json_logging(path, "INFO", stream, service="test")
    logging.getLogger("trading.test").info("once")
    logging.getLogger("trading.test").debug("never")
    assert [json.loads(text)["message"] for text in path.read_text().splitlines()] == ["once"]
    assert json.loads(stream.getvalue())["service"] == "test"
    ours = [
        handler for handler in logging.getLogger().handlers if isinstance(handler, AppendHandler | JsonStreamHandler)
    ]
    assert len(ours) == 2
    assert other in logging.getLogger().handlers


@pytest.mark.parametrize("name", ["ccxt", "urllib3.connectionpool", "httpx", "httpcore.http11", "asyncio"])
def test_noisy_libraries_speak_from_warning_up(tmp_path: Path, name: str) -> None:
    setup_json_logging(tmp_path / "log", "DEBUG")
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("matters")
    assert [json.loads(text)["message"] for text in (tmp_path / "log").read_text().splitlines()] == ["matters"]


def test_a_rotated_or_removed_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    setup_json_logging(path)
    logger = logging.getLogger("trading.test")
    logger.info("one")
    path.rename(tmp_path / "log.1")
    logger.info("two")
    path.unlink()
    logger.info("three")
    assert "one" in (tmp_path / "log.1").read_text()
    assert [json.loads(text)["message"] for text in path.read_text().splitlines()] == ["three"]


def test_many_processes_share_the_file_without_tearing_lines(tmp_path: Path) -> None:
    path, processes, lines = tmp_path / "log", 4, 100
    setup_json_logging(path)
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for index in range(lines):
                    logging.getLogger("trading.test").info("%s", str(number) * 6_000, extra={"index": index})
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * processes
    made = [json.loads(text) for text in path.read_text().splitlines()]
    assert len(made) == processes * lines
    assert {(record["message"][0], record["index"]) for record in made} == {
        (str(number), index) for number in range(processes) for index in range(lines)
    }


def test_a_full_disk_is_reported_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup_json_logging(tmp_path)  # a folder: opening it for writing fails
    logging.getLogger("trading.test").info("lost")
    assert "IsADirectoryError" in capsys.readouterr().err


def test_masking_that_breaks_the_line_withholds_it() -> None:
    register_secret("12345")
    made = line("x", price=12345)
    assert made["message"].startswith("line withheld")
    assert line("x is 12345")["message"] == "x is ***"


def test_the_context_reaches_each_line_and_ends(tmp_path: Path) -> None:
    setup_json_logging(tmp_path / "log")
    logger = logging.getLogger("trading.test")
    with LogContext(correlation_id="run-1", dag_id="d"), LogContext(task_id="t", symbol=None):
        logger.info("inside", extra={"task_id": "own"})
        assert correlation_id_var.get() == "run-1"
    logger.info("outside")
    inside, outside = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert (inside["correlation_id"], inside["dag_id"], inside["task_id"]) == ("run-1", "d", "own")
    assert "symbol" not in inside
    assert outside["correlation_id"] is None
    assert "dag_id" not in outside


def test_a_field_that_logging_uses_itself_is_refused() -> None:
    for name in ("message", "name", "args", "level", "timestamp", "Upper", "with space"):
        with pytest.raises(ValueError, match="cannot be a log field"):
            bind(**{name: 1})
    assert dict(current_fields()) == {}


def test_the_filter_keeps_what_a_call_said() -> None:
    record = logging.makeLogRecord({"correlation_id": "explicit"})
    with LogContext(correlation_id="bound"):
        assert CorrelationFilter().filter(record)
    assert record.__dict__["correlation_id"] == "explicit"
