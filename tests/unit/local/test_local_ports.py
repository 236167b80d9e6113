"""A taken port is one clear sentence: which port, whose, held by whom, and the variable that changes it."""

import os
import socket
from collections.abc import Iterator

import pytest

from trading.errors import ConfigurationError
from trading.local.ports import require_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_names_itself_its_holder_and_the_variable(taken: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_free({"TRADING_UI_PORT": ("the web UI", taken)})
    message = str(caught.value)
    assert message.startswith(f"port {taken} of the web UI is taken by ")
    assert f"(process {os.getpid()})" in message
    assert f"TRADING_UI_PORT={taken + 1}" in message


def test_a_free_port_passes() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    require_free({"TRADING_UI_PORT": ("the web UI", free)})


def test_one_port_for_two_purposes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="TRADING_EXCHANGE_PORT and TRADING_UI_PORT are both 54321"):
        require_free({"TRADING_UI_PORT": ("the web UI", 54321), "TRADING_EXCHANGE_PORT": ("the paper exchange", 54321)})
