"""One command's way to the pipeline: the running instance's settings, a manager that is closed, a run of its own."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trading.clock import Clock, random_id
from trading.config.settings import TradingConfig
from trading.domain.ids import Run
from trading.errors import ConfigurationError
from trading.local.instance_environment import environ_of_instance
from trading.logging.json_logger import setup_json_logging
from trading.logging.log_context import LogContext
from trading.manager import TradingManager
from trading.strategies import registry

Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log lines (JSON) on standard error as well.")]


@contextmanager
def open_manager() -> Iterator[TradingManager]:
    """The manager of the running instance, or of the database that the settings name; closed in any case."""
    manager = TradingManager.from_env(environ_of_instance(os.environ))
    try:
        yield manager
    finally:
        manager.close()


@contextmanager
def open_run(*, verbose: bool) -> Iterator[tuple[TradingManager, Run]]:
    """A manager, and a run whose id is on every log line and row that the block writes."""
    with open_manager() as manager:
        config, run = manager.config, command_run(manager.clock)
        _require_writable(config.log_path)
        stream = sys.stderr if verbose else None
        setup_json_logging(config.log_path, config.log_level, stream=stream, service="cli")
        with LogContext(correlation_id=run.run_id, dag_id=run.dag_id, run_id=run.run_id):
            yield manager, run


def take_own_strategies() -> tuple[Path, ...]:
    """Know the strategies of TRADING_STRATEGIES_PATH, without an instance; the folders."""
    folders = TradingConfig.from_env(os.environ).strategies_path
    registry.look_in(folders)
    return folders


def command_run(clock: Clock) -> Run:
    """A run of the command line: its id tells when it began."""
    began = clock.now().strftime("%Y%m%dT%H%M%SZ")
    return Run(run_id=f"cli__{began}__{random_id()[:8]}", dag_id="cli", actor=person())


def person() -> str:
    """Who gives the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number only
        return f"uid {os.getuid()}"


def examples(*lines: str) -> str:
    """The end of a command's help: a line an example."""
    return "\n\n".join(["Examples:", *lines])


def _require_writable(path: Path) -> None:
    """No run without its log lines."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"the log file {path} cannot be written ({error.strerror}): make it writable, or set TRADING_HOME"
        ) from None
