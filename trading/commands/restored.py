"""`trading db restored`: somebody says that the ledger came from a backup; shown first, then noted and reconciled."""

import sys
from typing import Annotated, Final

import typer

from trading.commands.invocation import Verbose, open_run, person
from trading.commands.listing import show_fields
from trading.errors import ExchangeError
from trading.flows.restored import RestorePreview

_ADOPT: Final = "trading reconcile --full --adopt"
_WHAT_WILL_BE_DONE: Final = """
This begins a new incarnation (every order id from here on is new; what is planned and not sent ends), engages a halt,
and makes every override worthless that was signed before. Then the venue's full history is read. Nothing is sent until
that was found clean and somebody signs an override.
"""


def restored(
    *,
    why: Annotated[str, typer.Option("--why", help="What was restored, and why; it stays in the audit log.")],
    by: Annotated[str | None, typer.Option("--person", help="Who says so; the user if left out.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    verbose: Verbose = False,
) -> None:
    """Say that the ledger was restored from a backup: new ids, a halt, and a look at the venue's full history."""
    if not why.strip():
        raise typer.BadParameter("--why is empty: expected a sentence for whoever reads the audit log")
    with open_run(verbose=verbose) as (manager, run):
        _show(manager.restored.preview(run))
        if not yes and not _confirmed():
            typer.echo("nothing was done", err=True)
            return
        report = manager.restored.run(run, person=by or person(), reason=why)
        typer.echo(f"incarnation {report.incarnation} begins; halt {report.halt_id} stands")
        try:
            found = manager.reconcile.run(run, "reconcile_full", full=True, progress=tell)
        except ExchangeError:
            typer.echo("the restore is noted; the venue is still to be read: `trading reconcile --full`", err=True)
            raise
    show_fields(found.counts, as_json=False)
    if found.clean:
        typer.echo(f"both sides agree: release halt {report.halt_id} with a signed override", err=True)
    else:
        typer.echo(f"both sides do not agree yet: `{_ADOPT}`, a minute later once more, then sign and resume", err=True)


def tell(line: str) -> None:
    """How far a long read has come; not among the results."""
    typer.echo(line, err=True)


def _show(preview: RestorePreview) -> None:
    """What stands now, and what will be done."""
    account = preview.account
    facts = {
        "account": account.account,
        "incarnation": account.incarnation,
        "restored before": account.restored_at or "never",
        "the ledger's newest run": str(preview.inside or "none"),
        "remembered outside of it": str(preview.outside or "nothing"),
        "planned and not sent": preview.unsent,
    }
    show_fields(facts, as_json=False)
    typer.echo(_WHAT_WILL_BE_DONE)


def _confirmed() -> bool:
    """Whether a person at a terminal says yes. Raises BadParameter where there is none to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter("nothing was done: there is no terminal to ask, expected --yes")
    return typer.confirm("Was the ledger restored, and is this to be done?")
