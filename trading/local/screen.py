"""What people see while an instance starts, on standard error: a line a step, a bar for the history."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from trading.clock import Clock

_STILL_S: Final = 30.0
_GAUGE_WIDTH: Final = 30


class _Gauge(ProgressColumn):
    """How far a step is that counts something; nothing for the others."""

    def render(self, task: Task) -> Text:
        """Filled and empty parts, and the count."""
        if not task.fields.get("counted") or not task.total:
            return Text("")
        full = int(_GAUGE_WIDTH * min(1.0, task.completed / task.total))
        return Text("━" * full + "╌" * (_GAUGE_WIDTH - full) + f" {task.completed:,.0f} of {task.total:,.0f}")


class Screen:
    """Steps with ticks and seconds. Steps may overlap, in several threads."""

    def __init__(self, stream: IO[str], clock: Clock) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._clock = clock
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self.seconds: dict[str, float] = {}
        self._open: dict[str, float] = {}
        self._said: dict[str, int] = {}

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on; a log must not get the login."""
        return self._console.is_terminal

    def begin(self) -> None:
        """Show the live display, on a terminal."""
        if self.is_terminal:
            columns = (
                SpinnerColumn(finished_text="[green]✓[/]"),
                TextColumn("{task.description}"),
                _Gauge(),
                TimeElapsedColumn(),
            )
            self._progress = Progress(*columns, console=self._console)
            self._quietly(self._progress.start)

    def end(self) -> None:
        """Leave the live display as it stands."""
        if self._progress is not None:
            progress, self._progress = self._progress, None
            self._quietly(progress.stop)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """One step, ticked when the block ends well. The block may report (done, total), which draws a bar."""
        start_s = self._clock.monotonic()
        self._open[name] = start_s
        progress = self._progress
        task = progress.add_task(name, total=None) if progress else None

        def count(done: int, total: int) -> None:
            if progress is not None and task is not None:
                progress.update(task, completed=done, total=total, counted=True)

        try:
            yield count
        except BaseException:
            if progress is not None and task is not None:
                progress.update(task, description=f"[red]{name}: not finished[/]")
            raise
        finally:
            self._open.pop(name, None)
        self.seconds[name] = round(self._clock.monotonic() - start_s, 1)
        if progress is not None and task is not None:
            progress.update(task, total=1, completed=1, counted=False)
        else:
            self.line(f"✓ {name} ({self.seconds[name]:.1f} s)")

    def still(self) -> None:
        """Off a terminal, say every half minute what is waited for, so that a slow start is not taken for a failure."""
        if self._progress is not None:
            return
        now_s = self._clock.monotonic()
        for name, since_s in list(self._open.items()):
            times = int((now_s - since_s) / _STILL_S)
            with self._lock:
                due = times > self._said.get(name, 0)
                self._said[name] = max(times, self._said.get(name, 0))
            if due:
                self.line(f"… still: {name} ({now_s - since_s:.0f} s)")

    def line(self, text: str) -> None:
        """One line, or several, for people."""
        with self._lock:
            self._quietly(lambda: self._console.print(text, markup=False))

    def table(self, title: str, rows: Mapping[str, object]) -> None:
        """A title and aligned names and values."""
        width = max((len(name) for name in rows), default=0)
        self.line("\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows.items())]))

    def _quietly(self, show: Callable[[], None]) -> None:
        """A terminal that was closed must not keep the instance from stopping."""
        try:
            show()
        except (OSError, ValueError):
            self._progress = None
