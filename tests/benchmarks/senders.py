"""tx1 by eight senders of eight accounts at once, against one sender alone: accounts must not wait for each other.

Eight processes, as the pipeline has them. In each round the first one sends a batch alone, then all of them one each;
nothing but tx1 is timed. The orders end before the next round, so that no sender carries an ever longer tail.
"""

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Barrier
from typing import Any

from tests.benchmarks.figure import Figure
from tests.benchmarks.stage import (
    LIMITS,
    RUN,
    BenchAccount,
    bench_folder,
    durable_server,
    market_view,
    migrated_database,
    open_account,
)
from trading.domain.order import Order, OrderState
from trading.domain.venue_order import Step
from trading.flows.order_steps import append_step
from trading.flows.risk_snapshot import Conditions

SENDERS, ROUNDS, BATCH = 8, 15, 20
#: Eight of them do at least four times what one does.
BAR = 0.25
_PATIENCE_S = 120
_STRATEGIES = tuple(f"s{number}" for number in range(BATCH))


def eight_senders() -> Iterator[Figure]:
    """Milliseconds a tx1 by the wall clock: eight at once, and one alone."""
    fork = multiprocessing.get_context("fork")
    with bench_folder() as folder, durable_server(folder) as server:
        url = migrated_database(server, "senders")
        gate, told = fork.Barrier(SENDERS, timeout=_PATIENCE_S), fork.Queue()
        senders = [fork.Process(target=_sender, args=(url, number, gate, told)) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        # Read before they are waited for: a full pipe would keep them from ending.
        spans = [told.get(timeout=_PATIENCE_S) for _ in range(SENDERS)]
        for sender in senders:
            sender.join(_PATIENCE_S)
    alone = [ended - began for span in spans for began, ended in span["alone"]]
    together = [
        max(ended for _, ended in one_round) - min(began for began, _ in one_round)
        for one_round in zip(*(span["together"] for span in spans), strict=True)
    ]
    yield Figure(
        name="tx1_eight_senders",
        ours=statistics.median(together) / (SENDERS * BATCH) * 1000,
        baseline_name="one sender",
        baseline=statistics.median(alone) / BATCH * 1000,
        unit="ms",
        bar=BAR,
        runs=ROUNDS * SENDERS * BATCH,
    )


def _sender(url: str, number: int, gate: Barrier, told: Any) -> None:
    """One process: plans unwatched, sends on the gate's word, and tells when each of its batches began and ended."""
    account = open_account(url, f"account{number}", _STRATEGIES)
    spans: dict[str, list[tuple[float, float]]] = {"alone": [], "together": []}
    for turn in range(ROUNDS + 1):
        lonely = [account.planned(2 * turn, strategy) for strategy in _STRATEGIES] if number == 0 else []
        orders = [account.planned(2 * turn + 1, strategy) for strategy in _STRATEGIES]
        gate.wait()
        if number == 0:
            spans["alone"].append(_timed(account, lonely))
            _end(account, lonely)
        gate.wait()
        spans["together"].append(_timed(account, orders))
        gate.wait()
        _end(account, orders)
    told.put({name: taken[1:] for name, taken in spans.items()})  # the first one warmed up
    account.ledger.close()


def _timed(account: BenchAccount, orders: Sequence[Order]) -> tuple[float, float]:
    """When the batch began and when it ended, on the clock that all processes share."""
    sender = account.sender()
    conditions = Conditions(
        account=account.name, portfolio=account.portfolio, limits=LIMITS, view=market_view(), pause=None
    )
    began = time.monotonic()
    for order in orders:
        request, checked = sender._authorise(order, conditions, RUN, epoch=account.epoch, latched=False)
        assert request is not None, checked
    return began, time.monotonic()


def _end(account: BenchAccount, orders: Sequence[Order]) -> None:
    """The venue said no to all of them."""
    with account.ledger.transaction() as books:
        for order in orders:
            sent = books.orders.get(order.client_order_id)
            assert sent is not None
            refused = Step(state=OrderState.REJECTED, reason="a benchmark")
            append_step(books, sent, refused, at=sent.changed_at, run=RUN)
