"""The audit chains: what a link says, what was remembered of it outside the database, and where the two part."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson

from trading.domain.ids import chain_hash

#: Part of what is authenticated, so that no other use of the key can be mistaken for an anchor.
_PURPOSE: Final = b"trading:audit-anchor:1\n"
#: Breaks that are kept; all are counted.
MOST_BREAKS: Final = 1_000
#: Whose anchors a restore explains: it lost what was written after the backup.
_RESTORED: Final = "restored"


class Chain(StrEnum):
    """The two audit logs; each account has one chain in each."""

    ORDER = "order"
    CONTROL = "control"


ChainKey = tuple[Chain, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainedEvent:
    """One link, as it is stored. `facts` are what its hash covers, with the hash before it."""

    chain: Chain
    account: str
    sequence: int
    previous: str
    hash: str
    facts: Mapping[str, object]

    @property
    def name(self) -> str:
        """What the event's own log calls it."""
        if self.chain is Chain.ORDER:
            return f"{self.facts.get('client_order_id')}/{self.facts.get('sequence')}"
        return str(self.facts.get("event_id"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainHead:
    """The newest link of a chain; sequence 0 without a hash, where it has none."""

    chain: Chain
    account: str
    sequence: int
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A head that was seen committed, kept outside the database, and authenticated: HMAC-SHA256 in hex."""

    head: ChainHead
    at: datetime
    mac: str

    def is_genuine(self, secret: str) -> bool:
        """Whether whoever wrote it had this secret."""
        return hmac.compare_digest(self.mac, _mac(self.head, self.at, secret))


def sign_anchor(head: ChainHead, at: datetime, secret: str) -> Anchor:
    """What is to be kept of a head."""
    return Anchor(head=head, at=at, mac=_mac(head, at, secret))


def _mac(head: ChainHead, at: datetime, secret: str) -> str:
    said = orjson.dumps([head.chain.value, head.account, head.sequence, head.hash, at.astimezone(UTC).isoformat()])
    return hmac.new(secret.encode(), _PURPOSE + said, hashlib.sha256).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSpan:
    """The part of a chain that an export holds, from its first link to its last."""

    chain: Chain
    account: str
    first: int
    last: int


class BreakKind(StrEnum):
    """In which way a chain does not hold."""

    ALTERED = "altered"  # the event's facts do not give its hash
    OUT_OF_PLACE = "out_of_place"  # it does not follow the event before it: one is missing, or was put in between
    REPLACED = "replaced"  # another hash was seen at this place before
    CUT = "cut"  # a later event was seen before: the end is missing
    HEAD_DIFFERS = "head_differs"  # the account's own row knows another newest event
    ANCHOR_ALTERED = "anchor_altered"  # an anchor was not written with this secret
    UNREADABLE_ANCHOR = "unreadable_anchor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Break:
    """Where a chain breaks. `explained` says which restore the log itself tells of; without it nothing excuses it."""

    kind: BreakKind
    chain: Chain | None
    account: str
    sequence: int
    event: str
    expected: str
    found: str
    at: datetime | None = None  # of the anchor that disagrees
    explained: str = ""

    def __str__(self) -> str:
        where = f"{self.chain} chain of {self.account}, link {self.sequence}" if self.chain else "anchors"
        event = f", event {self.event}" if self.event else ""
        told = f"{self.kind}: {where}{event}: expected {self.expected}, found {self.found}"
        return f"{told}; explained: {self.explained}" if self.explained else told


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """What was verified, and every place where it breaks, at most MOST_BREAKS of them."""

    events: int
    anchors: int
    heads: tuple[ChainHead, ...]
    breaks: tuple[Break, ...]
    broken: int  # all that nothing explains, the ones that were not kept among them

    @property
    def holds(self) -> bool:
        """Whether nothing breaks that a restore does not explain."""
        return self.broken == 0


@dataclass(slots=True)
class _Walk:
    """One chain, as far as it was walked."""

    head: ChainHead
    anchors: dict[int, list[Anchor]]
    first: int = 0  # the link that it began with; 0 before it began


@dataclass(frozen=True, kw_only=True, slots=True)
class _Restore:
    account: str
    at: datetime
    author: str


@dataclass(slots=True)
class Verification:
    """Walks any number of chains at once, each in its order, and compares them with the anchors.

    `secret` None: the anchors' hashes are compared, and who wrote them is not asked. `partial`: each chain may begin
    at any link, as in an export; what was anchored before that is left alone.
    """

    anchors: Sequence[Anchor]
    secret: str | None
    partial: bool = False
    events: int = 0
    _walks: dict[ChainKey, _Walk] = field(default_factory=dict)
    _restores: list[_Restore] = field(default_factory=list)
    _breaks: list[Break] = field(default_factory=list)
    _lost: int = 0

    def __post_init__(self) -> None:
        for anchor in self.anchors:
            head = anchor.head
            if self.secret is not None and not anchor.is_genuine(self.secret):
                self._add(BreakKind.ANCHOR_ALTERED, head, "", "an HMAC of audit_secret", anchor.mac, at=anchor.at)
                continue
            self._walk((head.chain, head.account)).anchors.setdefault(head.sequence, []).append(anchor)

    def see(self, event: ChainedEvent) -> None:
        """The next event of its chain."""
        self.events += 1
        walk = self._walk((event.chain, event.account))
        head = ChainHead(chain=event.chain, account=event.account, sequence=event.sequence, hash=event.hash)
        if walk.first or not self.partial:
            before = walk.head
            if event.sequence != before.sequence + 1:
                self._add(BreakKind.OUT_OF_PLACE, head, event.name, f"link {before.sequence + 1}", str(event.sequence))
            elif event.previous != before.hash:
                self._add(BreakKind.OUT_OF_PLACE, head, event.name, f"previous {before.hash}", event.previous)
        elif walk.anchors:
            walk.anchors = {place: known for place, known in walk.anchors.items() if place >= event.sequence}
        walk.first = walk.first or event.sequence
        computed = chain_hash(event.previous, event.facts)
        if computed != event.hash:
            self._add(BreakKind.ALTERED, head, event.name, event.hash, computed)
        if walk.anchors:
            for anchor in walk.anchors.pop(event.sequence, ()):
                if anchor.head.hash != event.hash:
                    self._add(BreakKind.REPLACED, head, event.name, anchor.head.hash, event.hash, at=anchor.at)
        walk.head = head
        if event.chain is Chain.CONTROL and event.facts.get("kind") == _RESTORED:
            at = datetime.fromisoformat(str(event.facts["at"]))
            self._restores.append(_Restore(account=event.account, at=at, author=str(event.facts["author"])))

    def compare_head(self, before: ChainHead, after: ChainHead) -> None:
        """What the account's own row remembered as the newest event before the chain was walked, and after."""
        walked = self._walk((before.chain, before.account)).head
        shorter = before.sequence > walked.sequence
        longer = after.sequence < walked.sequence
        other = any(row.sequence == walked.sequence and row.hash != walked.hash for row in (before, after))
        if shorter or longer or other:
            row = after if longer else before
            expected, found = (f"link {head.sequence} {head.hash}" for head in (row, walked))
            self._add(BreakKind.HEAD_DIFFERS, row, "", expected, found)

    def expect(self, span: AuditSpan) -> None:
        """What an export says of itself, once its chains were walked."""
        walk = self._walk((span.chain, span.account))
        if (walk.first, walk.head.sequence) != (span.first, span.last):
            at_end = ChainHead(chain=span.chain, account=span.account, sequence=walk.head.sequence, hash="")
            expected, found = f"links {span.first} to {span.last}", f"{walk.first} to {walk.head.sequence}"
            self._add(BreakKind.CUT, at_end, "", expected, found)

    def unreadable(self, places: Iterable[str]) -> None:
        """Lines that should be anchors."""
        nothing = ChainHead(chain=Chain.ORDER, account="", sequence=0, hash="")
        for place in places:
            self._add(BreakKind.UNREADABLE_ANCHOR, nothing, "", "an anchor", place)

    def finish(self) -> AuditReport:
        """Everything was seen: what was anchored and did not come is cut off."""
        for walk in self._walks.values():
            for place in sorted(walk.anchors):
                for anchor in walk.anchors[place]:
                    found = f"the chain ends at link {walk.head.sequence}"
                    if place < walk.head.sequence:
                        found = "no such link"
                    self._add(BreakKind.CUT, anchor.head, "", anchor.head.hash, found, at=anchor.at)
        breaks = tuple(self._explained(one) for one in self._breaks)
        return AuditReport(
            events=self.events,
            anchors=len(self.anchors),
            heads=tuple(walk.head for walk in self._walks.values() if walk.first),
            breaks=breaks,
            broken=self._lost + sum(1 for one in breaks if not one.explained),
        )

    def _walk(self, key: ChainKey) -> _Walk:
        walk = self._walks.get(key)
        if walk is None:
            nothing = ChainHead(chain=key[0], account=key[1], sequence=0, hash="")
            walk = self._walks[key] = _Walk(head=nothing, anchors={})
        return walk

    def _add(
        self, kind: BreakKind, head: ChainHead, event: str, expected: str, found: str, *, at: datetime | None = None
    ) -> None:
        if len(self._breaks) >= MOST_BREAKS:
            self._lost += 1
            return
        self._breaks.append(
            Break(
                kind=kind,
                chain=None if kind is BreakKind.UNREADABLE_ANCHOR else head.chain,
                account=head.account,
                sequence=head.sequence,
                event=event,
                expected=expected,
                found=found,
                at=at,
            )
        )

    def _explained(self, one: Break) -> Break:
        """A restore loses rows that were anchored: where the log tells of a later one, it is named beside the break."""
        if one.kind not in (BreakKind.REPLACED, BreakKind.CUT) or one.at is None:
            return one
        for restore in self._restores:
            if restore.at >= one.at and one.account in (restore.account, "*"):
                told = f"the ledger was restored at {restore.at.isoformat()}, says {restore.author}"
                return replace(one, explained=told)
        return one
