"""A halt with 200 orders at a real venue over HTTP, a tenth of whose cancels fail."""

from pathlib import Path

import pytest

from tests.contract.many_orders import ORDERS, enforce_many

pytestmark = [pytest.mark.postgres, pytest.mark.alone]

#: The bar; a busy machine gets more room, and what it took is printed.
WITHIN_S = 10.0


def test_200_orders_are_cancelled_and_verified_while_a_tenth_of_the_cancels_fails(
    tmp_path: Path, database_url: str
) -> None:
    """None rests, the venue's own list says so, every kind of fault happened, and it took seconds."""
    done = enforce_many(tmp_path, database_url)
    print(f"\n{ORDERS} orders cancelled and verified in {done.seconds:.1f} s, with {done.faults}")  # noqa: T201
    assert done.left == 0
    assert done.report.cancelled >= ORDERS * 0.95  # one that was executed, though its answer failed, is gone already
    assert len(done.faults) == 4
    assert all(done.faults.values())
    assert done.seconds < 3 * WITHIN_S
