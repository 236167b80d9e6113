"""Every secret, in eight encodings, over everything that the stack writes, shows or answers: none may be there."""

import json
import subprocess
from collections.abc import Iterator

from tests.canaries import ENCODINGS, Canaries, answers
from tests.compose.stack import IMAGE, SERVICES, Stack, run

PLANTED = "canary-Pl4nted+in/this=sink~ü"

ENVIRONMENTS = r"""
for p in /proc/[0-9]*; do
  tr '\0' '\n' <"$p/environ" 2>/dev/null; tr '\0' ' ' <"$p/cmdline" 2>/dev/null; echo
done
"""
ANSWERS = (
    "/api/v2/config",
    "/api/v2/connections",
    "/api/v2/variables",
    "/api/v2/plugins",
    "/api/v2/dags?limit=100",
    "/api/v2/dags/~/dagRuns?limit=100",
    "/api/v2/dags/~/dagRuns/~/taskInstances?limit=100",
    "/api/v2/eventLogs?limit=100",
    "/api/v2/monitor/health",
    "/openapi.json",
)


def sinks(stack: Stack, planted: str = "") -> Iterator[tuple[str, bytes]]:
    """Name and content of each. `planted` is put into each of them, by the way that a secret would take."""
    yield "container logs", _container_logs(stack, planted)
    yield "log files", _log_files(stack, planted)
    yield "database dump", _database(stack, planted)
    yield "docker inspect", _inspected(stack, planted)
    yield "processes", _processes(stack, planted)
    yield "http answers", _answers(stack, planted)


def hits(stack: Stack) -> list[str]:
    """Where any of the secrets stands, in words that do not show it."""
    found = Canaries.of_folder(stack.secrets).hits(sinks(stack))
    return [f"{hit.secret} ({hit.encoding}) in {hit.place}" for hit in found]


def blind_spots(stack: Stack) -> list[str]:
    """The sinks and encodings in which a planted secret is not found; none, where the scanner can be trusted."""
    missed = []
    forms = {name: encode(PLANTED.encode())[0] for name, encode in ENCODINGS.items()}
    everything = "\n".join(f"planted {form} {shape.decode()}" for form, shape in forms.items())
    for sink, content in sinks(stack, everything):
        missed += [f"{form} in {sink}" for form, shape in forms.items() if not _found(shape, content)]
    return missed


def _found(shape: bytes, content: bytes) -> bool:
    """As it stands, or escaped once more by the JSON that it was put into."""
    return shape in content or json.dumps(shape.decode())[1:-1].encode() in content


def _container_logs(stack: Stack, planted: str) -> bytes:
    if planted:
        script = "import sys; open('/proc/1/fd/1', 'w').write(sys.stdin.read())"
        stack.compose("exec", "-T", "worker", "python", "-I", "-c", script, given=planted)
    return _bytes(["docker", "logs"], stack)


def _bytes(command: list[str], stack: Stack) -> bytes:
    said = b""
    for container in stack.containers():
        done = subprocess.run([*command, container], capture_output=True, check=True, timeout=120)
        said += done.stdout + done.stderr
    return said


def _log_files(stack: Stack, planted: str) -> bytes:
    """The folder logs/ with every task's log, and what is remembered outside of the ledger."""
    where = "/var/lib/trading/logs/airflow/planted.log"
    if planted:
        script = f"import sys; open('{where}', 'w').write(sys.stdin.read())"
        stack.compose("exec", "-T", "orders", "python", "-I", "-c", script, given=planted)
    read = "find /var/lib/trading -type f -exec cat {} +"  # unchecked: files of the moment vanish while it reads
    content = stack.compose("exec", "-T", "orders", "sh", "-c", read, check=False).encode()
    stack.compose("exec", "-T", "orders", "rm", "-f", where)
    return content


def _database(stack: Stack, planted: str) -> bytes:
    """All of it: XCom, rendered fields, connections, our own tables."""
    if planted:
        quoted = planted.replace("'", "''")
        stack.sql("CREATE TABLE IF NOT EXISTS public.planted (note text)")
        stack.sql(f"INSERT INTO public.planted VALUES ('{quoted}')")  # noqa: S608 - our own text
    words = ["exec", "-T", "--env", f"PGPASSWORD={stack.secret('db_password')}", "postgres"]
    content = stack.compose(*words, "pg_dump", "-h", "127.0.0.1", "-U", "trading_owner", "trading").encode()
    stack.sql("DROP TABLE IF EXISTS public.planted")
    return content


def _inspected(stack: Stack, planted: str) -> bytes:
    """What the engine says of each container, and how the image was made."""
    content = _bytes(["docker", "inspect"], stack) + run(["docker", "history", "--no-trunc", IMAGE]).encode()
    if planted:
        container = run(["docker", "create", "--env", f"PLANTED={planted}", IMAGE]).strip()
        content += run(["docker", "inspect", container]).encode()
        run(["docker", "rm", container])
    return content


def _processes(stack: Stack, planted: str) -> bytes:
    """Command line and environment of every process in every container."""
    content = ""
    for service in SERVICES:
        variables = ["--env", f"PLANTED={planted}"] if planted and service == "worker" else []
        content += stack.compose("exec", "-T", *variables, service, "sh", "-c", ENVIRONMENTS)
    return content.encode()


def _answers(stack: Stack, planted: str) -> bytes:
    """What Airflow's API shows to its administrator."""
    rest = stack.rest()
    rest.call("GET", "/version")
    if planted:
        rest.call("POST", "/variables", {"key": "planted", "value": planted})
    bearer = {"Authorization": f"Bearer {rest.token}"}
    content = b"".join(said for _, said in answers((stack.address + path for path in ANSWERS), bearer))
    if planted:
        rest.call("DELETE", "/variables/planted")
    return content
