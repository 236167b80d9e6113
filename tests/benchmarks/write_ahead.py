"""What it costs to make a wish durable before it is sent: tx1, its COMMIT, and both after 10,000 old orders.

Each round is one fdatasync of a page in the folder of the database, one send in an account without history and one in
an account with it, so that whatever else the machine does hits all three.
"""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.figure import Figure
from tests.benchmarks.old_orders import write_old_orders
from tests.benchmarks.stage import (
    LIMITS,
    RUN,
    BenchAccount,
    bench_folder,
    durable_server,
    market_view,
    migrated_database,
    open_account,
    pause,
)
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger

ROUNDS, WARM_UP = 400, 20
OLD_ORDERS = 10_000
COMMIT_BAR, TX1_BAR_MS, OLD_ORDERS_BAR = 2.5, 2.5, 1.25
_PAGE = 8192
_PAGES = 2048


def write_ahead() -> Iterator[Figure]:
    """Medians: the COMMIT against one fdatasync, tx1 in ms, and tx1 with old orders against tx1 without."""
    with bench_folder() as folder, durable_server(folder) as server, _page_file(folder / "pages") as pages:
        young = open_account(migrated_database(server, "young"), "young")
        url = migrated_database(server, "old")
        old = open_account(url, "old")
        write_old_orders(url, old.name, OLD_ORDERS)
        syncs: list[float] = []
        times: dict[str, list[tuple[float, float]]] = {"young": [], "old": []}
        for number in range(WARM_UP + ROUNDS):
            syncs.append(_fdatasync_ms(pages, number))
            for account in (young, old):
                times[account.name].append(_tx1_ms(account, number))
        young.ledger.close()
        old.ledger.close()
    whole = {name: statistics.median(total for total, _ in taken[WARM_UP:]) for name, taken in times.items()}
    commit = statistics.median(commit for _, commit in times["young"][WARM_UP:])
    sync = statistics.median(syncs[WARM_UP:])
    both = {"unit": "ms", "runs": ROUNDS}
    yield Figure(name="tx1_commit", ours=commit, baseline_name="fdatasync", baseline=sync, bar=COMMIT_BAR, **both)
    yield Figure(name="tx1", ours=whole["young"], baseline_name="a millisecond", baseline=1.0, bar=TX1_BAR_MS, **both)
    yield Figure(
        name="tx1_old_orders",
        ours=whole["old"],
        baseline_name="without any",
        baseline=whole["young"],
        bar=OLD_ORDERS_BAR,
        **both,
    )


@contextmanager
def _page_file(path: Path) -> Iterator[int]:
    """A file that is written and there, as a segment of the write-ahead log is when its turn comes."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(number, bytes(_PAGE * _PAGES))
        os.fsync(number)
        yield number
    finally:
        os.close(number)


def _fdatasync_ms(file: int, number: int) -> float:
    """How long one page takes to the disk."""
    before = time.perf_counter()
    os.pwrite(file, os.urandom(_PAGE), number % _PAGES * _PAGE)
    os.fdatasync(file)
    return (time.perf_counter() - before) * 1000


def _tx1_ms(account: BenchAccount, number: int) -> tuple[float, float]:
    """How long tx1 of one more order takes, and how much of it is the COMMIT."""
    order = account.planned(number)
    watched = _Watched(account.ledger)
    account.sender(watched).send(order, market_view(), RUN, limits=LIMITS, epoch=account.epoch, pause=pause())
    return next((total, commit) for written, total, commit in watched.taken if written)


class _Watched:
    """The ledger, with a stop watch on each of its transactions."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self._ledger = ledger
        self.sending = ledger.sending
        self.taken: list[tuple[bool, float, float]] = []  # whether it took the account's lock, all of it, its COMMIT

    @contextmanager
    def transaction(self) -> Iterator[PostgresBooks]:
        """One transaction, timed in ms."""
        began = time.perf_counter()
        with self._ledger.transaction() as books:
            yield books
            locked = bool(books._session.chains)
            ended = time.perf_counter()
        done = time.perf_counter()
        self.taken.append((locked, (done - began) * 1000, (done - ended) * 1000))
