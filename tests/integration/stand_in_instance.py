"""`trading up` with dummy processes in Airflow's place: run as a program, with the scenario's name, by test_supervisor.

Each dummy touches a file named after itself once it runs, so that a test waits for facts, not for time.
"""

import os
import sys
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
}


class DummyStartUp:
    def __init__(self, **parts) -> None:
        self._supervisor = parts["supervisor"]
        self._clock = parts["clock"]
        self._home = parts["config"].home

    def run(self, *, once: bool) -> Started:
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
