"""What docker-compose.yml promises of every container, read from the file: no engine is needed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose.separation import SECRETS
from trading.config.known_secrets import KNOWN, known

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: They end by themselves.
SHORT = {"airflow-init", "cli"}
#: Capabilities that an entrypoint needs before it gives up being root.
GIVEN_BACK = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_little_and_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", ())) == GIVEN_BACK.get(name, set())
    assert "no-new-privileges:true" in service["security_opt"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["logging"]["options"]["max-size"] == "10m"
    assert "stop_grace_period" in service
    assert service.get("user") == "50000:50000" or name in GIVEN_BACK
    assert "healthcheck" in service or name in SHORT
    assert not {"privileged", "network_mode", "pid", "devices"} & set(service)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_only_what_talks_to_the_venue_has_its_keys_and_a_way_out() -> None:
    inward = {name for name, network in COMPOSE["networks"].items() if (network or {}).get("internal")}
    outward = {name for name, service in SERVICES.items() if set(service["networks"]) - inward - {"ui"}}
    keys = {name for name, service in SERVICES.items() if {"venue_api_key", "venue_api_secret"} & _sources(service)}
    assert keys == {"orders", "cli"}
    assert outward == keys | {"alerts"}  # which tells people, and has nothing to sign with
    assert COMPOSE["networks"]["ui"]["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_each_secret_is_a_file_and_each_service_gets_those_that_the_test_in_containers_expects() -> None:
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    assert set().union(*map(_sources, SERVICES.values())) == set(COMPOSE["secrets"])
    for name, expected in SECRETS.items():
        assert {_target(secret) for secret in SERVICES[name]["secrets"]} == expected, name


def test_each_service_has_the_secrets_that_the_table_of_secrets_gives_it() -> None:
    """`trading secrets status` and `check --service` speak by that table; exchange keys come where paper's are."""
    kept = {secret for name in SERVICES for secret in map(_target, SERVICES[name].get("secrets", ()))}
    for row in KNOWN:
        if row.name in kept:
            assert {name for name in SERVICES if row.name in map(_target, SERVICES[name].get("secrets", ()))} == set(
                row.readers
            ), row.name
    assert {row.name for row in KNOWN if row.origin == "generated"} <= kept
    assert all(known(name) for name in kept)


def test_what_may_be_set_is_in_the_example_and_nothing_else_is() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", TEXT))
    used.add("COMPOSE_PROFILES")  # read by Compose itself
    offered = set(re.findall(r"(?m)^#?([A-Z_]+)=", (ROOT / ".env.example").read_text()))
    assert offered == used


def _sources(service: dict[str, Any]) -> set[str]:
    return {secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", ())}


def _target(secret: Any) -> str:
    target: str = secret if isinstance(secret, str) else secret["target"]
    return target.replace("${VENUE_KEYS:-paper}", "paper")
