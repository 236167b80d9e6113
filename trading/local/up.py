"""`trading up`: one instance, from its lock to the end of its last process."""

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Final, Generic, TypeVar

from trading.clock import Clock
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError, TradingError
from trading.local.embedded_postgres import EmbeddedPostgres
from trading.local.home import Home, RunState
from trading.local.pipeline import PipelineFactory
from trading.local.ports import require_free
from trading.local.processes import created_at_s
from trading.local.replay_end import ReplayEnd
from trading.local.screen import Screen
from trading.local.start_up import UI_USER, Started, StartUp
from trading.local.stop_signal import StopSignal
from trading.local.supervisor import ComponentFailed, Stopping, Supervisor

_T = TypeVar("_T")

_WATCH_S: Final = 0.5
_START_WATCH_S: Final = 0.05


class Instance:
    """One `trading up`. `run` returns the exit code when nothing of the instance lives any more."""

    def __init__(
        self,
        *,
        config: TradingConfig,
        environ: Mapping[str, str],
        clock: Clock,
        pipeline_factory: PipelineFactory,
        people: IO[str] = sys.stderr,
        machines: IO[str] = sys.stdout,
    ) -> None:
        self._config = config
        self._clock = clock
        self._machines = machines
        self._started_s = clock.monotonic()
        self._started_at = clock.now()
        self._screen = Screen(people, clock)
        self._home = Home(config.home)
        self._stop = StopSignal(started_by_make="MAKELEVEL" in environ)
        self._embedded = config.database_url is None
        self._postgres: EmbeddedPostgres
        self._environ = environ
        self._shown = False
        self._recovery: _Steps[str] | None
        self._replay_end = ReplayEnd(config.home)
        self._pipeline_factory = pipeline_factory

    def run(self, *, once: bool) -> int:
        """Start, trade, stop. Raises ConfigurationError where it may not start at all."""
        self._stop.install()
        self._home.prepare()
        self._home.acquire()
        try:
            while True:
                supervisor = Supervisor(home=self._config.home, clock=self._clock, report=self._screen.line)
                self._clear_the_way(supervisor)
                self._begin_over_where_the_replay_ended()
                code = self._live(supervisor, once=once)
                if once or self._stop.number is not None or not self._replay_has_ended():
                    return code
        finally:
            self._home.release()

    def _clear_the_way(self, supervisor: Supervisor) -> None:
        ended = supervisor.recover()
        if ended:
            self._screen.line(f"! an earlier run had left {ended} processes behind; they were ended")
        ports = {"TRADING_UI_PORT": ("the web UI", self._config.ui_port)}
        if self._config.mode in ("replay", "paper"):
            ports["TRADING_EXCHANGE_PORT"] = ("the paper exchange", self._config.exchange_port)
        require_free(ports)
        if self._embedded and os.geteuid() == 0:
            self._screen.line(
                "! as root: PostgreSQL runs as the user pgserver (made where missing), and the folders above "
                f"{self._config.home} are made readable for it"
            )
        self._write_state("starting")

    def _replay_has_ended(self) -> bool:
        return self._config.mode == "replay" and self._replay_end.has_ended(self._clock.now())

    def _begin_over_where_the_replay_ended(self) -> None:
        """The past is kept aside; what follows is a first start."""
        if not self._replay_has_ended():
            return
        if not self._embedded:
            raise ConfigurationError(
                f"the replay's candles ended at {self._replay_end.ends_at()}: expected a fresh database in"
                " TRADING_DATABASE_URL (and then `make reset`), since a new replay has another past"
            )
        folder = self._replay_end.put_aside(self._clock.now())
        self._screen.line(
            f"! the replay's candles had ended: it starts over with a fresh account; the past is in {folder}"
        )
        self._shown = False

    def _live(self, supervisor: Supervisor, *, once: bool) -> int:
        self._postgres = EmbeddedPostgres(home=self._config.home, clock=self._clock)  # a stopped one starts no more
        self._recovery = None
        start_up = StartUp(
            config=self._config,
            environ=self._environ,
            clock=self._clock,
            screen=self._screen,
            supervisor=supervisor,
            postgres=self._postgres,
            pipeline_factory=self._pipeline_factory,
        )
        work = _Steps(lambda: start_up.run(once=once))
        self._screen.begin()
        error: Exception | None = None
        try:
            self._follow(work, supervisor, once=once)
        except Exception as failure:  # noqa: BLE001 - everything is stopped first, whatever it was; raised again below
            error = failure
        self._screen.end()
        left = self._stop_all(supervisor)
        if left:
            raise ComponentFailed("these processes could not be ended: " + ", ".join(left))
        if error is not None and self._stop.number is None:
            raise error
        return self._result(work)

    def _follow(self, work: "_Steps[Started]", supervisor: Supervisor, *, once: bool) -> None:
        """Until a signal, the end of ONCE's cycle, or a failure."""
        while not self._stop.wait(_WATCH_S if self._shown else _START_WATCH_S):
            if self._shown and self._postgres_recovers():
                continue  # what needs it would exit again and again, and use up its restarts
            supervisor.watch(restart=self._shown)
            self._screen.still()  # from here, since a step may sit in one long call
            if work.finished and not self._shown:
                started = work.result()
                self._screen.end()
                self._show(started, once=once)
                if once:
                    return
                self._write_state("running")
                self._shown = True
            elif self._shown and self._replay_has_ended():
                self._screen.line("! the replay's candles have ended")
                break
        self._screen.end()
        self._screen.line("stopping …")

    def _stop_all(self, supervisor: Supervisor) -> list[str]:
        left = supervisor.stop()
        if self._embedded:
            self._postgres.stop()
        return [f"{record.name} (process {record.pid})" for record in left]

    def _postgres_recovers(self) -> bool:
        """Whether the embedded server has ended and is not back yet.

        It is started in a thread of its own: it may replay its log for long, and a signal must be heard meanwhile.
        """
        if self._embedded and self._recovery is None and not self._postgres.is_running():
            self._screen.line("! PostgreSQL had ended and is started again")
            self._recovery = _Steps(self._postgres.start)
        if self._recovery is not None and self._recovery.finished:
            self._recovery.result()
            self._recovery = None
        return self._recovery is not None

    def _show(self, started: Started, *, once: bool) -> None:
        self._screen.table("After the first cycle:", started.summary)
        if not started.summary.get("orders"):
            for line in started.pipeline.why():
                self._screen.line(f"  {line}")
        for run in started.cycle.failed:
            self._screen.line(f"✗ {run.dag_id} failed: {run.run_id}")
        if once:
            return
        address = f"http://127.0.0.1:{self._config.ui_port}"
        for line in login_lines(address, self._config, self._environ, to_terminal=self._screen.is_terminal):
            self._screen.line(line)

    def _result(self, work: "_Steps[Started]") -> int:
        if self._stop.number is not None:
            return 0 if self._shown else 128 + self._stop.number
        started = work.result()
        seconds = {**self._screen.seconds, "total": round(self._clock.monotonic() - self._started_s, 1)}
        summary = {**started.summary, "runs": dict(started.cycle.runs), "seconds": seconds}
        self._machines.write(json.dumps(summary, default=str) + "\n")
        self._machines.flush()
        return 1 if started.cycle.failed or started.summary.get("discrepancies") else 0

    def _write_state(self, phase: str) -> None:
        self._home.write_state(
            RunState(
                pid=os.getpid(),
                created_at_s=created_at_s(os.getpid()) or 0.0,
                started_at=self._started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
                mode=self._config.mode,
                ui_port=self._config.ui_port,
                exchange_port=self._config.exchange_port,
                phase=phase,
            )
        )


def login_lines(ui: str, config: TradingConfig, environ: Mapping[str, str], *, to_terminal: bool) -> list[str]:
    """The address of the web UI and its login; the login for a terminal only, never for a log."""
    address = f"Web UI   {ui}"
    if not to_terminal:
        return [address, "Login    `trading status` shows it on a terminal"]
    try:
        password = config.secrets(environ).get_secret("ui_admin_password").reveal()
    except TradingError as error:
        return [address, f"Login    {error}"]
    return [address, f"Login    {UI_USER} / {password}"]


class _Steps(Generic[_T]):
    """What may take long, in a thread of its own, so that the main thread always hears a signal."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._result: _T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether there is a result or an error."""
        return not self._thread.is_alive()

    def result(self) -> _T:
        """What the steps came to; raises what they raised."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise Stopping("the start was not finished")
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - handed over to the main thread
            self._error = error
