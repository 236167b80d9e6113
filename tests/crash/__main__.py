"""`make crash`: the order path under every fault, a tenth of the reliability table, or all of it with --full.

What happened is shown while it happens, and is left in $TRADING_HOME/crash.json, and as a page in crash.md beside it:
schedules or kills, violations and seeds of each suite, the seed that shows each planted bug, and counts by fault and
crash point. A count of zero fails.

    python -m tests.crash                                  a tenth of the table
    python -m tests.crash --full                           all of it, in hours
    python -m tests.crash --only postgres                  one suite
    python -m tests.crash --only in_memory --seed 4711     one schedule again, as a failure names it
"""

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.crash import planted
from tests.crash.pool import ENOUGH, Tally, run_schedules
from tests.crash.replay import commit, replay_command
from tests.crash.report import Report
from tests.crash.suites import SUITES, Suite
from trading.config.settings import TradingConfig


def main() -> int:
    """Run the chosen suites; non-zero where anything was broken, survived, or never happened."""
    arguments = _arguments()
    console = Console(stderr=True)
    report = Report(commit=commit(), full=arguments.full)
    chosen = [name for name in (*SUITES, "planted") if arguments.only in (None, name)]
    for name in chosen:
        if name == "planted":
            _planted(report, console)
        else:
            _suite(SUITES[name], arguments, report, console)
        report.write(_file(arguments))
    _show(report)
    for line in report.complaints():
        console.print(line, style="red", markup=False, soft_wrap=True)
    return 1 if report.complaints() else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the whole table of docs/reliability.md, not a tenth")
    parser.add_argument("--only", choices=(*SUITES, "planted"), help="one suite")
    parser.add_argument("--seed", type=int, help="run this one seed of the suite named by --only")
    parser.add_argument("--first", type=int, help="begin with this seed; a random one otherwise")
    arguments = parser.parse_args()
    if arguments.seed is not None and arguments.only not in SUITES:
        parser.error(f"--seed needs --only with one of {', '.join(SUITES)}: each suite makes something else of a seed")
    return arguments


def _file(arguments: argparse.Namespace) -> Path | None:
    """Where the report goes; a replayed seed is no report."""
    return None if arguments.seed is not None else TradingConfig.from_env().home / "crash.json"


def _suite(suite: Suite, arguments: argparse.Namespace, report: Report, console: Console) -> None:
    one = arguments.seed is not None
    first = arguments.seed if one else arguments.first
    first = random.SystemRandom().randrange(10**9) if first is None else first
    count = 1 if one else suite.seeds(full=arguments.full)
    tally, said = Tally(), 0
    with suite.world() as schedule, _progress(console) as progress:
        task = progress.add_task(f"{suite.name} from seed {first}", total=count, broken=0)
        for tally in run_schedules(schedule, first, count, workers=suite.workers, chunk=suite.chunk):
            progress.update(task, completed=tally.schedules, broken=len(tally.failures))
            if not console.is_terminal and tally.schedules * 20 // count > said:  # a log shows no bar
                said = tally.schedules * 20 // count
                console.print(f"{suite.name}: {tally.schedules} of {count}, {len(tally.failures)} broken")
    report.add(suite, tally, first, expected=() if one else suite.expected)
    for seed, broken in tally.failures.items():
        console.print(f"replay: {replay_command(suite.name, seed)}", *broken, sep="\n", markup=False, soft_wrap=True)


def _planted(report: Report, console: Console) -> None:
    with _progress(console) as progress:
        task = progress.add_task("planted bugs", total=len(planted.PLANTED), broken=0)
        for name, seed, broken in _hunted():
            report.planted[name] = {"seed": seed, "broken": broken}
            progress.update(task, advance=1)


def _hunted() -> Iterator[tuple[str, int | None, str]]:
    from tests.crash import in_memory

    for name, plant in planted.PLANTED.items():
        seed, broken = planted.find(plant, in_memory.schedule)
        yield name, seed, broken


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[broken]}} broken (ends at {ENOUGH})"),
        TimeElapsedColumn(),
        console=console,
    )


def _show(report: Report) -> None:
    table = Table("suite", "ran", "kills", "violations", "seeds", "seconds")
    for name, part in report.suites.items():
        seeds = f"{part.seeds[0]}-{part.seeds[1]}"
        table.add_row(name, str(part.schedules), str(part.kills), str(part.violations), seeds, f"{part.seconds:.0f}")
    out = Console(file=sys.stdout)
    if report.suites:
        out.print(table)
    if report.planted:
        bugs = Table("planted bug", "seed", "what it broke")
        for name, found in report.planted.items():
            bugs.add_row(name, str(found["seed"] if found["seed"] is not None else "NOT CAUGHT"), str(found["broken"]))
        out.print(bugs)
    for name, count in sorted(report.counts.items()):
        out.print(f"{count:9d}  {name}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
