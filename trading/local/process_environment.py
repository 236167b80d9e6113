"""The environment of an instance's processes, from its configuration."""

from collections.abc import Mapping

from trading.config.settings import TradingConfig
from trading.local.airflow_environment import airflow_environment, inherited


def base_environment(config: TradingConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """What every process of ours gets: the caller's variables, and where this instance's files are."""
    return inherited(environ) | {
        "TRADING_HOME": str(config.home),
        "TRADING_SECRETS_DIR": str(config.secrets_dir),
        "PYTHONPATH": str(config.root),
    }


def airflow_process_environment(config: TradingConfig, environ: Mapping[str, str], database_url: str) -> dict[str, str]:
    """What Airflow's processes get; an embedded database's address is in it."""
    variables = base_environment(config, environ) | airflow_environment(
        home=config.home, root=config.root, dags=config.root / "dags", ui_port=config.ui_port
    )
    if config.database_url is None:
        variables["TRADING_DATABASE_URL"] = database_url  # a socket's address, without a password
    return variables
