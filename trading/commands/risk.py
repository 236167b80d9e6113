"""`trading risk`: the limits, how near they are, what they would deny, and a person's way to change them."""

import sys
from decimal import Decimal
from typing import Annotated

import typer

from trading.commands.invocation import Verbose, examples, open_manager, open_run, person
from trading.commands.listing import AsJson, Column, encoded, show, show_fields, show_json
from trading.domain.limit_use import LimitUse
from trading.domain.limits import LimitChange
from trading.domain.money import amount
from trading.domain.order import OrderIntent, Side
from trading.domain.risk import CheckedOrder
from trading.flows.risk_view import Wish

app = typer.Typer()
risk = typer.Typer(no_args_is_help=True, epilog=examples("trading risk show", "trading risk test"))
app.add_typer(risk, name="risk", help="The limits: how near they are, what they would deny, applying others.")

Person = Annotated[str | None, typer.Option("--person", help="Who signs for it; the user if left out.")]


@risk.callback()
def _group() -> None:
    """The limits: how near they are, what they would deny, applying others."""


@risk.command("show", epilog=examples("trading risk show", "trading risk show --json"))
def show_risk(*, as_json: AsJson = False) -> None:
    """Each limit, whose it is, what is used of it now, and who put it in force."""
    with open_manager() as manager:
        view = manager.risk.show()
    columns: list[Column[LimitUse]] = [
        Column("limit", lambda use: use.name),
        Column("scope", lambda use: use.scope),
        Column("used", lambda use: use.used, right=True),
        Column("allowed", lambda use: use.limit, right=True),
        Column("share", lambda use: use.share, right=True, rank=1),
    ]
    fields = {
        "limits_hash": view.limits_hash,
        "applied_by": view.applied_by,
        "applied_at": view.applied_at,
        "not_in_force": view.problem,
        "disabled_strategies": view.disabled,
        "version": view.versions.code,
        "version_mismatch": view.versions.mismatch,
    }
    if as_json:
        rows = [{column.name: encoded(column.value(use)) for column in columns} for use in view.uses]
        show_json({**fields, "limits": rows})
        return
    show(view.uses, columns, as_json=False, none="no limit")
    typer.echo("")
    show_fields({name: value for name, value in fields.items() if value}, as_json=False)


@risk.command(
    "test",
    epilog=examples(
        "trading risk test",
        "trading risk test --strategy sma_crossover --instrument BTC/USDT --side buy --quantity 0.5",
    ),
)
def try_orders(
    *,
    strategy: Annotated[
        str | None, typer.Option(help="Of an order that you think of; the planned ones if left out.")
    ] = None,
    instrument: Annotated[str | None, typer.Option(help="Like BTC/USDT.")] = None,
    side: Annotated[Side | None, typer.Option(help="Which way.")] = None,
    quantity: Annotated[str | None, typer.Option(help="In base currency.")] = None,
    limit_price: Annotated[str | None, typer.Option(help="In quote; a market order without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """What would be denied or deferred now, and why. Sends nothing and records nothing."""
    wishes = []
    if strategy and instrument and side and quantity:
        price = None if limit_price is None else _amount("--limit-price", limit_price)
        size = _amount("--quantity", quantity)
        wishes = [Wish(strategy=strategy, instrument=instrument, side=side, quantity=size, limit_price=price)]
    elif any((strategy, instrument, side, quantity, limit_price)):
        raise typer.BadParameter("an order is --strategy, --instrument, --side and --quantity: expected all, or none")
    with open_manager() as manager:
        tried = manager.risk.test(wishes)
    columns: list[Column[tuple[OrderIntent, CheckedOrder]]] = [
        Column("client_order_id", lambda one: one[0].client_order_id, rank=2),
        Column("strategy", lambda one: one[0].strategy, rank=1),
        Column("instrument", lambda one: one[0].instrument),
        Column("side", lambda one: one[0].side),
        Column("quantity", lambda one: one[0].quantity, right=True),
        Column("verdict", lambda one: one[1].verdict),
        Column("codes", lambda one: one[1].codes),
        Column("figures", lambda one: one[1].figures, rank=1),
    ]
    show(tried, columns, as_json=as_json, none="no order is planned and unsent")


@risk.command(
    "apply",
    epilog=examples("trading risk apply", 'trading risk apply --yes HASH --person anna --reason "more room for BTC"'),
)
def apply_limits(
    *,
    shown: Annotated[str | None, typer.Option("--yes", help="The hash of the file that was shown.")] = None,
    by: Person = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stays in the audit log.")] = None,
    verbose: Verbose = False,
) -> None:
    """Show in what the portfolio file's limits differ from those in force, and put them in force where you sign."""
    if shown is not None and not (reason or "").strip():
        raise typer.BadParameter("--yes applies without asking: expected --reason too")
    with open_run(verbose=verbose) as (manager, run):
        preview = manager.risk.apply.preview()
        columns: list[Column[LimitChange]] = [
            Column("scope", lambda change: change.scope),
            Column("limit", lambda change: change.name),
            Column("in force", lambda change: change.before, right=True),
            Column("file", lambda change: change.after, right=True),
        ]
        show(preview.changes, columns, as_json=False, none="nothing differs: the file's limits are in force")
        if not preview.changes:
            return
        typer.echo(f"\nhash  {preview.file_hash}")
        if shown is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
            typer.echo(
                f"nothing was applied: sign with `trading risk apply --yes {preview.file_hash} --reason TEXT`", err=True
            )
            return
        if shown is None:
            reason = reason or typer.prompt("reason")
            if not typer.confirm("Put these limits in force?"):
                typer.echo("nothing was applied", err=True)
                return
        expected = shown or preview.file_hash
        report = manager.risk.apply.run(run, person=by or person(), reason=reason or "", expected=expected)
    typer.echo(f"{len(report.changes)} limits changed; orders planned under the old ones are planned again", err=True)


@risk.command(epilog=examples('trading risk enable sma_crossover --reason "the feed stuttered; mended"'))
def enable(
    strategy: Annotated[str, typer.Argument(help="The strategy that a breaker disabled: `trading risk show`.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log.")],
    by: Person = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Let a strategy trade again that repeated itself too often."""
    if not reason.strip():
        raise typer.BadParameter("--reason is empty: expected a sentence for whoever reads the audit log")
    with open_run(verbose=verbose) as (manager, run):
        report = manager.risk.enable.run(run, strategy, person=by or person(), reason=reason)
    show_fields({"run_id": run.run_id, "enabled": report.strategy, "was_disabled_by": report.was}, as_json=as_json)


def _amount(option: str, text: str) -> Decimal:
    """An exact amount above zero."""
    try:
        value = amount(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
    if value <= 0:
        raise typer.BadParameter(f"{option} is {text}: expected more than 0")
    return value
