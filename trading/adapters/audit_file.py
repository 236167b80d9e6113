"""An exported audit log: lines of JSON with every hash, which can be verified without the database.

The first line says which links of which chains follow, then come the anchors of these links, then the events in the
order of their chains. An event's hash is the SHA-256 of {"facts": …, "previous": …} as JSON with sorted keys, without
spaces, in UTF-8.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from trading.adapters.file_anchors import anchor_line, read_anchor
from trading.domain.audit import Anchor, AuditSpan, Chain, ChainedEvent
from trading.errors import DataError

FORMAT: Final = "trading-audit-1"

AuditItem: TypeAlias = AuditSpan | Anchor | ChainedEvent


def header_line(spans: Sequence[AuditSpan]) -> bytes:
    """Which links of which chains follow."""
    chains = [{"chain": s.chain.value, "account": s.account, "first": s.first, "last": s.last} for s in spans]
    return orjson.dumps({"format": FORMAT, "chains": chains}) + b"\n"


def item_line(item: Anchor | ChainedEvent) -> bytes:
    """An anchor or an event as a line of JSON."""
    if isinstance(item, Anchor):
        return anchor_line(item)
    facts = {
        "chain": item.chain.value,
        "account": item.account,
        "sequence": item.sequence,
        "previous": item.previous,
        "hash": item.hash,
        "facts": dict(item.facts),
    }
    return orjson.dumps(facts, default=str) + b"\n"


def read_items(path: Path) -> Iterator[AuditItem]:
    """Everything in the file, in its order. Raises DataError that names the first line which cannot be read."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from _items(line, is_first=number == 1)
                except (ValueError, TypeError, KeyError) as error:
                    raise DataError(
                        f"{path}, line {number}: expected a line that `trading audit export` wrote, got"
                        f" {line[:60]!r} ({type(error).__name__}: {error}); ask for the file again"
                    ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _items(line: bytes, *, is_first: bool) -> Iterator[AuditItem]:
    said: dict[str, Any] = orjson.loads(line)
    if is_first:
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']!r}, expected {FORMAT!r}")
        for span in said["chains"]:
            yield AuditSpan(chain=Chain(span["chain"]), account=span["account"], first=span["first"], last=span["last"])
    elif "facts" in said:
        yield ChainedEvent(
            chain=Chain(said["chain"]),
            account=said["account"],
            sequence=said["sequence"],
            previous=said["previous"],
            hash=said["hash"],
            facts=said["facts"],
        )
    else:
        anchor = read_anchor(line)
        if anchor is None:
            raise ValueError("neither an event nor an anchor")
        yield anchor
