"""`trading doctor`: one line a thing that trading rests on, and what to mend where it does not hold."""

import os

import typer

from trading.clock import SystemClock
from trading.commands.checkup import Checkup, Finding, Verdict
from trading.commands.invocation import examples
from trading.commands.listing import AsJson, show_json

app = typer.Typer()

_MARKS = {Verdict.GOOD: "✓", Verdict.BAD: "✗", Verdict.SKIPPED: "·"}


@app.command(epilog=examples("trading doctor", "trading doctor --json"))
def doctor(*, as_json: AsJson = False) -> None:
    """Check everything that trading rests on, and say what to mend."""
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
