"""Names made from facts: the same facts give the same id, whoever computes it and how often."""

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

#: Fixed for ever: changing it would make every old id new again.
_NAMESPACE: Final = uuid.UUID("6f1a5f0e-3c1e-5d0a-9a64-0f3f5a1d7c11")
#: What uuid5 makes, in hex: the 5 and the variant stand at fixed places.
_NAME_OF_OURS: Final = re.compile(r"[0-9a-f]{12}5[0-9a-f]{3}[89ab][0-9a-f]{15}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One invocation of a flow. Its id is on every log line and every row that it writes."""

    run_id: str
    dag_id: str = "cli"
    actor: str = "system"
    run_type: str = "manual"
    causes: tuple[str, ...] = field(default=())  # ids of the runs whose asset events started this one


def client_order_id(
    *,
    account: str,
    incarnation: int,
    strategy: str,
    instrument: str,
    timeframe: str,
    as_of: datetime,
    purpose: str,
    generation: int,
) -> str:
    """The order's name at the venue: 32 lower-case hex digits, which every supported venue takes."""
    if as_of.tzinfo is None:
        raise ValueError(f"expected an aware as_of, got the naive {as_of!r}")
    instant = as_of.astimezone(UTC).isoformat()
    facts = [account, incarnation, strategy, instrument, timeframe, instant, purpose, generation]
    return uuid.uuid5(_NAMESPACE, orjson.dumps(facts).decode()).hex


def is_name_of_ours(client_order_id: str) -> bool:
    """Whether `client_order_id` can make such a name; those of web pages and other clients look different."""
    return _NAME_OF_OURS.fullmatch(client_order_id) is not None


def content_hash(facts: Mapping[str, object]) -> str:
    """SHA-256, in hex, of facts as canonical JSON (sorted keys; Decimal and datetime as text)."""
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def chain_hash(previous: str, facts: Mapping[str, object]) -> str:
    """The hash of an audit row: it covers the row's facts and the hash of the row before it."""
    return content_hash({"previous": previous, "facts": facts})
