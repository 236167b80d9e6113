"""What each container may do, read and reach, seen from inside of it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.compose.stack import OURS, UID, Stack

#: Exactly these files are in /run/secrets, and each can be read.
SECRETS = {
    "postgres": {"db_password"},
    "redis": {"redis_password"},
    "api-server": {"db_password", "airflow_conf_fernet_key", "airflow_conf_secret_key", "airflow_conf_jwt_secret"},
    "scheduler": {"db_password", "redis_password", "airflow_conf_fernet_key", "airflow_conf_jwt_secret"},
    "dag-processor": {"db_password", "airflow_conf_fernet_key"},
    "triggerer": {"db_password", "airflow_conf_fernet_key"},
    "worker": {"db_password", "redis_password"},
    "orders": {
        "db_password",
        "redis_password",
        "paper_api_key",
        "paper_api_secret",
        "kill_switch_secret",
        "kill_switch_secret_b",
        "audit_secret",
    },
    "alerts": {"db_password", "alert_url"},
    "paper-exchange": {"paper_api_key", "paper_api_secret"},
}
#: What each can connect to; `outside` is an address in the internet.
REACHES = {
    "api-server": {"postgres", "api-server"},
    "scheduler": {"postgres", "redis", "api-server"},
    "dag-processor": {"postgres", "api-server"},
    "triggerer": {"postgres", "api-server"},
    "worker": {"postgres", "redis", "api-server"},
    "orders": {"postgres", "redis", "api-server", "paper-exchange", "outside"},
    "alerts": {"postgres", "api-server", "outside"},
    "paper-exchange": {"paper-exchange"},
}
ADDRESSES = {
    "postgres": ("postgres", 5432),
    "redis": ("redis", 6379),
    "api-server": ("api-server", 8080),
    "paper-exchange": ("paper-exchange", 8900),
    "outside": ("1.1.1.1", 53),
}

PROBE = """
import json, os, socket
from concurrent.futures import ThreadPoolExecutor  # a name that nobody knows takes its time
def can(act):
    try:
        act()
        return True
    except OSError:
        return False
def write(path):
    open(path, "w").close()
    os.unlink(path)
def reach(address):
    socket.create_connection(tuple(address), timeout=3).close()
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
folder = "/run/secrets"
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip() == "1",
    "seccomp": status["Seccomp"].strip() == "2",
    "writable": [p for p in ("/x", "/opt/trading/dags/x", "/etc/x", "/run/secrets/x") if can(lambda: write(p))],
    "secrets": sorted(n for n in os.listdir(folder) if can(lambda: open(os.path.join(folder, n)).read())),
    "mounted": sorted(os.listdir(folder)),
    "compilers": [n for n in ("gcc", "cc", "g++", "clang", "ld", "make", "pip", "curl", "wget")
                  if any(os.path.exists(os.path.join(d, n)) for d in os.environ["PATH"].split(":"))],
    "reaches": sorted(n for n, ok in zip(ADDRESSES, ThreadPoolExecutor().map(
        lambda a: can(lambda: reach(a)), ADDRESSES.values())) if ok),
}))
"""


def check_all(stack: Stack) -> dict[str, dict[str, bool]]:
    """Service → what was checked → whether it holds."""
    with ThreadPoolExecutor() as together:
        found = dict(zip(OURS, together.map(lambda service: _checked(service, stack), OURS), strict=True))
    for service in ("postgres", "redis"):
        listed = stack.compose("exec", "-T", service, "ls", "/run/secrets").split()
        status = stack.compose("exec", "-T", service, "cat", "/proc/1/status")
        write = stack.compose("exec", "-T", service, "sh", "-c", "touch /x 2>/dev/null && echo written", check=False)
        found[service] = {
            "secrets": set(listed) == SECRETS[service],
            "no capability left": "CapEff:\t0000000000000000" in status,
            "no new privileges": "NoNewPrivs:\t1" in status,
            "read-only root": "written" not in write,
            **_from_outside(service, stack),
        }
    return found


def _checked(service: str, stack: Stack) -> dict[str, bool]:
    seen: dict[str, Any] = stack.inside(service, PROBE.replace("ADDRESSES", repr(ADDRESSES)))
    expected = REACHES[service]
    if "outside" in expected and "outside" not in seen["reaches"]:
        expected = expected - {"outside"}  # this machine itself has no way out
    return {
        "user 50000": seen["uid"] == UID,
        "no capability": seen["capabilities"] == 0,
        "no new privileges": seen["no_new_privileges"],
        "seccomp": seen["seccomp"],
        "read-only root": seen["writable"] == [],
        "secrets": set(seen["mounted"]) == set(seen["secrets"]) == SECRETS[service],
        "no compiler": seen["compilers"] == [],
        "networks": set(seen["reaches"]) == expected,
        **_from_outside(service, stack),
    }


def _from_outside(service: str, stack: Stack) -> dict[str, bool]:
    """What the engine says of it."""
    seen = stack.inspect(stack.containers(service)[0])
    host = seen["HostConfig"]
    bound = [b["HostIp"] for bindings in (host["PortBindings"] or {}).values() for b in bindings]
    return {
        "healthy": seen["State"]["Health"]["Status"] == "healthy",
        "limits": host["Memory"] > 0 and host["NanoCpus"] > 0 and (host["PidsLimit"] or 0) > 0,
        "log rotation": host["LogConfig"]["Config"].get("max-size") == "10m",
        "ports": bound == (["127.0.0.1"] if service == "api-server" else []),
        "not privileged": not host["Privileged"] and host["CapDrop"] == ["ALL"],
    }
