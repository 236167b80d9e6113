"""What the commands that stop have in common: a reason, a scope that exists, and a look at what it does beforehand."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from trading.domain.halt_effect import ProtectiveOnHalt
from trading.domain.scope import Scope
from trading.errors import ConfigurationError
from trading.flows.halt import ScopeUnknown
from trading.manager import TradingManager

Reason = Annotated[str, typer.Option(help="Why; it stays in the audit log.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where there is no terminal.")]


def require_reason(reason: str) -> None:
    """Refuse a reason that says nothing."""
    if not reason.strip():
        raise typer.BadParameter("--reason is empty: expected a sentence for whoever reads the audit log")


def scope_of(text: str) -> Scope:
    """The scope that an option names; anything else is wrong usage."""
    try:
        return Scope.parse(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def require_known(manager: TradingManager, scope: Scope) -> None:
    """Raise BadParameter for a strategy or instrument that neither the portfolio nor the books name."""
    try:
        manager.halt.require_known(scope, lambda: manager.portfolio)
    except ScopeUnknown as unknown:
        raise typer.BadParameter(str(unknown)) from None


def protective_on_halt(manager: TradingManager) -> ProtectiveOnHalt:
    """What portfolio.toml says of protective orders; they are kept, loudly, where it cannot be read."""
    try:
        return manager.portfolio.protective_on_halt
    except ConfigurationError as error:
        typer.echo(f"protective orders are kept, since the portfolio file cannot be read: {error}", err=True)
        return "keep"


def ask_first(lines: Sequence[str], *, yes: bool, what: str) -> None:
    """Say what will happen; on a terminal ask, elsewhere expect --yes. Ends the command where the answer is no."""
    for line in lines:
        typer.echo(line, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nothing was {what}: expected --yes where there is no terminal to ask on")
    if not typer.confirm("Go on?", err=True):
        typer.echo(f"nothing was {what}", err=True)
        raise typer.Exit(1)
