"""Another of Airflow's backends is asked for what no secret file has, and never for what a file has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

READ = """
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
    "connections": {name: ask(Connection.get_connection_from_secrets, name) for name in ("ours", "theirs", "bad")},
    "variables": {name: ask(Variable.get_variable_from_secrets, name) for name in ("ours", "theirs", "bad", "nobodys")},
    "option": ask(conf.get, "api", "secret_key"),
}))
"""
LOCAL = "airflow.secrets.local_filesystem.LocalFilesystemBackend"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Secret files of ours, the files of Airflow's LocalFilesystemBackend, and how both are named to Airflow."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    ours = {
        "airflow_conn_ours": "postgresql://u:from-our-file@h/d",
        "airflow_var_ours": "from our file",
        "airflow_conn_bad": "postgresql://u:canary@h/d",
        "airflow_var_bad": "canary",
    }
    for name, content in ours.items():
        (folder / name).touch(mode=0o644 if name.endswith("bad") else 0o600)
        (folder / name).write_text(content)
    theirs = {
        "connections": {name: f"postgresql://u:from-theirs-{name}@h/d" for name in ("ours", "theirs", "bad")},
        "variables": {name: f"from theirs {name}" for name in ("ours", "theirs", "bad")},
        "configs": {"secret_key": "theirs-too-" + "k" * 40},
    }
    options = {}
    for kind, content in theirs.items():
        (tmp_path / f"{kind}.json").write_text(json.dumps(content))
        options[f"{kind}_file_path"] = str(tmp_path / f"{kind}.json")
    return {
        "AIRFLOW__SECRETS__BACKEND": "chained_secrets_backend.ChainedSecretsBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"then": LOCAL, **options}),
        "AIRFLOW__API__SECRET_KEY_SECRET": "secret_key",
        "AIRFLOW_VAR_BAD": "decoy",
        "AIRFLOW_CONN_BAD": "postgresql://u:decoy@h/d",
    }


def test_files_come_first_then_the_other_backend(airflow: Callable[..., dict[str, Any]], files: dict[str, str]) -> None:
    found = airflow(READ, **files)
    assert found["connections"]["ours"] == "from-our-file"
    assert found["connections"]["theirs"] == "from-theirs-theirs"
    assert found["variables"]["ours"] == "from our file"
    assert found["variables"]["theirs"] == "from theirs theirs"
    assert found["option"] == "theirs-too-" + "k" * 40
    for kind in ("connections", "variables"):
        assert found[kind]["bad"].startswith("denied: the secret file")
    assert "decoy" not in str(found)
    assert "canary" not in str(found)


def test_a_backend_that_fails_denies_access_and_nothing_else_is_asked(
    airflow: Callable[..., dict[str, Any]], files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "variables.json").write_text("{ this is not JSON")
    found = airflow(READ, **files)
    assert found["variables"]["ours"] == "from our file"
    for name in ("theirs", "nobodys"):
        assert found["variables"][name].startswith(f"denied: the secrets backend {LOCAL} failed on {name!r}")
