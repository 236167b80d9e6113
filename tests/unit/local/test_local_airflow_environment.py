"""What Airflow's processes are started with."""

from pathlib import Path

from trading.local.airflow_environment import AirflowFolders, airflow_environment, inherited


def environment() -> dict[str, str]:
    return airflow_environment(home=Path("/h"), root=Path("/r"), dags=Path("/r/dags"), ui_port=8081)


def test_keys_are_named_and_never_written_into_the_environment() -> None:
    values = environment()
    keys = ("SQL_ALCHEMY_CONN", "FERNET_KEY", "SECRET_KEY", "JWT_SECRET")
    assert not [name for name in values if name.endswith(keys)]
    assert values["AIRFLOW__CORE__FERNET_KEY_SECRET"] == "fernet_key"
    assert values["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET"] == "sql_alchemy_conn"


def test_nothing_listens_beyond_this_machine() -> None:
    values = environment()
    assert values["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert values["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8081/execution/"


def test_everything_is_written_below_home() -> None:
    values = environment()
    folders = ("AIRFLOW_HOME", "AIRFLOW__LOGGING__BASE_LOG_FOLDER", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")
    assert all(values[name].startswith("/h/") for name in folders)


def test_the_secrets_backend_can_be_imported_before_airflow_looks_for_plugins() -> None:
    assert environment()["PYTHONPATH"].split(":") == ["/r", "/r/plugins"]


def test_another_airflows_settings_and_another_instances_marker_are_not_inherited() -> None:
    given = {
        "PATH": "/bin",
        "AIRFLOW_HOME": "/theirs",
        "AIRFLOW__CORE__X": "1",
        "TRADING_INSTANCE": "i",
        "TRADING_MODE": "m",
    }
    assert inherited(given) == {"PATH": "/bin", "TRADING_MODE": "m"}


def test_the_configuration_file_is_ours_and_holds_no_key(tmp_path: Path) -> None:
    AirflowFolders(home=tmp_path).create()
    lines = (tmp_path / "airflow" / "airflow.cfg").read_text().splitlines()
    assert lines
    assert all(line.startswith("#") for line in lines)
