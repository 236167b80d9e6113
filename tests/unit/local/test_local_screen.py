"""What people see off a terminal: a line a step with its seconds, and a sign of life while a step is slow."""

import io
from datetime import UTC, datetime

import pytest

from trading.clock import ManualClock
from trading.local.screen import Screen


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_step_ends_with_a_tick_and_its_seconds(clock: ManualClock) -> None:
    stream = io.StringIO()
    screen = Screen(stream, clock)
    screen.begin()
    with screen.step("history") as count:
        count(1, 2)
        clock.advance(2.5)
    screen.end()
    assert stream.getvalue() == "✓ history (2.5 s)\n"
    assert screen.seconds == {"history": 2.5}


def test_a_step_that_fails_gets_no_tick(clock: ManualClock) -> None:
    stream = io.StringIO()
    screen = Screen(stream, clock)
    with pytest.raises(ValueError, match="no"), screen.step("history"):
        raise ValueError("no")
    assert (stream.getvalue(), screen.seconds) == ("", {})


def test_a_slow_step_says_every_half_minute_that_it_goes_on(clock: ManualClock) -> None:
    stream = io.StringIO()
    screen = Screen(stream, clock)
    with screen.step("Airflow"):
        for _ in range(130):
            clock.advance(0.5)
            screen.still()
    assert stream.getvalue().splitlines()[:-1] == ["… still: Airflow (30 s)", "… still: Airflow (60 s)"]


def test_a_closed_terminal_does_not_raise(clock: ManualClock) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(5, "Input/output error")

    screen = Screen(Closed(), clock)
    screen.line("stopping …")
    with screen.step("history"):
        pass
    assert "history" in screen.seconds


def test_what_looks_like_markup_is_printed_as_it_is(clock: ManualClock) -> None:
    stream = io.StringIO()
    Screen(stream, clock).line("[red]literally[/]")
    assert stream.getvalue() == "[red]literally[/]\n"
