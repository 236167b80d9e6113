"""Where Celery's broker is: asked by Airflow's secrets backend, and by the health check of a worker's container."""

from typing import Final
from urllib.parse import quote

from trading.config.secret import Secret
from trading.config.secrets import SecretsManager

#: The secret that names another broker than the service `redis` of docker-compose.yml.
BROKER_URL: Final = "airflow_conf_broker_url"
PASSWORD: Final = "redis_password"  # noqa: S105 - the secret's name


def broker_url(secrets: SecretsManager) -> Secret | None:
    """The broker's URL, or None where neither it nor Redis's password is a secret of this container."""
    named = secrets.find_secret(BROKER_URL)
    if named is not None:
        return named
    password = secrets.find_secret(PASSWORD)
    return password and Secret(BROKER_URL, f"redis://:{quote(password.reveal(), safe='')}@redis:6379/0")
