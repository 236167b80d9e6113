"""Whether a port is free, and who holds it where it is not."""

import errno
import socket
from typing import Final

import psutil  # type: ignore[import-untyped]

from trading.errors import ConfigurationError

_ADDRESS: Final = "127.0.0.1"
_CONNECT_S: Final = 1.0


def require_free(ports: dict[str, tuple[str, int]]) -> None:
    """Raise ConfigurationError for the first port that is taken. `ports`: variable → (what it is for, port)."""
    seen: dict[int, str] = {}
    for variable, (purpose, port) in ports.items():
        if port in seen:
            raise ConfigurationError(f"{variable} and {seen[port]} are both {port}: give one of them another port")
        seen[port] = variable
        if _is_taken(port):
            raise ConfigurationError(
                f"port {port} of {purpose} is taken{_holder(port)}: end what listens there, "
                f"or choose another port with {variable}={port + 1}"
            )


def _is_taken(port: int) -> bool:
    try:
        # Somebody on all addresses does not always keep us from binding to this one, but would be met by clients.
        with socket.create_connection((_ADDRESS, port), timeout=_CONNECT_S):
            return True
    except OSError:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise ConfigurationError(f"port {port} may only be opened by root: choose one above 1023") from None
            return True
    return False


def _holder(port: int) -> str:
    """Like " by python3 (process 42)"; empty where the system does not tell."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
