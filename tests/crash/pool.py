"""Many schedules on every core: workers are forked from a warm parent, and each schedule depends on its seed alone."""

import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

#: Schedules that a worker runs before it reports.
CHUNK: Final = 50
#: Failing seeds that are kept; after so many the rest need not run.
ENOUGH: Final = 5


@dataclass
class Tally:
    """What became of the schedules so far."""

    schedules: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Count another worker's schedules."""
        self.schedules += other.schedules
        self.counts.update(other.counts)
        self.failures |= other.failures

    def never(self, names: tuple[str, ...]) -> list[str]:
        """Those of `names` that did not happen at all."""
        return [name for name in names if not self.counts[name]]


#: Runs one seed; gives its counts and what was broken.
Schedule = Callable[[int], tuple[Counter[str], list[str]]]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_schedules(
    schedule: Schedule, first: int, count: int, *, workers: int | None = None, chunk: int = CHUNK
) -> Iterator[Tally]:
    """Run the seeds first … first + count - 1; a growing tally, after each chunk."""
    total = Tally()
    chunks = [range(start, min(start + chunk, first + count)) for start in range(first, first + count, chunk)]
    run = partial(_run_chunk, schedule)
    with multiprocessing.get_context("fork").Pool(workers or cores(), initializer=_settle_in) as pool:
        for part in pool.imap_unordered(run, chunks):
            total.add(part)
            yield total
            if len(total.failures) >= ENOUGH:
                return


def _settle_in() -> None:
    """What the parent had is shared and never collected; what schedules leave behind is, now and then."""
    gc.collect()
    gc.freeze()
    gc.disable()


def _run_chunk(schedule: Schedule, seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        counts, broken = schedule(seed)
        tally.schedules += 1
        tally.counts.update(counts)
        if broken:
            tally.failures[seed] = broken
    gc.collect()
    return tally
