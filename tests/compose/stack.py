"""The containers of docker-compose.yml, started for a test under a project name of their own."""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.airflow_rest import AirflowRest
from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]
#: Two checkouts do not meet; one finds again what a killed run of it left.
PROJECT = f"trading-test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
IMAGE_TAG = "compose-test"
_BEGAN = time.monotonic()
IMAGE = f"trading:{IMAGE_TAG}"
UID = 50_000
#: The containers that run for ever.
SERVICES = (
    "postgres",
    "redis",
    "api-server",
    "scheduler",
    "dag-processor",
    "triggerer",
    "worker",
    "orders",
    "alerts",
    "paper-exchange",
)
OURS = SERVICES[2:]


class NoEngineError(Exception):
    """There is nothing to run containers with; its text says what is missing."""


def compose_command() -> list[str]:
    """`docker compose`, or the program docker-compose. Raises NoEngineError."""
    if shutil.which("docker") is None:
        raise NoEngineError("there is no program `docker`")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise NoEngineError("no Docker engine answers (`docker info`)")
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode
        ):
            return command
    raise NoEngineError("there is no Docker Compose v2")


class CommandFailedError(Exception):
    """A command ended with another code than 0; its text ends with what it said."""


class Stack:
    """One project of containers; its secrets are made by scripts/init-secrets.sh in a folder of its own."""

    def __init__(self) -> None:
        self._compose = compose_command()
        self.folder = Path(tempfile.mkdtemp(prefix="trading-compose-"))
        self.folder.chmod(0o755)
        self.secrets = self.folder / "secrets"
        self.port = free_port()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("TRADING_", "AIRFLOW", "COMPOSE"))
        }
        self._environ = kept | {
            "SECRETS_DIR": str(self.secrets),
            "UI_PORT": str(self.port),
            "TRADING_VERSION": IMAGE_TAG,
            "WORKER_CONCURRENCY": "2",
            "COMPOSE_PROFILES": "alerts",
        }

    @property
    def address(self) -> str:
        """Of the web UI."""
        return f"http://127.0.0.1:{self.port}"

    def secret(self, name: str) -> str:
        """Its content."""
        return (self.secrets / name).read_text().strip()

    def rest(self, user: str = "admin", password: str = "") -> AirflowRest:
        """Airflow's API, as this user."""
        return AirflowRest(self.address, password or self.secret("ui_admin_password"), user)

    def make_secrets(self) -> None:
        """As docs/DEPLOYMENT.md says."""
        run(["bash", str(ROOT / "scripts" / "init-secrets.sh"), str(self.secrets)])
        (self.secrets / "alert_url").write_text(f"json://canary:{secrets.token_hex(16)}@alerts.invalid/\n")
        (self.secrets / "alert_url").chmod(0o600)
        for path in (self.secrets, *self.secrets.iterdir()):
            os.chown(path, UID, UID)

    def build(self) -> None:
        """Our image, and the stand-ins."""
        base = os.environ.get("BASE_IMAGE", "debian:bookworm-slim")
        for tag, folder in (
            (IMAGE, ROOT),
            ("trading-test-postgres", ROOT / "tests" / "compose" / "postgres"),
            ("trading-test-redis", ROOT / "tests" / "compose" / "redis"),
        ):
            say(f"building {tag}")
            command = ["docker", "build", "--quiet", "--network", "host", "--tag", tag]
            run([*command, "--build-arg", f"BASE_IMAGE={base}", str(folder)], seconds=1_200)

    def compose(self, *words: str, given: str | None = None, check: bool = True, seconds: float = 300) -> str:
        """What a command of Docker Compose prints."""
        files = ["--file", "docker-compose.yml", "--file", "tests/compose/override.yml"]
        command = [*self._compose, "--project-name", PROJECT, *files, *words]
        return run(command, environ=self._environ, given=given, check=check, seconds=seconds)

    def up(self, *words: str) -> float:
        """Start what does not run yet; the seconds until all of it is healthy."""
        began = time.monotonic()
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "400", *words, seconds=500)
        return time.monotonic() - began

    def cli(self, *words: str, given: str | None = None, check: bool = True, environ: tuple[str, ...] = ()) -> str:
        """A command of ours, as an operator gives it."""
        variables = [word for variable in environ for word in ("--env", variable)]
        return self.compose("run", "--rm", "--no-deps", "-T", *variables, "cli", *words, given=given, check=check)

    def containers(self, *services: str) -> list[str]:
        """The ids of these services' containers, or of all, those that ended too."""
        return self.compose("ps", "--all", "--quiet", *services).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine says of a container."""
        found: dict[str, Any] = json.loads(run(["docker", "inspect", container]))[0]
        return found

    def inside(self, service: str, script: str) -> Any:
        """What a Python script prints as JSON, run in the service's first container."""
        return json.loads(self.compose("exec", "-T", service, "python", "-I", "-", given=script))

    def sql(self, query: str, database: str = "trading") -> list[list[str]]:
        """Rows of the database, as text."""
        words = [
            "exec",
            "-T",
            "--env",
            f"PGPASSWORD={self.secret('db_password')}",
            "postgres",
            "psql",
            "-h",
            "127.0.0.1",
        ]
        said = self.compose(*words, "-U", "trading_owner", "-d", database, "-AtF", "\t", "-c", query)
        return [line.split("\t") for line in said.splitlines() if line]

    def database_url(self) -> str:
        """The way to the database from this machine, which reaches each container by its address."""
        networks = self.inspect(self.containers("postgres")[0])["NetworkSettings"]["Networks"]
        (address,) = [network["IPAddress"] for network in networks.values()]
        return f"host={address} user=trading_owner dbname=trading password={self.secret('db_password')}"

    def book(self) -> Path:
        """A copy of the paper exchange's own book."""
        target = self.folder / "book"
        shutil.rmtree(target, ignore_errors=True)
        run(["docker", "cp", f"{self.containers('paper-exchange')[0]}:/var/lib/trading/exchange", str(target)])
        return target / "book.sqlite"

    def until(self, holds: Callable[[], object], seconds: float, what: str, *, poll_s: float = 1.0) -> float:
        """Wait for a condition; the seconds that it took. Raises AssertionError."""
        began = time.monotonic()
        while not _tried(holds):
            assert time.monotonic() - began < seconds, f"waited {seconds:.0f} s in vain until {what}"
            time.sleep(poll_s)
        return time.monotonic() - began

    def down(self) -> None:
        """Everything that was started goes; images stay, for the next time."""
        self.compose("--profile", "cli", "down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)

    def remove(self) -> None:
        """That, and its folder."""
        self.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self) -> str:
        """The last lines of every container."""
        return self.compose("logs", "--tail", "15", check=False)[-20_000:]


def _tried(holds: Callable[[], object]) -> object:
    """False while what is asked does not answer."""
    try:
        return holds()
    except (OSError, CommandFailedError, ValueError):
        return False


def run(
    command: list[str],
    *,
    environ: dict[str, str] | None = None,
    given: str | None = None,
    check: bool = True,
    seconds: float = 120,
) -> str:
    """A command's standard output; CommandFailedError where it fails."""
    done = subprocess.run(
        command, env=environ, input=given, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode:
        raise CommandFailedError(f"{' '.join(command)[:300]} ended with {done.returncode}: {done.stderr[-4_000:]}")
    return done.stdout


def say(line: str) -> None:
    """For people, with the seconds since the start."""
    sys.stderr.write(f"{time.monotonic() - _BEGAN:5.0f} s … {line}\n")
    sys.stderr.flush()
