"""`trading doctor`: one line a thing that trading rests on, and what to mend where it does not hold.

With `--venue` it tests the venue instead: an order that rests far below the market, on a sandbox or the paper exchange.
"""

import os
from typing import Annotated

import typer

from trading.clock import SystemClock
from trading.commands.checkup import Checkup, Finding, Verdict
from trading.commands.invocation import Verbose, examples, open_run
from trading.commands.listing import AsJson, show_json
from trading.domain.conformance import ConformanceStep, StepVerdict

app = typer.Typer()

_MARKS = {
    Verdict.GOOD: "✓",
    Verdict.BAD: "✗",
    Verdict.SKIPPED: "·",
    StepVerdict.PASSED: "✓",
    StepVerdict.FAILED: "✗",
    StepVerdict.SKIPPED: "·",
}


@app.command(
    epilog=examples("trading doctor", "trading doctor --json", "TRADING_MODE=sandbox trading doctor --venue binance")
)
def doctor(
    *,
    venue: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Test this venue with one resting order, on its sandbox or the paper exchange alone."
        ),
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Check everything that trading rests on, and say what to mend."""
    if venue is not None:
        _test_venue(venue, as_json=as_json, verbose=verbose)
        return
    findings: list[Finding] = []
    for finding in Checkup(os.environ, SystemClock()).findings():
        findings.append(finding)
        if not as_json:
            typer.echo(f"{_MARKS[finding.verdict]} {finding.name}: {finding.sentence}")
    failed = sum(1 for finding in findings if finding.verdict is Verdict.BAD)
    if as_json:
        checks = [{"name": f.name, "verdict": f.verdict, "sentence": f.sentence} for f in findings]
        show_json({"ok": not failed, "checks": checks})
    if failed:
        typer.echo(f"{failed} of {len(findings)} checks failed", err=True)
        raise typer.Exit(1)


def _test_venue(venue: str, *, as_json: bool, verbose: bool) -> None:
    """Each step when it is done; exit code 1 where one failed."""

    def show(step: ConformanceStep) -> None:
        if not as_json:
            typer.echo(f"{_MARKS[step.verdict]} {step.name}: {step.seen}")

    with open_run(verbose=verbose) as (manager, run):
        found = manager.certify(venue).run(run, show)
    if as_json:
        steps = [{"name": s.name, "verdict": s.verdict, "seen": s.seen} for s in found.steps]
        facts = {"venue": venue, "target": found.target, "address": found.address, "at": found.at}
        versions = {"ccxt_version": found.ccxt_version, "code_version": found.code_version}
        show_json({"ok": found.passed, "run_id": run.run_id, **facts, **versions, "steps": steps})
    if not found.passed:
        typer.echo(f"{venue} failed at {found.address}: {', '.join(found.failed)}", err=True)
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"{venue} passed at {found.address} ({found.target}) with ccxt {found.ccxt_version}")
