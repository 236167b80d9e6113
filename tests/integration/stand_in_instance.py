"""`trading up` with dummy processes in Airflow's place: run as a program, with the scenario's name, by test_supervisor.

Each dummy touches a file named after itself once it runs, so that a test waits for facts, not for time.
"""

import os
import sys
import threading
from datetime import datetime
from pathlib import Path

from trading.clock import SystemClock
from trading.config.settings import TradingConfig
from trading.errors import TradingError
from trading.local import up
from trading.local.first_cycle import Cycle
from trading.local.start_up import Started
from trading.local.supervisor import Component

WAITS = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS
#: A child in a session of its own, as a task may start one, which ignores SIGTERM too.
HAS_GRANDCHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {IGNORES_SIGTERM!r}, sys.argv[1] + ".grandchild"], start_new_session=True)
{WAITS}
"""
SCENARIOS = {
    "plain": [WAITS, WAITS],
    "stubborn": [IGNORES_SIGTERM],
    "grandchild": [HAS_GRANDCHILD],
    "starting": [WAITS],
    "once": [WAITS],
    "dies": [WAITS, "raise SystemExit('no such setting: colour')"],
    "database": [WAITS],
    "replay": [WAITS],
}


class DummyPostgres:
    """A server that ends as soon as the instance runs, and whose next start takes until somebody stops it."""

    def __init__(self, home: Path, clock: SystemClock) -> None:
        self._home = home
        self._stopped = threading.Event()

    def is_running(self) -> bool:
        return False

    def start(self) -> None:
        (self._home / "ready-database").touch()
        self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class DummyReplayEnd:
    """A replay whose candles end as soon as the instance runs, and another one that does not end."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._aside = home / "ended"

    def has_ended(self, at: datetime) -> bool:
        return (self._home / "ready-0").exists() and not self._aside.exists()

    def put_aside(self, at: datetime) -> Path:
        self._aside.mkdir()
        (self._home / "ready-0").unlink()
        return self._aside


class DummyStartUp:
    def __init__(self, **parts) -> None:
        self._supervisor = parts["supervisor"]
        self._clock = parts["clock"]
        self._home = parts["config"].home
        self._postgres = parts["postgres"]

    def run(self, *, once: bool) -> Started:
        if sys.argv[1] == "replay":
            self._postgres.start()
        for number, program in enumerate(SCENARIOS[sys.argv[1]]):
            ready = self._home / f"ready-{number}"
            command = (sys.executable, "-c", program, str(ready))
            self._supervisor.start(
                Component(name=f"dummy-{number}", command=command, environment=os.environ, patience_s=1)
            )
            while not ready.exists():
                self._clock.sleep(0.01)
        while sys.argv[1] == "starting":
            self._clock.sleep(60)  # a step that waits for something that never comes
        return Started(pipeline=None, summary={"orders": 1, "discrepancies": 0}, cycle=Cycle({"place_orders": "r"}, ()))


def main() -> int:
    up.StartUp = DummyStartUp
    if sys.argv[1] == "database":
        del os.environ["TRADING_DATABASE_URL"]
        up.EmbeddedPostgres = DummyPostgres
    if sys.argv[1] == "replay":
        del os.environ["TRADING_DATABASE_URL"]
        os.environ["TRADING_MODE"] = "replay"
        up.ReplayEnd, up.require_free = DummyReplayEnd, lambda _ports: None
    config = TradingConfig.from_env(root=Path(os.environ["TRADING_HOME"]).parent)
    instance = up.Instance(
        config=config, environ=os.environ, clock=SystemClock(), pipeline_factory=lambda _environ: None
    )
    try:
        return instance.run(once=sys.argv[1] == "once")
    except TradingError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a step that never ends is what one scenario is about
