"""`make bench`: figures against their bars, as a table, and one JSON object a figure in $TRADING_HOME/bench.jsonl."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.backtest import backtest
from tests.benchmarks.candles import candles
from tests.benchmarks.create_order import create_order
from tests.benchmarks.evaluate import evaluate
from tests.benchmarks.figure import Figure
from tests.benchmarks.latency import latency
from tests.benchmarks.place import place
from tests.benchmarks.risk_checks import risk_checks
from tests.benchmarks.senders import eight_senders
from tests.benchmarks.write_ahead import write_ahead
from trading.config.settings import TradingConfig
from trading.logging.json_logger import setup_json_logging

#: Each benchmark by name; it yields its figures.
BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "risk_checks": risk_checks,
    "backtest": backtest,
    "evaluate": evaluate,
    "write_ahead": write_ahead,
    "eight_senders": eight_senders,
    "create_order": create_order,
    "place": place,
    "candles": candles,
    "latency": latency,
}


def main() -> int:
    """Run the chosen benchmarks; non-zero where a figure misses its bar."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="one of them")
    chosen = parser.parse_args().only
    figures: list[Figure] = []
    home = TradingConfig.from_env().home
    out = home / "bench.jsonl"
    # What a flow logs is part of what it costs, and goes where a task's log goes: into a file.
    setup_json_logging(home / "bench" / "log.jsonl", service="bench")
    for name, run in BENCHMARKS.items():
        if chosen in (None, name):
            for figure in run():
                figures.append(figure)
                _append(out, figure)
    _show(figures)
    return 0 if all(figure.ok for figure in figures) else 1


def _append(path: Path, figure: Figure) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(figure.as_dict()) + "\n")


def _show(figures: list[Figure]) -> None:
    table = Table("figure", "ours", "baseline", "ratio", "bar", "runs", "ok")
    for f in figures:
        baseline = f"{f.baseline_name} {f.baseline:g} {f.unit}"
        row = (f.name, f"{f.ours:g} {f.unit}", baseline, f"{f.ratio:.2f}", f"{f.bar:g}", str(f.runs))
        table.add_row(*row, "yes" if f.ok else "NO")
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    sys.exit(main())
