"""`trading airflow`: Airflow's own command line, as part of this instance."""

import os
import sys
from collections.abc import Mapping

import typer

from trading.commands.invocation import examples
from trading.config.settings import TradingConfig
from trading.local.airflow_environment import AirflowFolders, airflow_environment, inherited
from trading.local.instance_environment import environ_of_instance

app = typer.Typer()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=examples(
        "trading airflow -- dags list", "trading airflow -- dags trigger place_orders", "trading airflow -- --help"
    ),
)
def airflow(context: typer.Context) -> None:
    """Any command of Airflow, with this instance's environment."""
    complete = environ_of_instance(os.environ)
    environment = _airflow_environ(TradingConfig.from_env(complete), complete)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *context.args], environment)  # noqa: S606


def _airflow_environ(config: TradingConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """What the instance's components are started with; no secret among it."""
    AirflowFolders(home=config.home).create()
    ours = {"TRADING_HOME": str(config.home), "TRADING_SECRETS_DIR": str(config.secrets_dir)}
    theirs = airflow_environment(home=config.home, root=config.root, dags=config.root / "dags", ui_port=config.ui_port)
    return inherited(environ) | ours | theirs
