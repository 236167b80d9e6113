"""Serves Airflow's own keys, connections and variables from secret files, through trading.config.secrets.

None means "not mine": Airflow asks its next source. What is mine and unreadable denies access, since Airflow skips a
backend that raises anything else and takes the environment's decoy. Airflow loads this file while it imports its own
configuration, so nothing here may import that at module level.
"""

import os
import re
from typing import ClassVar

from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from airflow.secrets import BaseSecretsBackend

from airflow_masking import masked
from trading.config.broker import BROKER_URL, broker_url
from trading.config.secret import Secret
from trading.config.secrets import SecretsManager
from trading.config.settings import TradingConfig, sqlalchemy_url
from trading.errors import ConfigurationError
from trading.logging.redaction import register_secret

_MINE = re.compile(r"[a-z0-9_]{1,51}")  # with the longest prefix, 64 characters


class DockerSecretsBackend(BaseSecretsBackend):
    """Files airflow_conn_<id>, airflow_var_<key> and airflow_conf_<option>; the database's URL from database_url.

    The broker's URL is made from redis_password where airflow_conf_broker_url does not name another one.

    Airflow builds a new instance for every look-up, so the manager and the options live in the class. Connections and
    variables are read each time: a rotated file is seen at once.
    """

    _manager: ClassVar[SecretsManager | None] = None
    _options: ClassVar[dict[str, str]] = {}

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:  # noqa: ARG002
        """The connection `conn_id` as a URI or JSON."""
        return masked(self._find(f"airflow_conn_{conn_id}")) if _MINE.fullmatch(conn_id) else None

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:  # noqa: ARG002
        """The variable `key`."""
        return masked(self._find(f"airflow_var_{key}")) if _MINE.fullmatch(key) else None

    def get_config(self, key: str) -> str | None:
        """The option that `<option>_secret` points here; without a file Airflow would run on an empty or random key."""
        if key not in self._options:
            is_url = key in ("sql_alchemy_conn", "sql_alchemy_conn_async")
            secret = self._find("database_url" if is_url else f"airflow_conf_{key}")
            value = secret.reveal() if secret else self.elsewhere("get_config", key)
            if value is None:
                raise AirflowSecretsBackendAccessDenied(
                    f"the option {key!r} points at a secret that is missing: expected the secret"
                    f" {'database_url, or TRADING_DATABASE_URL' if is_url else f'airflow_conf_{key}'}"
                )
            self._options[key] = sqlalchemy_url(value) if is_url else value
        return self._options[key]

    def elsewhere(self, method: str, key: str) -> str | None:  # noqa: ARG002
        """What another backend says of an option that no file has; ChainedSecretsBackend has one."""
        return None

    @classmethod
    def _find(cls, name: str) -> Secret | None:
        try:
            if cls._manager is None:
                cls._manager = TradingConfig.from_env(os.environ).secrets(os.environ, on_read=register_secret)
            if name == "database_url":
                return cls._manager.get_database_url()
            return broker_url(cls._manager) if name == BROKER_URL else cls._manager.find_secret(name)
        except ConfigurationError as error:
            raise AirflowSecretsBackendAccessDenied(str(error)) from None
