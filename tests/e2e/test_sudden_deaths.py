"""Parts of the pipeline killed with an order on its way, on a real Airflow: afterwards both books agree.

Runs after the other files of this folder: it starts the shared instance in a way of its own.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e import two_books
from tests.e2e.outage import Outage, rehearsed
from tests.e2e.running_pipeline import CANDLE_S, RunningPipeline

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

STATES = "SELECT state FROM trading.order_event WHERE client_order_id = %s ORDER BY sequence"


@pytest.fixture(scope="module")
def outage(home_of_pipeline: RunningPipeline) -> Iterator[Outage]:
    """The shared instance with an exchange that can be told what goes wrong."""
    home_of_pipeline.ensure_stopped().start(rehearsed(restarts=10))
    yield Outage(home_of_pipeline.ensure_running())
    home_of_pipeline.ensure_stopped()


@pytest.mark.parametrize(
    "kill",
    [Outage.kill_workers, lambda outage: outage.kill_component("scheduler"), Outage.kill_postgres],
    ids=["workers", "scheduler", "postgres"],
)
def test_an_order_on_its_way_is_found_again_whatever_is_killed(outage: Outage, kill: Callable[[Outage], None]) -> None:
    """The venue has the order and nobody heard its answer: it is looked up, never sent again, and trading goes on."""
    order = outage.order_in_flight()
    posts = outage.pipeline.posts()
    assert posts[-1] == order
    kill(outage)
    outage.until_healed()
    states = [state for (state,) in outage.pipeline.sql(STATES, order)]
    assert states[:2] == ["planned", "submitting"]
    assert states[-1] in ("filled", "canceled", "expired_at_venue")
    outage.until(lambda: len(outage.pipeline.posts()) > len(posts), CANDLE_S, "orders are sent again")
    assert two_books.signed_otherwise(outage.pipeline.book, outage.pipeline.database_url()) == []
    sent = outage.pipeline.posts()
    assert len(set(sent)) == len(sent)
    assert outage.pipeline.sql("SELECT * FROM trading.discrepancy") == []
