"""`make mutants`: alters the sender, the resolver and reconciliation line by line, and counts what no test notices.

What is altered, and which tests look, stands in pyproject.toml (tool.mutmut). A full run writes docs/mutants.md, with
the reasons of survivors.toml.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key
from rich.console import Console
from rich.table import Table

#: The files of each part, which together must reach the score.
PARTS: Final = {
    "sender": ("trading/flows/send.py", "trading/flows/order_steps.py", "trading/domain/order.py"),
    "resolver": ("trading/domain/venue_order.py",),
    "reconciliation": (
        "trading/domain/reconciliation.py",
        "trading/flows/reconcile.py",
        "trading/flows/our_side.py",
        "trading/flows/venue_look.py",
        "trading/flows/unexplained.py",
    ),
}
LEAST: Final = 0.9
LIMIT_S: Final = 40 * 60
#: Where mutmut works.
WORK: Final = Path("mutants")
REASONS: Final = Path(__file__).with_name("survivors.toml")
REPORT: Final = Path("docs/mutants.md")
_NOTICED: Final = frozenset({"killed", "timeout"})


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed. `change` is what was replaced, and what by; `status` says how it got away."""

    function: str
    change: str
    status: str


@dataclass(frozen=True)
class Module:
    """What became of one file's mutants."""

    part: str
    path: str
    mutants: int
    survivors: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        return self.mutants - len(self.survivors)


def main() -> int:
    """Run, print, write; non-zero where a part misses the score."""
    paths = {Path(path).stem: path for part in PARTS.values() for path in part}
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", choices=sorted(paths), help="one module")
    only = parser.parse_args().only
    _mutate(paths[only] if only else None)
    modules = [
        _module(part, path) for part, files in PARTS.items() for path in files if only in (None, Path(path).stem)
    ]
    reasons = _reasons()
    _show(modules, reasons)
    if only is None:
        REPORT.write_text(_report(modules, reasons))
    return 0 if all(score >= LEAST for _, _, score in _scores(modules)) else 1


def _mutate(only: str | None) -> None:
    """Run mutmut from scratch, so that no old verdict stands; its own progress goes to standard error."""
    shutil.rmtree(WORK, ignore_errors=True)
    patterns = [only.removesuffix(".py").replace("/", ".") + ".*"] if only else []
    command = [Path(sys.executable).with_name("mutmut"), "run", *patterns]
    with subprocess.Popen(command, stdout=sys.stderr, start_new_session=True) as process:
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            sys.exit(f"mutmut: expected an end within {LIMIT_S // 60} minutes; choose faster tests, or ONLY=module")
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        sys.exit(f"mutmut ended with {code}: do the tests that pyproject.toml names for it pass by themselves?")


def _module(part: str, path: str) -> Module:
    verdicts: Mapping[str, int | None] = json.loads((WORK / f"{path}.meta").read_text())["exit_code_by_key"]
    statuses = {name: status_by_exit_code[code] for name, code in verdicts.items()}
    survivors = [
        Survivor(function=_function(name), change=_change(get_diff_for_mutant(name, path=path)), status=status)
        for name, status in statuses.items()
        if status not in _NOTICED
    ]
    return Module(part=part, path=path, mutants=len(verdicts), survivors=tuple(survivors))


def _function(name: str) -> str:
    """`Reconcile._compare` of `trading.flows.reconcile.xǁReconcileǁ_compare__mutmut_7`."""
    function, of_class = orig_function_and_class_names_from_key(name)
    return f"{of_class}.{function}" if of_class else function


def _change(diff: str) -> str:
    """The lines of a diff that went and came, in one line."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    went, came = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{went} → {came}"


def _reasons() -> dict[tuple[str, str], str]:
    """Why a survivor may live, by function and change."""
    classes = tomllib.loads(REASONS.read_text())
    return {(one["function"], one["change"]): row["why"] for row in classes["reason"] for one in row["survivors"]}


def _scores(modules: Sequence[Module]) -> list[tuple[str, str, float]]:
    """Each part's name, its counts and its score."""
    rows = []
    for part in dict.fromkeys(module.part for module in modules):
        mine = [module for module in modules if module.part == part]
        killed, mutants = sum(m.killed for m in mine), sum(m.mutants for m in mine)
        rows.append((part, f"{killed} of {mutants}", killed / mutants))
    return rows


def _show(modules: Sequence[Module], reasons: Mapping[tuple[str, str], str]) -> None:
    console = Console(file=sys.stdout, soft_wrap=True)
    table = Table("part", "module", "mutants", "killed", "score")
    for m in modules:
        table.add_row(m.part, m.path, str(m.mutants), str(m.killed), f"{m.killed / m.mutants:.1%}")
    console.print(table)
    for module in modules:
        for one in module.survivors:
            why = reasons.get((one.function, one.change), "NO REASON YET")
            console.print(f"{one.status}: {module.path} {one.function}: {one.change}  [{why}]", markup=False)
    for part, counts, score in _scores(modules):
        verdict = "" if score >= LEAST else f", expected {LEAST:.0%} or more"
        console.print(f"{part}: {counts} killed, {score:.1%}{verdict}", markup=False)


def _report(modules: Sequence[Module], reasons: Mapping[tuple[str, str], str]) -> str:
    """docs/mutants.md."""
    lines = [tomllib.loads(REASONS.read_text())["preface"].lstrip(), "| part | module | mutants | killed | score |"]
    lines.append("|---|---|---|---|---|")
    lines += [f"| {m.part} | `{m.path}` | {m.mutants} | {m.killed} | {m.killed / m.mutants:.1%} |" for m in modules]
    lines += [f"| **{part}** | | | {counts} | **{score:.1%}** |" for part, counts, score in _scores(modules)]
    lines += ["", "## What survives, and why", ""]
    by_reason: dict[str, list[str]] = {}
    for module in modules:
        for one in module.survivors:
            why = reasons.get((one.function, one.change), "No reason yet.")
            change = one.change.replace("|", "\\|")
            by_reason.setdefault(why, []).append(f"- `{Path(module.path).stem}` `{one.function}`: `{change}`")
    for why, changes in by_reason.items():
        lines += [why, "", *changes, ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
