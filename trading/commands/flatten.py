"""`trading flatten`: halt, and sell what is held, under a signed reduce_only override."""

from typing import Annotated

import typer

from trading.commands.confirmation import (
    Reason,
    Yes,
    ask_first,
    protective_on_halt,
    require_known,
    require_reason,
    scope_of,
)
from trading.commands.invocation import Verbose, examples, open_run
from trading.commands.listing import AsJson, show_fields
from trading.domain.ids import Run
from trading.domain.kill_switch import HaltLevel
from trading.domain.money import plain
from trading.domain.scope import Scope
from trading.manager import TradingManager

app = typer.Typer()


@app.command(
    epilog=examples(
        'trading flatten --reason "get me out"',
        'trading killswitch sign --halt 7 --action reduce_only --largest-notional 5000 --reason "get me out" > token',
        "trading killswitch resume --token-file token",
        'trading flatten --reason "get me out" --yes',
    )
)
def flatten(
    *,
    reason: Reason,
    scope: Annotated[str, typer.Option(help="all, account:NAME, strategy:NAME or instrument:SYMBOL.")] = "all",
    yes: Yes = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Halt, cancel entries, and sell what is held, under a signed override.

    Halting needs no signature. Positions are sold at the market, within the limits of portfolio.toml.
    """
    require_reason(reason)
    closed = scope_of(scope)
    with open_run(verbose=verbose) as (manager, run):
        require_known(manager, closed)
        effect = manager.halt.preview(closed, HaltLevel.HALT, protective_on_halt=protective_on_halt(manager))
        *before, _ = effect.lines()
        sold = ", ".join(f"{strategy} {plain(held)} {symbol}" for (strategy, symbol), held in effect.positions.items())
        ask_first([*before, f"positions: {len(effect.positions)} ({sold}) sold at the market"], yes=yes, what="closed")
        _halt_first(manager, run, closed, reason)
        manager.enforce_halt.run(run)
        report = manager.flatten.run(run, scope=closed)
    left = [f"{strategy} {symbol}: {why}" for (strategy, symbol), why in report.left.items()]
    show_fields({"run_id": run.run_id, **report.counts} | ({"not_closed": left} if as_json else {}), as_json=as_json)
    for line in left if not as_json else ():
        typer.echo(f"not closed: {line}")


def _halt_first(manager: TradingManager, run: Run, scope: Scope, reason: str) -> None:
    """Engage a halt of this scope, unless one stands that is as wide: nothing may be bought while we sell."""
    account = manager.config.account
    with manager.ledger.transaction() as books:
        halts = [halt for halt in books.control.halts(account) if halt.level is HaltLevel.HALT]
    if not any(halt.scope in ("all", f"account:{account}", str(scope)) for halt in halts):
        engaged = manager.halt.run(run, author=run.actor, reason=reason, scope=scope)
        typer.echo(f"halt {engaged.halt_id} is engaged", err=True)
