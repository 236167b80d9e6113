"""One instance for all tests of this folder: a start takes a minute."""

from collections.abc import Iterator

import pytest

from tests.e2e.running_pipeline import RunningPipeline


@pytest.fixture(scope="session")
def home_of_pipeline() -> Iterator[RunningPipeline]:
    """An instance that may be stopped and started; deleted at the end."""
    pipeline = RunningPipeline()
    yield pipeline
    pipeline.remove()


@pytest.fixture
def pipeline(home_of_pipeline: RunningPipeline) -> RunningPipeline:
    """The instance, running."""
    return home_of_pipeline.ensure_running()


@pytest.fixture
def home_of_other() -> Iterator[RunningPipeline]:
    """A home of its own, for what must not touch the shared one."""
    other = RunningPipeline()
    yield other
    other.remove()
