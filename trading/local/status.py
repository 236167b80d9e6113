"""`trading status` and `trading down`: what a running instance is, how another terminal ends or deletes it."""

import shutil
import signal
from typing import Final

from trading.clock import Clock
from trading.config.settings import TradingConfig
from trading.local.airflow_api import AirflowApi
from trading.local.embedded_postgres import EmbeddedPostgres
from trading.local.home import Home
from trading.local.processes import is_alive, send
from trading.local.supervisor import ComponentFailed, Supervisor, read_records

_DOWN_S: Final = 20.0
_POLL_S: Final = 0.1


def status(config: TradingConfig, clock: Clock) -> dict[str, object]:
    """What runs now. Raises ConfigurationError where nothing was ever set up."""
    home = Home(config.home)
    home.require_set_up()
    state = home.state() if home.is_running() else None
    if state is None:
        return {"home": str(config.home), "running": False}
    components = {
        record.name: "running" if is_alive(record) else "gone"
        for record in read_records(config.home / "run" / "processes.json")
    }
    if config.database_url is None:
        postgres = EmbeddedPostgres(home=config.home, clock=clock)
        components["postgres"] = "running" if postgres.is_running() else "gone"
    return {
        "home": str(config.home),
        "running": True,
        "phase": state.phase,
        "mode": state.mode,
        "pid": state.pid,
        "since": state.started_at,
        "ui": state.ui_address,
        "exchange_port": state.exchange_port,
        "components": components,
        "airflow": AirflowApi(state.ui_address, user="", password="").health(),
    }


def down(config: TradingConfig, clock: Clock) -> str:
    """End the running instance, or what a killed one left behind; say what was done. Raises ComponentFailed."""
    home = Home(config.home)
    home.require_set_up()
    state = home.state()
    if home.is_running() and state is not None:
        send(state.pid, signal.SIGTERM)
        deadline = clock.monotonic() + _DOWN_S
        while home.is_running() and clock.monotonic() < deadline:
            clock.sleep(_POLL_S)
        if home.is_running():
            raise ComponentFailed(
                f"the instance in {config.home} (process {state.pid}) was asked to stop and still runs after "
                f"{_DOWN_S:.0f} s: see {config.home / 'logs'}, or end it with `kill -9 {state.pid}` and "
                "`trading down` again"
            )
        return f"stopped the instance in {config.home} (process {state.pid})"
    home.acquire()
    try:
        ended = Supervisor(home=config.home, clock=clock, report=lambda _line: None).recover()
        postgres = EmbeddedPostgres(home=config.home, clock=clock)
        if config.database_url is None and postgres.is_running():
            postgres.stop()
            ended += 1
    finally:
        home.release()
    if ended:
        return f"no instance ran in {config.home}; {ended} processes that an earlier one had left were ended"
    return f"no instance runs in {config.home}"


def wipe(config: TradingConfig, clock: Clock) -> str:
    """End what runs and delete the instance's state; secrets live elsewhere and stay."""
    home = Home(config.home)
    if not (config.home / "run" / "lock").exists():
        return f"nothing is set up in {config.home}: nothing to delete"  # and whatever folder this is, it is not ours
    down(config, clock)
    home.acquire()
    try:
        shutil.rmtree(config.home)
    finally:
        home.release()
    return f"deleted {config.home}"
