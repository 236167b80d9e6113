"""Dual control: two people, each with a key of their own, and both signatures alive at the same moment."""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.money import plain
from trading.domain.override import Action, Override, OverrideRefused
from trading.errors import InvariantViolation


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A valid first signature that waits for a second. `key_print` tells one key's content from another's."""

    token_id: str
    halt_id: int
    action: Action
    scope: str
    largest_notional: Decimal | None
    person: str
    key_id: str
    key_print: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Leave to close positions while a halt stands. `largest_notional`: of one order, in quote currency."""

    halt_id: int
    scope: str
    largest_notional: Decimal
    person: str
    expires_at: datetime


def signature_of(override: Override, keys: Mapping[str, str]) -> Signature:
    """What is kept of a first signature."""
    return Signature(
        token_id=override.token_id,
        halt_id=override.halt_id,
        action=override.action,
        scope=override.scope,
        largest_notional=override.largest_notional,
        person=override.subject,
        key_id=override.key_id,
        key_print=key_print(keys[override.key_id]),
        expires_at=override.expires_at,
    )


def completed_by(
    override: Override, waiting: Sequence[Signature], keys: Mapping[str, str], *, at: datetime
) -> Signature | None:
    """The first signature that this override completes; None where it is the first itself.

    A signature lapses with its token, and when its key is retired. Raises OverrideRefused for one person twice, for
    one key under whatever names, and where both did not sign the same.
    """
    own = signature_of(override, keys)
    for first in waiting:
        retired = first.key_print != key_print(keys.get(first.key_id, ""))
        if first.action != own.action or first.expires_at <= at or retired:
            continue
        if _name(first.person) == _name(own.person):
            raise OverrideRefused(f"dual control: {own.person} has signed already, a second person must")
        if first.key_id == own.key_id or first.key_print == own.key_print:
            raise OverrideRefused(f"dual control: the key {first.key_id} has signed already, another one must")
        if (first.scope, first.largest_notional) != (own.scope, own.largest_notional):
            raise OverrideRefused(
                f"dual control: {first.person} signed for {first.scope} up to {first.largest_notional}, expected the"
                f" same, got {own.scope} up to {own.largest_notional}"
            )
        return first
    return None


def grant_of(override: Override, first: Signature | None) -> Grant:
    """The leave that a reduce_only override gives; it ends with the first of its tokens."""
    if override.largest_notional is None:
        raise InvariantViolation("expected a largest notional of a reduce_only override, got none")
    return Grant(
        halt_id=override.halt_id,
        scope=override.scope,
        largest_notional=override.largest_notional,
        person=override.subject,
        expires_at=min(override.expires_at, first.expires_at) if first else override.expires_at,
    )


def accepted(kind: ControlKind, override: Override, first: Signature | None, *, at: datetime, run: Run) -> ControlEvent:
    """The audit row of a release or a grant, with both signatures where there were two."""
    detail = {"jti": override.token_id, "kid": override.key_id}
    if first is not None:
        detail |= {"first_jti": first.token_id, "first_kid": first.key_id, "first_person": first.person}
    if kind is ControlKind.REDUCE_ONLY_GRANTED:
        grant = grant_of(override, first)
        detail |= {"largest_notional": plain(grant.largest_notional), "expires_at": grant.expires_at.isoformat()}
    return ControlEvent(
        kind=kind,
        author=override.subject,
        reason=override.reason,
        at=at,
        run_id=run.run_id,
        dag_id=run.dag_id,
        scope=override.scope,
        halt_id=override.halt_id,
        detail=detail,
    )


def half(signature: Signature, reason: str, *, at: datetime, run: Run) -> ControlEvent:
    """The audit row of a first signature."""
    notional = signature.largest_notional
    return ControlEvent(
        kind=ControlKind.OVERRIDE_SIGNED,
        author=signature.person,
        reason=reason,
        at=at,
        run_id=run.run_id,
        dag_id=run.dag_id,
        scope=signature.scope,
        halt_id=signature.halt_id,
        detail={
            "jti": signature.token_id,
            "kid": signature.key_id,
            "key_print": signature.key_print,
            "action": str(signature.action),
            "expires_at": signature.expires_at.isoformat(),
        }
        | ({} if notional is None else {"largest_notional": plain(notional)}),
    )


def key_print(key: str) -> str:
    """Enough of a hash to tell keys apart; of 256 random bits it tells nothing."""
    return hashlib.sha256(b"trading-override-key\0" + key.encode()).hexdigest()[:16]


def _name(person: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", person).casefold().split())
