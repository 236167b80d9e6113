"""Secret files first, then another of Airflow's backends, such as Vault's, for what no file has (docs/SECRETS.md)."""

from importlib import import_module
from typing import Any, ClassVar

from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied

from docker_secrets_backend import DockerSecretsBackend


class ChainedSecretsBackend(DockerSecretsBackend):
    """`then` is the other backend's class; it is made with all other options, once, when it is first asked."""

    _other: ClassVar[Any] = None

    def __init__(self, then: str, **options: Any) -> None:
        super().__init__()
        self._then = then
        self._settings = options

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        """The connection `conn_id`."""
        ours = super().get_connection(conn_id, team_name)
        return self.elsewhere("get_connection", conn_id) if ours is None else ours

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        """The variable `key`."""
        ours = super().get_variable(key, team_name)
        return self.elsewhere("get_variable", key) if ours is None else ours

    def elsewhere(self, method: str, key: str) -> Any:
        """What the other backend says. Its failure denies access: Airflow would go on to the environment's decoy."""
        try:
            if self._other is None:
                module, _, name = self._then.rpartition(".")
                type(self)._other = getattr(import_module(module), name)(**self._settings)
            if method == "get_connection":
                self._other._set_connection_class(self._get_connection_class())
            return getattr(self._other, method)(key)
        except AirflowSecretsBackendAccessDenied:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is
            # Not its text, which may hold what it was given: an address with a token, say.
            raise AirflowSecretsBackendAccessDenied(
                f"the secrets backend {self._then} failed on {key!r} with {type(error).__name__}: nothing else is asked"
            ) from None
