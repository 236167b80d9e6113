"""`trading reconcile --adopt`: what happened outside is shown, and adopted where somebody signs for that."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import typer

from trading.commands.invocation import person
from trading.commands.listing import Column, encoded, show, show_json
from trading.domain.adoption import AdoptionRefused
from trading.domain.ids import Run
from trading.domain.money import ZERO, plain
from trading.domain.reconciliation import ACKNOWLEDGED_KINDS, Discrepancy, DiscrepancyKind
from trading.flows.adopt import Adopt, AdoptPreview


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """Who adopts and why, and the hash of what they were shown; what is missing is asked for on a terminal."""

    shown: str | None = None
    person: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, *, adopt: bool, shown: str | None, person: str | None, reason: str | None) -> "Signature":
        """What the options say. Raises BadParameter where they do not fit together."""
        given = {"--yes": shown, "--person": person, "--reason": reason}
        if not adopt and any(value is not None for value in given.values()):
            raise typer.BadParameter(f"{', '.join(n for n, v in given.items() if v is not None)}: only with --adopt")
        if shown is not None:
            lacking = [name for name, value in given.items() if not (value or "").strip()]
            if lacking:
                raise typer.BadParameter(f"--yes adopts without asking: expected {' and '.join(lacking)} too")
        return cls(shown=shown, person=person, reason=reason)


def adopt_or_show(adopt: Adopt, run: Run, signature: Signature, *, as_json: bool) -> None:
    """Show what would be adopted; adopt it where it was signed for. Raises AdoptionRefused where it cannot be."""
    preview = adopt.preview()
    if signature.shown is not None:
        adopted = adopt.run(
            run, person=signature.person or "", reason=signature.reason or "", expected=signature.shown
        ).adoption
        _show(AdoptPreview(adoption=adopted, house=preview.house, obstacles=()), run, adopted=True, as_json=as_json)
        return
    asks = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    _show(preview, run, adopted=False, as_json=as_json)
    if not preview.adoption.findings:
        return
    if preview.obstacles:
        raise AdoptionRefused(f"nothing can be adopted yet: {'; '.join(preview.obstacles)}")
    shown = preview.adoption.content_hash
    if not asks:
        typer.echo(
            f"nothing was adopted: sign with `trading reconcile --adopt --yes {shown} --person NAME --reason TEXT`",
            err=True,
        )
        return
    by, reason = signature.person or typer.prompt("person", default=person()), signature.reason
    adopt_reason = reason or typer.prompt("reason")
    if not typer.confirm("Take this into the ledger?"):
        typer.echo("nothing was adopted", err=True)
        return
    adopt.run(run, person=by, reason=adopt_reason, expected=shown)
    _say_what_stands()


def _show(preview: AdoptPreview, run: Run, *, adopted: bool, as_json: bool) -> None:
    """The findings with both sides' figures, and the hash that they are signed with."""
    adoption, columns = preview.adoption, _columns(preview.house)
    if as_json:
        findings = [{column.name: encoded(column.value(one)) for column in columns} for one in adoption.findings]
        show_json(
            {
                "run_id": run.run_id,
                "account": adoption.account,
                "hash": adoption.content_hash,
                "findings": findings,
                "obstacles": preview.obstacles,
                "adopted": adopted,
            }
        )
    else:
        show(adoption.findings, columns, as_json=False, none="there is nothing to adopt: both sides agree")
        if adoption.findings:
            typer.echo(f"\nhash  {adoption.content_hash}")
    for currency, difference in adoption.differences.items():
        after = preview.house.get(currency, ZERO) + difference
        if after < 0:
            typer.echo(f"{currency}: the house goes to {plain(after)}, strategies count on what is missing", err=True)
    if adopted:
        _say_what_stands()


def _columns(house: Mapping[str, Decimal]) -> list[Column[Discrepancy]]:
    def becomes(one: Discrepancy) -> str:
        if one.kind is DiscrepancyKind.BALANCE:
            before = house.get(one.key, ZERO)
            return f"house {plain(before)} → {plain(before + one.theirs - one.ours)}"
        return "taken note of" if one.kind in ACKNOWLEDGED_KINDS else "ended: the venue forgot it"

    return [
        Column("kind", lambda one: one.kind),
        Column("key", lambda one: one.key),
        Column("ours", lambda one: one.ours, right=True),
        Column("theirs", lambda one: one.theirs, right=True),
        Column("becomes", becomes),
    ]


def _say_what_stands() -> None:
    typer.echo("adopted; a halt that stands stays until an override ends it: `trading killswitch status`", err=True)
