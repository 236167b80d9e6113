"""Airflow gets its own keys from secret files, and a decoy in the environment never stands in for a bad file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OPTIONS = {
    "AIRFLOW__SECRETS__BACKEND": "docker_secrets_backend.DockerSecretsBackend",
    "AIRFLOW__CORE__FERNET_KEY_SECRET": "fernet_key",
    "AIRFLOW__API__SECRET_KEY_SECRET": "secret_key",
    "AIRFLOW__API_AUTH__JWT_SECRET_SECRET": "jwt_secret",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "sql_alchemy_conn",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_SECRET": "sql_alchemy_conn_async",
}
FERNET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

READ = """
import json
from airflow.configuration import conf
from airflow import settings
options = [("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret"), ("database", "sql_alchemy_conn")]
print(json.dumps({option: conf.get(section, option) for section, option in options} | {
    "async": settings.SQL_ALCHEMY_CONN_ASYNC}))
"""

LOOK_UP = """
import json
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from airflow.models import Connection, Variable
from airflow.configuration import conf
def ask(what, *args):
    try:
        value = what(*args)
        return getattr(value, "password", value)
    except AirflowSecretsBackendAccessDenied as error:
        return f"denied: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(json.dumps({
    "good_connection": ask(Connection.get_connection_from_secrets, "good"),
    "bad_connection": ask(Connection.get_connection_from_secrets, "bad"),
    "environment_connection": ask(Connection.get_connection_from_secrets, "elsewhere"),
    "odd_connection": ask(Connection.get_connection_from_secrets, "odd-name"),
    "good_variable": ask(Variable.get_variable_from_secrets, "good"),
    "bad_variable": ask(Variable.get_variable_from_secrets, "bad"),
    "bad_option": ask(conf.get, "api", "secret_key"),
    "missing_option": ask(conf.get, "api_auth", "jwt_secret"),
}))
"""


@pytest.fixture
def secret(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str, mode: int = 0o600) -> Path:
        path = tmp_path / "secrets" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    return write


def test_airflow_reads_its_own_keys_from_files_in_a_fresh_process(
    airflow: Callable[..., dict[str, Any]], secret: Callable[..., Path]
) -> None:
    secret("airflow_conf_fernet_key", FERNET + "\n")
    secret("airflow_conf_secret_key", "api-key-of-this-very-test-0123456789\n")
    secret("airflow_conf_jwt_secret", "jwt-secret-of-this-very-test-0123456789\n")
    secret("database_url", "postgresql://user:pw@db.example:5432/airflow\n")
    read = airflow(READ, **OPTIONS)
    assert read == {
        "fernet_key": FERNET,
        "secret_key": "api-key-of-this-very-test-0123456789",
        "jwt_secret": "jwt-secret-of-this-very-test-0123456789",
        "sql_alchemy_conn": "postgresql+psycopg://user:pw@db.example:5432/airflow",
        "async": "postgresql+psycopg://user:pw@db.example:5432/airflow",
    }


def test_what_is_ours_and_bad_is_denied_and_what_is_not_ours_goes_on(
    airflow: Callable[..., dict[str, Any]], secret: Callable[..., Path]
) -> None:
    secret("airflow_conn_good", "postgresql://u:from-file@h/d\n")
    secret("airflow_conn_bad", "postgresql://u:canary@h/d\n", 0o644)
    secret("airflow_var_good", "from file\n")
    secret("airflow_var_bad", "canary\n", 0o644)
    secret("airflow_conf_fernet_key", FERNET)
    secret("airflow_conf_secret_key", "canary", 0o644)
    decoys = {
        "AIRFLOW_CONN_BAD": "postgresql://u:decoy@h/d",
        "AIRFLOW_CONN_ELSEWHERE": "postgresql://u:from-environment@h/d",
        "AIRFLOW_CONN_ODD-NAME": "postgresql://u:from-environment@h/d",
        "AIRFLOW_VAR_BAD": "decoy",
        "AIRFLOW_CONF_SECRET_KEY": "decoy",
    }
    options = {name: value for name, value in OPTIONS.items() if "SQL_ALCHEMY" not in name}
    found = airflow(LOOK_UP, **options, **decoys)
    assert "decoy" not in str(found)
    assert "canary" not in str(found)
    assert (found["good_connection"], found["good_variable"]) == ("from-file", "from file")
    assert found["environment_connection"] == found["odd_connection"] == "from-environment"
    assert found["bad_connection"].startswith("denied: the secret file")
    assert found["bad_variable"].startswith("denied: the secret file")
    assert "mode 0644" in found["bad_option"]
    assert "airflow_conf_jwt_secret" in found["missing_option"]
