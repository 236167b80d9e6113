"""Options of the crash suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="replay this one crash schedule")
    parser.addoption("--schedules", type=int, default=20_000, help="how many crash schedules to run in memory")
    parser.addoption("--kill-races", type=int, default=100, help="how often to halt while senders send")
