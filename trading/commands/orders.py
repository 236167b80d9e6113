"""`trading place` and `reconcile [--adopt]`, and what they left in the books: orders, fills, positions, balances."""

from decimal import Decimal
from typing import Annotated, NamedTuple

import typer

from trading.commands.adoption import Signature, adopt_or_show
from trading.commands.invocation import Verbose, examples, open_manager, open_run
from trading.commands.listing import AsJson, Column, Limit, show, show_fields
from trading.commands.restored import tell
from trading.domain.ledger import Fill
from trading.domain.money import quantise
from trading.domain.order import Order
from trading.domain.position import Position

app = typer.Typer()

_PLACES = 8


@app.command(epilog=examples("trading reconcile && trading place && trading reconcile"))
def place(*, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Turn the newest decisions into orders, each sent at most once."""
    with open_run(verbose=verbose) as (manager, run):
        report = manager.place.run(run)
    show_fields({"run_id": run.run_id, **report.counts}, as_json=as_json)
    if not report.outcomes["sent"]:
        typer.echo(f"nothing was sent: `trading why {run.run_id}` says why", err=True)


@app.command(
    epilog=examples(
        "trading reconcile",
        "trading reconcile --json",
        "trading reconcile --full",
        "trading reconcile --adopt",
        'trading reconcile --adopt --yes HASH --person anna --reason "deposit of 3 March, on the bank statement"',
    )
)
def reconcile(
    *,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Then show what happened outside, and take it into the ledger once signed for."),
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything since the account was opened, as after a restore.")
    ] = False,
    yes: Annotated[
        str | None, typer.Option("--yes", metavar="HASH", help="Adopt without asking exactly what had this hash.")
    ] = None,
    by: Annotated[str | None, typer.Option("--person", help="Who signs for the adoption.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is adopted; it stays in the audit log.")] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Bring the venue's answers, fills and balances into the ledger."""
    signature = Signature.of(adopt=adopt, shown=yes, person=by, reason=reason)
    with open_run(verbose=verbose) as (manager, run):
        report = manager.reconcile.run(run, full=full, progress=tell)
        if adopt:
            adopt_or_show(manager.adopt, run, signature, as_json=as_json)
            return
    show_fields({"run_id": run.run_id, **report.counts}, as_json=as_json)


@app.command(epilog=examples("trading orders", "trading orders --open", "trading orders --limit 100 --json"))
def orders(
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that may still change the position.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Orders, newest first."""
    with open_manager() as manager, manager.ledger.transaction() as books:
        account = manager.config.account
        found = books.orders.open(account)[::-1][:limit] if only_open else books.orders.recent(account, limit)
    columns: list[Column[Order]] = [
        Column("client_order_id", lambda order: order.client_order_id, rank=2),
        Column("strategy", lambda order: order.intent.strategy, rank=3),
        Column("instrument", lambda order: order.intent.instrument),
        Column("side", lambda order: order.intent.side),
        Column("type", lambda order: order.intent.order_type, rank=6),
        Column("quantity", lambda order: order.intent.quantity, right=True),
        Column("filled", lambda order: order.filled_quantity, rank=1, right=True),
        Column("limit_price", lambda order: order.intent.limit_price, rank=7, right=True),
        Column("state", lambda order: order.state),
        Column("as_of", lambda order: order.intent.as_of, rank=5),
        Column("changed_at", lambda order: order.changed_at, rank=1),
        Column("venue_order_id", lambda order: order.venue_order_id, rank=8, right=True),
        Column("reason", lambda order: order.reason, rank=4),
    ]
    none = "no order is open" if only_open else "no order has been planned yet: `trading why` says what holds them back"
    show(found, columns, as_json=as_json, none=none)


@app.command(epilog=examples("trading fills", "trading fills --limit 100 --json"))
def fills(*, limit: Limit = 20, as_json: AsJson = False) -> None:
    """The venue's executions, newest first."""
    with open_manager() as manager, manager.ledger.transaction() as books:
        found = books.fills.recent(manager.config.account, limit)
    columns: list[Column[Fill]] = [
        Column("filled_at", lambda fill: fill.filled_at),
        Column("instrument", lambda fill: fill.instrument),
        Column("side", lambda fill: fill.side),
        Column("price", lambda fill: fill.price, right=True),
        Column("quantity", lambda fill: fill.quantity, right=True),
        Column("fee", lambda fill: fill.fee, rank=1, right=True),
        Column("fee_currency", lambda fill: fill.fee_currency, rank=1),
        Column("maker", lambda fill: fill.is_maker, rank=4),
        Column("client_order_id", lambda fill: fill.client_order_id, rank=2),
        Column("venue_fill_id", lambda fill: fill.venue_fill_id, rank=3, right=True),
    ]
    show(found, columns, as_json=as_json, none="no fill has been recorded yet: `trading orders` shows what is open")


class _Valued(NamedTuple):
    """A position with the last close of its instrument, in quote."""

    strategy: str
    instrument: str
    position: Position
    price: Decimal | None

    @property
    def value(self) -> Decimal | None:
        """What it is worth, in quote."""
        return None if self.price is None else quantise(self.position.quantity * self.price, _PLACES)


@app.command(epilog=examples("trading positions", "trading positions --json"))
def positions(*, as_json: AsJson = False) -> None:
    """What each strategy holds, and what it is worth at the last close."""
    with open_manager() as manager:
        standing = manager.report.standing()
    found = [
        _Valued(strategy, instrument, position, standing.prices.get(instrument))
        for (strategy, instrument), position in sorted(standing.positions.items())
    ]
    columns: list[Column[_Valued]] = [
        Column("strategy", lambda row: row.strategy),
        Column("instrument", lambda row: row.instrument),
        Column("quantity", lambda row: row.position.quantity, right=True),
        Column("average_price", lambda row: quantise(row.position.average_price, _PLACES), rank=2, right=True),
        Column("last_close", lambda row: row.price, rank=1, right=True),
        Column("value", lambda row: row.value, right=True),
        Column("realised", lambda row: quantise(row.position.realised, _PLACES), rank=3, right=True),
    ]
    show(found, columns, as_json=as_json, none="nothing is held: no order has been filled yet")


class _Amount(NamedTuple):
    """What a sub-account holds of a currency."""

    sub_account: str
    currency: str
    amount: Decimal


@app.command(epilog=examples("trading balances", "trading balances --json"))
def balances(*, as_json: AsJson = False) -> None:
    """The ledger's balances by sub-account and currency."""
    with open_manager() as manager, manager.ledger.transaction() as books:
        found = [
            _Amount(*key, amount) for key, amount in sorted(books.entries.balances(manager.config.account).items())
        ]
    columns: list[Column[_Amount]] = [
        Column("sub_account", lambda row: row.sub_account),
        Column("currency", lambda row: row.currency),
        Column("amount", lambda row: row.amount, right=True),
    ]
    show(
        found, columns, as_json=as_json, none="the books are empty: the first reconciliation posts what the venue holds"
    )
