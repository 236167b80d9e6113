"""`trading audit`: the audit log verified, followed and exported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveProgress

from trading.adapters.audit_file import header_line, item_line, read_items
from trading.commands.data import instant
from trading.commands.invocation import examples, open_manager
from trading.commands.listing import AsJson, show_fields, show_json, text_of
from trading.domain.audit import AuditReport, Chain, ChainedEvent
from trading.domain.market import from_ms
from trading.errors import ConfigurationError
from trading.flows.audit import Progress, verify_items
from trading.manager import TradingManager
from trading.ports.control import EVERY_ACCOUNT

app = typer.Typer()
audit = typer.Typer(no_args_is_help=True)
app.add_typer(audit, name="audit", help="The audit log: verified, followed and exported.")

#: Breaks that are written out for people; --json has more.
_SHOWN: Final = 20
_POLL_S: Final = 1.0


@audit.command(epilog=examples("trading audit verify", "trading audit verify --file audit-2026-03.jsonl --json"))
def verify(
    *,
    file: Annotated[
        Path | None, typer.Option(help="An export to verify in place of the database, which it does not need.")
    ] = None,
    hashes_only: Annotated[
        bool, typer.Option("--hashes-only", help="Compare with the anchors without asking who wrote them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash, compare with every anchor, and say where it breaks; exit code 1 where it does."""
    with _progress() as progress:
        if file is not None:
            secret = None if hashes_only else TradingManager.from_env(os.environ).secrets.get_audit_secret().reveal()
            report = verify_items(read_items(file), secret)
        else:
            with open_manager() as manager:
                report = manager.audit.verify(signed=not hashes_only, progress=progress)
    _show(report, signed=not hashes_only, as_json=as_json)
    if not report.holds:
        raise typer.Exit(1)


@audit.command(epilog=examples("trading audit tail --follow", "trading audit tail -n 50 --json | jq .facts.reason"))
def tail(
    *,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many of each chain.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """The newest events of the account's chains, oldest first: one a line."""
    with open_manager() as manager:
        account = manager.config.account
        keys = ((Chain.ORDER, account), (Chain.CONTROL, account), (Chain.CONTROL, EVERY_ACCOUNT))
        reader, shown = manager.audit, set[str]()
        events = [event for chain, owner in keys for event in reader.newest(chain, owner, count)]
        reached = {(event.chain, event.account): event.sequence for event in events}
        while True:
            waiting = [event for event in reader.unchained() if event.account in (account, EVERY_ACCOUNT)]
            for event in sorted((*events, *waiting), key=lambda one: str(one.facts["at"])):
                name = f"{event.chain} {event.name}"
                if name not in shown:
                    shown.add(name)
                    typer.echo(item_line(event).decode().rstrip() if as_json else _line(event))
            if not follow:
                return
            sys.stdout.flush()
            manager.clock.sleep(_POLL_S)
            events = [event for key in keys for event in reader.after(*key, reached.get(key, 0))]
            reached |= {(event.chain, event.account): event.sequence for event in events}


@audit.command(epilog=examples("trading audit export audit-2026-03.jsonl --since 2026-03-01 --until 2026-04-01"))
def export(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    *,
    since: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="From here on, UTC; the beginning if left out."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="TIME", help="Up to here, UTC; else now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write events, hashes and anchors as lines of JSON, which `verify --file` checks without the database."""
    with open_manager() as manager, _progress() as progress:
        at = manager.clock.now()
        spans, items = manager.audit.export(since=since or from_ms(0), until=until or at, at=at, progress=progress)
        try:
            with file.open("xb") as out:
                out.write(header_line(spans))
                for item in items:
                    out.write(item_line(item))
        except FileExistsError:
            raise ConfigurationError(f"{file} exists: expected a new name, an export is never overwritten") from None
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from None
    links = sum(span.last - span.first + 1 for span in spans)
    show_fields({"file": file, "chains": len(spans), "events": links}, as_json=as_json)


def _show(report: AuditReport, *, signed: bool, as_json: bool) -> None:
    if as_json:
        breaks = [
            {
                "kind": one.kind,
                "chain": one.chain,
                "account": one.account,
                "sequence": one.sequence,
                "event": one.event,
                "expected": one.expected,
                "found": one.found,
                "anchored_at": one.at,
                "explained": one.explained or None,
            }
            for one in report.breaks
        ]
        heads = [{"chain": h.chain, "account": h.account, "sequence": h.sequence, "hash": h.hash} for h in report.heads]
        fields = {"ok": report.holds, "events": report.events, "anchors": report.anchors, "anchors_signed": signed}
        show_json({**fields, "heads": heads, "broken": report.broken, "breaks": breaks})
        return
    for one in report.breaks[:_SHOWN]:
        typer.echo(str(one), err=True)
    if len(report.breaks) > _SHOWN:
        typer.echo(f"({len(report.breaks) - _SHOWN} more: --json has them)", err=True)
    for head in report.heads:
        typer.echo(f"{head.chain} chain of {head.account}: {head.sequence} links, head {head.hash[:16]}")
    by = "" if signed else ", whose authors were not asked"
    verdict = "holds" if report.holds else f"breaks in {report.broken} places"
    typer.echo(f"the audit log {verdict}: {report.events} events, {report.anchors} anchors{by}")


def _line(event: ChainedEvent) -> str:
    """at, chain, account, link, what, and why."""
    facts = event.facts
    what = facts.get("state") or facts.get("kind")
    told = " ".join(str(facts[name]) for name in ("author", "reason") if facts.get(name))
    link = event.sequence or "(not chained yet)"
    return f"{text_of(facts['at'])}  {event.chain} {event.account} {link}  {event.name}  {what}  {told}".rstrip()


@contextmanager
def _progress() -> Iterator[Progress]:
    """A line a chain on standard error, where a person looks on."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with LiveProgress(*columns, console=console, disable=not console.is_terminal) as live:

        def move(whose: str, done: int, expected: int) -> None:
            if whose not in tasks:
                tasks[whose] = live.add_task(whose, total=expected)
            live.update(tasks[whose], completed=done, total=expected)

        yield move
