"""What a run of `make crash` found, as it goes into $TRADING_HOME/crash.json."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.pool import Tally
from tests.crash.suites import Suite


@dataclass(kw_only=True)
class Part:
    """One suite: the schedules and kills that ran, the broken ones among them, and the seeds from first to last."""

    schedules: int
    kills: int
    violations: int
    seeds: tuple[int, int]
    seconds: float
    never: list[str]


@dataclass(kw_only=True)
class Report:
    """All suites of one run."""

    commit: str
    full: bool
    suites: dict[str, Part] = field(default_factory=dict)
    planted: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)

    def add(self, suite: Suite, tally: Tally, first: int, expected: tuple[str, ...]) -> None:
        """One suite has ended."""
        now = time.monotonic()
        self.suites[suite.name] = Part(
            schedules=tally.schedules,
            kills=tally.counts.pop("kills", 0),
            violations=len(tally.failures),
            seeds=(first, first + tally.schedules - 1),
            seconds=round(now - self._began, 1),
            never=tally.never(expected),
        )
        self._began = now
        self.counts.update(tally.counts)

    def complaints(self) -> list[str]:
        """Why the run failed; nothing where it did not."""
        return [
            *(f"{name}: {part.violations} broken schedules" for name, part in self.suites.items() if part.violations),
            *(f"{name}: never happened: {', '.join(p.never)}" for name, p in self.suites.items() if p.never),
            *(f"the planted bug {name!r} was not caught" for name, bug in self.planted.items() if bug["seed"] is None),
        ]

    def write(self, path: Path | None) -> None:
        """Leave it behind, also while the rest still runs."""
        if path is None:
            return
        caught = sum(bug["seed"] is not None for bug in self.planted.values())
        document = {
            "commit": self.commit,
            "full": self.full,
            **{name: asdict(part) for name, part in self.suites.items()},
            "planted": {"caught": caught, "of": len(self.planted), "seeds": self.planted},
            "counts": dict(sorted(self.counts.items())),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}  # the part with a real Airflow stands beside it
        path.write_text(json.dumps(known | document, indent=1) + "\n")
        path.with_suffix(".md").write_text(self.page())

    def page(self) -> str:
        """The same for people: three tables in Markdown."""
        command = "make crash FULL=1" if self.full else "make crash"
        suites = [
            (
                name,
                part.schedules,
                part.kills,
                part.violations,
                f"{part.seeds[0]} to {part.seeds[1]}",
                f"{part.seconds:.0f}",
            )
            for name, part in self.suites.items()
        ]
        bugs = [(name, bug["seed"], bug["broken"]) for name, bug in self.planted.items()]
        return "\n".join(
            (
                f"`{command}` at commit {self.commit}.\n",
                *_table(("suite", "schedules", "kills", "violations", "seeds", "seconds"), suites),
                *_table(("planted bug", "seed that shows it", "what it breaks there"), bugs),
                *_table(("fault or crash point", "times"), sorted(self.counts.items())),
            )
        )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
    yield ""
