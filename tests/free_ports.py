"""Ports that nothing listens on."""

import random
import socket
from contextlib import suppress
from typing import Final

#: Below what Linux (from 32768) and macOS (from 49152) give to connections, of which other tests open thousands.
_PORTS: Final = range(20_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago, and that hardly any other test will take before it is used."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
