"""The command line: `trading`, or `python -m trading`.

Exit codes (of an error: its class's `exit_code` in trading.errors):

    0    done
    1    it failed, in a way that has no code of its own; or a check of `doctor` or `secrets check` did
    2    wrong usage: no such command, option or value
    65   market data that cannot be trusted
    69   the exchange, or the way to it
    70   what must never happen did, or a defect of this program
    75   halted: the kill switch, the lease or an unreadable flag forbids sending
    77   refused: one of our own limits, an override or an adoption
    78   a setting, a secret, a file or the database is missing or wrong
    130  interrupted by Ctrl-C
    141  whoever read the output went away
"""

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer
import typer.main

from trading.commands.deferred import DeferredCommand
from trading.errors import InvariantViolation, TradingError

if TYPE_CHECKING:
    from trading.local.pipeline import Pipeline

_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141
_UNHEARD: Final = logging.NullHandler()

_INSTANCE: Final = "The instance on this machine"
_FLOWS: Final = "The flows, once, without Airflow"
_BOOKS: Final = "The books"
_RESEARCH: Final = "Research"
_CONTROL: Final = "Control"
_SETTINGS: Final = "Settings and tools"

#: Every command: name, module, panel of the help, and what the list says of it.
COMMANDS: Final = (
    ("up", "run", _INSTANCE, "Start everything on this machine, and trade until Ctrl-C."),
    ("prepare", "prepare", _INSTANCE, "Before a deployment's start: schema, version, account."),
    ("down", "run", _INSTANCE, "Stop the instance that runs, from another terminal; or end what a killed one left."),
    ("status", "run", _INSTANCE, "What runs, where the web UI is, and its login (on a terminal only)."),
    ("doctor", "doctor", _INSTANCE, "Check everything that trading rests on, and say what to mend."),
    ("why", "explain", _INSTANCE, "Why a run did or did not trade: signal, gates, size, order."),
    ("ingest", "data", _FLOWS, "Bring the stored candles up to the venue's clock."),
    ("evaluate", "data", _FLOWS, "Turn stored candles into decisions."),
    ("place", "orders", _FLOWS, "Turn the newest decisions into orders, each sent at most once."),
    ("reconcile", "orders", _FLOWS, "Bring the venue's answers, fills and balances into the ledger."),
    ("orders", "orders", _BOOKS, "Orders, newest first."),
    ("fills", "orders", _BOOKS, "The venue's executions, newest first."),
    ("positions", "orders", _BOOKS, "What each strategy holds, and what it is worth at the last close."),
    ("balances", "orders", _BOOKS, "The ledger's balances by sub-account and currency."),
    ("runs", "data", _BOOKS, "Runs of the flows, newest first."),
    ("data", "market_data", _BOOKS, "Market data: what is stored, whether it holds together, files in and out."),
    ("strategies", "strategies", _RESEARCH, "The strategies: listing, beginning a new one, checking for look-ahead."),
    (
        "backtest",
        "backtest",
        _RESEARCH,
        "Decide at each close of the past, fill at the next open: figures, sweeps and a report.",
    ),
    (
        "parity",
        "parity",
        _RESEARCH,
        "Each order against what the backtest says of it, with the cause of each difference.",
    ),
    ("replay", "replay", _RESEARCH, "Decide again what was decided, store it apart, and tell where it differs."),
    ("killswitch", "control", _CONTROL, "The kill switch: where it stands, halting, and the signed way back."),
    ("risk", "risk", _CONTROL, "The limits: how near they are, what they would deny, applying others."),
    ("flatten", "flatten", _CONTROL, "Halt, cancel entries, and sell what is held, under a signed override."),
    ("audit", "audit", _CONTROL, "The audit log: verified, followed and exported."),
    ("alerts", "alerts", _CONTROL, "Alerts: what was told to whom, a test of each channel, and the watcher."),
    ("config", "settings", _SETTINGS, "The settings as they are resolved."),
    ("secrets", "secrets", _SETTINGS, "The secrets: creating and checking them; their content is never shown."),
    ("db", "db", _SETTINGS, "The ledger's schema, its backups, and word of its restores."),
    ("exchange", "exchange", _SETTINGS, "The paper exchange: a venue on this machine that replays real candles."),
    ("airflow", "airflow", _SETTINGS, "Any command of Airflow, with this instance's environment."),
)

_HELP: Final = """An Airflow-native crypto trading pipeline.

`make run` starts it; `trading status` says where it is, `trading why` why it did or did not trade."""

_EPILOG: Final = "\n\n".join(
    [
        "Exit codes: 0 done · 1 failed · 2 wrong usage · 65 market data · 69 exchange · 70 broken invariant ·"
        " 75 halted · 77 refused · 78 configuration · 130 interrupted · 141 the reader of the output went away",
        "Examples: trading status · trading why · trading orders --open --json · trading airflow -- dags list",
    ]
)

app: Final = typer.Typer(help=_HELP, epilog=_EPILOG, no_args_is_help=True, add_completion=False)


@dataclass
class _Options:
    """What stands before the command."""

    debug: bool = False


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - costs more than all else that a start imports

        typer.echo(f"trading {version('airflow-crypto-trading')}")
        raise typer.Exit


@app.callback()
def _before(
    context: typer.Context,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if isinstance(context.obj, _Options):
        context.obj.debug = debug


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: an error is one sentence on standard error."""
    options = _Options()
    # Without any handler, logging would print the warnings of libraries among the lines for people.
    logging.getLogger().addHandler(_UNHEARD)
    try:
        command().main(args=arguments, prog_name="trading", obj=options)
    except SystemExit as stop:
        return _finished(stop)
    except BrokenPipeError:
        return _reader_gone()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except TradingError as error:
        _complain(options, str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last net: no traceback reaches a person unasked
        _complain(options, f"unexpected {type(error).__name__}: {error}; `trading --debug …` shows where it happened")
        return InvariantViolation.exit_code
    return 0


def command() -> Any:
    """The command with all its sub-commands, none of which is imported yet."""
    group = cast("typer.core.TyperGroup", typer.main.get_command(app))
    for name, module, panel, summary in COMMANDS:
        group.add_command(DeferredCommand(name, summary, panel=panel, load=partial(_load, module)))
    return group


def _load(module: str) -> typer.Typer:
    loaded = importlib.import_module(f"trading.commands.{module}")
    if module != "run":
        return cast("typer.Typer", loaded.app)
    instance = typer.Typer()
    loaded.register(instance, _pipeline)
    return instance


def _pipeline(environ: Mapping[str, str]) -> "Pipeline":
    from trading.local.account_pipeline import AccountPipeline  # noqa: PLC0415 - heavy, and only `up` needs it

    return AccountPipeline.from_environ(environ)


def _finished(stop: SystemExit) -> int:
    """The exit code, once what was written has reached its reader."""
    if isinstance(stop.__context__, BrokenPipeError):
        return _reader_gone()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone()
    return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def _reader_gone() -> int:
    """Keep the interpreter from complaining, at its end, of what it could not write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE


def _complain(options: _Options, sentence: str) -> None:
    if options.debug:
        traceback.print_exc()
    typer.echo(f"error: {sentence}", err=True)
