"""`trading killswitch`: anybody may halt, only a signed override resumes."""

import os
import re
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

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
from trading.commands.invocation import Verbose, examples, open_manager, open_run, person
from trading.commands.listing import AsJson, Column, Limit, show, show_fields, show_json
from trading.config.secrets import KeyId
from trading.config.settings import TradingConfig
from trading.domain.kill_switch import ControlEvent, HaltLevel, trading_state
from trading.domain.money import amount
from trading.domain.override import MAX_LIFE, MAX_TOKEN, Action
from trading.errors import ConfigurationError
from trading.flows.resume import Outcome
from trading.flows.sign import Wish
from trading.local.instance_environment import instance_settings
from trading.logging.redaction import register_secret
from trading.manager import TradingManager

app = typer.Typer()
killswitch = typer.Typer(
    no_args_is_help=True,
    epilog=examples(
        'trading killswitch engage --reason "the venue answers nonsense"',
        "trading killswitch status",
        'trading killswitch sign --halt 7 --reason "books checked" | trading killswitch resume',
    ),
)
app.add_typer(killswitch, name="killswitch", help="The kill switch: where it stands, halting, and the signed way back.")

_HISTORY: Final = 10
_UNITS: Final = {"s": 1, "m": 60}
_EVENT: Final[list[Column[ControlEvent]]] = [
    Column("at", lambda event: event.at),
    Column("kind", lambda event: event.kind),
    Column("halt_id", lambda event: event.halt_id, right=True),
    Column("author", lambda event: event.author, rank=2),
    Column("reason", lambda event: event.reason, rank=1),
    Column("run_id", lambda event: event.run_id, rank=3),
]


def _life(text: str | timedelta) -> timedelta:
    """A span like 90s or 10m, at most what an override may live."""
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"([0-9]{1,4})([sm])", text)
    span = timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else timedelta()
    if not timedelta() < span <= MAX_LIFE:
        raise typer.BadParameter(f"{text!r}: expected a span like 90s or 10m, at most {MAX_LIFE.seconds // 60}m")
    return span


def _amount(text: str | Decimal) -> Decimal:
    """Money, exactly as it was typed."""
    try:
        return amount(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@killswitch.command(epilog=examples("trading killswitch status", "trading killswitch status --json"))
def status(*, as_json: AsJson = False) -> None:
    """Whether orders may be sent now, the halts that stand, and the newest control events."""
    with open_manager() as manager, manager.ledger.transaction() as books:
        account = manager.config.account
        halts, lease = books.control.halts(account), books.control.lease_expires_at(account)
        state = trading_state(halts, lease_expires_at=lease, at=books.now(), account=account)
        latch, history = books.control.latch(), books.control.history(account, _HISTORY)
    fields = {"account": account, "state": state, "lease_expires_at": lease, "pause_latch": latch}
    if as_json:
        standing = [
            {
                "halt_id": h.halt_id,
                "level": h.level,
                "scope": h.scope,
                "author": h.author,
                "reason": h.reason,
                "engaged_at": h.engaged_at,
                "effective_at": h.effective_at,
                "verified_at": h.verified_at,
            }
            for h in halts
        ]
        events = [{column.name: column.value(event) for column in _EVENT} for event in history]
        show_json({**fields, "halts": standing, "history": events})
        return
    show_fields(fields, as_json=False)
    for halt in halts:
        what = f"halt {halt.halt_id} ({halt.level}, {halt.scope}, {halt.effect})"
        typer.echo(f"{what} stands, by {halt.author}: {halt.reason}")
    typer.echo("")
    show(history, _EVENT, as_json=False, none="no control event yet")


@killswitch.command(
    epilog=examples(
        'trading killswitch engage --reason "the venue answers nonsense"',
        'trading killswitch engage --level pause-entries --scope strategy:sma_crossover --reason "results look odd"',
    )
)
def engage(
    *,
    reason: Reason,
    scope: Annotated[str, typer.Option(help="all, account:NAME, strategy:NAME or instrument:SYMBOL.")] = "all",
    level: Annotated[
        HaltLevel,
        typer.Option(help="pause-entries: exposure may fall, not rise; halt: nothing but protection is sent."),
    ] = HaltLevel.HALT,
    yes: Yes = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Stop: say what becomes of orders and positions, ask, and forbid orders from there on. Needs no signature."""
    require_reason(reason)
    stopped = scope_of(scope)
    with open_run(verbose=verbose) as (manager, run):
        require_known(manager, stopped)
        effect = manager.halt.preview(stopped, level, protective_on_halt=protective_on_halt(manager))
        ask_first(effect.lines(), yes=yes, what="engaged")
        report = manager.halt.run(run, author=run.actor, reason=reason, scope=stopped, level=level)
    fields = {"run_id": run.run_id, "halt_id": report.halt_id, "level": level, "scope": str(stopped)}
    show_fields(fields, as_json=as_json)
    typer.echo("the DAG halt_trading cancels now; without a running instance: `trading killswitch enforce`", err=True)


@killswitch.command(epilog=examples("trading killswitch enforce"))
def enforce(*, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Cancel what the halts that stand forbid, and see it gone: what the DAG halt_trading does, without Airflow."""
    with open_run(verbose=verbose) as (manager, run):
        enforced = manager.enforce_halt.run(run)
        typer.echo(f"{enforced.halts} halts are effective; the venue is looked at once more past its horizon", err=True)
        swept = manager.enforce_halt.sweep(run)
    fields = {"run_id": run.run_id, **enforced.counts, "swept": swept.cancelled}
    show_fields(fields, as_json=as_json)


@killswitch.command(epilog=examples("trading killswitch history", "trading killswitch history -n 50 --json"))
def history(*, limit: Limit = _HISTORY, as_json: AsJson = False) -> None:
    """Every halt, release, refusal and grant with who and why, newest first; refusals with their cause."""
    with open_manager() as manager, manager.ledger.transaction() as books:
        events = books.control.history(manager.config.account, limit)
    columns: list[Column[ControlEvent]] = [
        *_EVENT,
        Column("scope", lambda event: event.scope, rank=4),
        Column("detail", lambda event: event.detail, rank=5),
    ]
    show(events, columns, as_json=as_json, none="no control event yet")


@killswitch.command(
    epilog=examples(
        'trading killswitch sign --halt 7 --reason "books checked" --ttl 10m > token',
        'trading killswitch sign --halt 7 --action reduce_only --largest-notional 5000 --reason "get me out"',
    )
)
def sign(
    *,
    halt: Annotated[int, typer.Option(min=1, help="The halt's number: `trading killswitch status` shows it.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log.")],
    action: Annotated[Action, typer.Option(help="End the halt, or close positions while it stands.")] = Action.RESUME,
    scope: Annotated[
        str, typer.Option(help="The halt's own: all, account:NAME, strategy:NAME or instrument:SYMBOL.")
    ] = "all",
    largest_notional: Annotated[
        Decimal | None,
        typer.Option(parser=_amount, metavar="AMOUNT", help="Of reduce_only: one order's most, in quote currency."),
    ] = None,
    ttl: Annotated[
        timedelta,
        typer.Option(
            parser=_life, metavar="SPAN", show_default="10m", help="How long it can be used: 90s, 10m; 15m at most."
        ),
    ] = timedelta(minutes=10),
    by: Annotated[str | None, typer.Option("--person", help="Who signs; the user if left out.")] = None,
    key: Annotated[KeyId, typer.Option(help="The key; of two people each has one.")] = "kill_switch_secret",
) -> None:
    """Print a token about exactly this halt, signed with a key of this machine, for the mode that it is set to.

    Needs no database and no Airflow: sign where the key is, and bring the token to `trading killswitch resume`.
    """
    require_reason(reason)
    if (action is Action.REDUCE_ONLY) != (largest_notional is not None):
        raise typer.BadParameter("--largest-notional is expected with --action reduce_only, and with nothing else")
    environ = {**os.environ, **instance_settings(TradingConfig.from_env(os.environ), os.environ)}
    wish = Wish(
        halt_id=halt,
        person=by or person(),
        reason=reason,
        action=action,
        scope=scope,
        largest_notional=largest_notional,
        life=ttl,
    )
    typer.echo(TradingManager.from_env(environ).sign(key).run(wish))


@killswitch.command(
    epilog=examples(
        "trading killswitch resume --token-file token",
        'trading killswitch sign --halt 7 --reason "books checked" | trading killswitch resume',
    )
)
def resume(
    *,
    token_file: Annotated[
        Path | None, typer.Option(help="The file that holds the token; standard input if left out.")
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Do what a signed token says: end the halt that it names where the books agree, or grant leave to reduce."""
    token = _token(token_file)
    register_secret(token)
    with open_run(verbose=verbose) as (manager, run):
        report = manager.resume.run(run, token)
    fields = {"run_id": run.run_id, "outcome": report.outcome, "halt_id": report.halt_id}
    lives = {"expires_at": report.expires_at} if as_json or report.expires_at else {}  # a release has no end
    show_fields({**fields, **lives, "halts_left": report.halts_left}, as_json=as_json)
    if report.outcome is Outcome.SIGNED:
        typer.echo(
            "nothing is released yet: a second person must sign the same with the other key, before then", err=True
        )


def _token(path: Path | None) -> str:
    """The token from a file, a pipe, or a person at a terminal."""
    if path is not None:
        try:
            with path.open(encoding="utf-8") as file:
                token = file.read(MAX_TOKEN + 1).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--token-file {path} cannot be read: {error}") from None
    elif sys.stdin.isatty():
        token = str(typer.prompt("Token", hide_input=True, err=True)).strip()
    else:
        token = sys.stdin.read(MAX_TOKEN + 1).strip()
    if not token:
        where = f"--token-file {path}" if path else "standard input"
        raise ConfigurationError(f"{where} holds no token: `trading killswitch sign` prints one")
    return token
