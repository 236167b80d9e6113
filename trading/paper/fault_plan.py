"""The fault plan: rules read from TOML or JSON, that say by call number or by seeded chance which requests go wrong.

```toml
seed = 7                            # of every probability below; 0 if left out

[[fault]]
kind = "lost_answer"                # one of trading.paper.fault_kinds.KINDS
endpoint = "POST /api/v3/order"     # or "GET *", or left out: every endpoint that the fault can happen to
calls = [3, 7]                      # or first = 2, or probability = 0.1, or none of them: each call
```

A call is a request that the rule's endpoint matches, whatever becomes of it: the same requests in the same order give
the same faults. Each rule has a chance of its own, so that one rule more changes nothing about the others.
"""

import json
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

from trading.errors import ConfigurationError
from trading.paper.fault_kinds import COUNTED_NAMES, KINDS, Endpoint, Kind, counted_name, number, whole
from trading.paper.opening import ENDPOINTS

_LOG: Final = logging.getLogger(__name__)
_WHEN: Final = ("calls", "first", "probability")
_MOST_CALLS: Final = 1_000_000_000
_SEEDS: Final = whole(-(2**63), 2**63 - 1)


@dataclass(kw_only=True, slots=True)
class Rule:
    """One rule of a plan, and how often it was asked."""

    kind: str
    endpoints: frozenset[Endpoint]
    settings: Mapping[str, Any]
    written: Mapping[str, Any]
    random: Random = field(repr=False)
    calls: frozenset[int] | None = None
    first: int | None = None
    probability: Decimal | None = None
    seen: int = 0
    hits: int = 0

    @property
    def name(self) -> str:
        """What its faults are counted and logged as."""
        return counted_name(self.kind, self.settings)

    @property
    def on_the_wire(self) -> bool:
        """Whether it concerns the connection or the answer as a whole, rather than what the venue says."""
        return KINDS[self.kind].on_the_wire

    def fires(self) -> bool:
        """Count one call, and say whether it goes wrong."""
        self.seen += 1
        if self.calls is not None:
            return self.seen in self.calls
        if self.first is not None:
            return self.seen <= self.first
        return self.probability is None or self.random.random() < self.probability


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A rule that fired, and for which request."""

    rule: Rule
    call: int
    endpoint: Endpoint
    client_order_id: str | None


class FaultPlan:
    """Rules, and counts of every fault that was hit; the counts outlive the rules."""

    def __init__(self, document: Mapping[str, Any] | None = None, source: str = "fault plan") -> None:
        self.counts = dict.fromkeys(COUNTED_NAMES, 0)
        self.seed = 0
        self.rules: list[Rule] = []
        self._made = 0
        self.replace(document or {}, source)

    def replace(self, document: Mapping[str, Any], source: str) -> None:
        """Follow another plan from now on; raises ConfigurationError and changes nothing where that one is wrong."""
        unknown = sorted(document.keys() - {"seed", "fault"})
        if unknown:
            raise ConfigurationError(f"{source}: unknown key {unknown[0]!r}; expected seed and fault")
        seed = document.get("seed", 0)
        entries = document.get("fault", [])
        _read(f"{source}: seed", seed, "a whole number of 64 bits", _SEEDS)
        if not isinstance(entries, list):
            raise ConfigurationError(f"{source}: fault = {entries!r}; expected a list, written as [[fault]]")
        rules = [
            _rule(entry, f"{source}: fault {place}", Random(f"{seed}:{place}"))  # noqa: S311 - chance that repeats itself
            for place, entry in enumerate(entries, start=1)
        ]
        self.seed, self.rules, self._made = seed, rules, len(rules)

    def add(self, entry: Any, source: str) -> None:
        """Follow one more rule."""
        chance = Random(f"{self.seed}:{self._made + 1}")  # noqa: S311 - chance that repeats itself
        self.rules.append(_rule(entry, source, chance))
        self._made += 1

    def clear(self) -> None:
        """Let everything heal; the counts stay."""
        self.rules = []

    def draw(self, endpoint: Endpoint, client_order_id: str | None = None) -> list[Fault]:
        """The faults of one request: all that concern what the venue says, and at most one of the wire."""
        fired = [rule for rule in self.rules if endpoint in rule.endpoints and rule.fires()]
        first_on_the_wire = next((rule for rule in fired if rule.on_the_wire), None)
        return [
            Fault(rule=rule, call=rule.seen, endpoint=endpoint, client_order_id=client_order_id)
            for rule in fired
            if not rule.on_the_wire or rule is first_on_the_wire
        ]

    def hit(self, fault: Fault) -> None:
        """Count and log a fault that takes effect."""
        rule = fault.rule
        rule.hits += 1
        self.counts[rule.name] += 1
        _LOG.info(
            "fault_injected",
            extra={
                "event": "fault_injected",
                "fault": rule.name,
                "endpoint": " ".join(fault.endpoint),
                "call": fault.call,
                **({"client_order_id": fault.client_order_id} if fault.client_order_id else {}),
            },
        )

    def report(self) -> dict[str, Any]:
        """The rules with how often each was asked and hit, and the counts by fault, zeros included."""
        rules = [{**rule.written, "calls_seen": rule.seen, "hits": rule.hits} for rule in self.rules]
        return {"seed": self.seed, "fault": rules, "counts": dict(self.counts)}


def read_plan(path: Path) -> FaultPlan:
    """The plan of a TOML file. Raises ConfigurationError that names file, rule, key, value and what is allowed."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as wrong:
        raise ConfigurationError(f"{path}: expected a readable fault plan, got {wrong.strerror}") from None
    except ValueError as wrong:  # not TOML, or not UTF-8
        raise ConfigurationError(f"{path}: expected a fault plan in TOML, got {wrong}") from None
    return FaultPlan(document, str(path))


def parse_json(text: bytes, source: str) -> dict[str, Any]:
    """A plan or a rule as it is sent over HTTP."""
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigurationError(f'{source}: expected a JSON object, a plan {{"fault": […]}} or one rule {{"kind": …}}')
    return document


def _rule(entry: Any, source: str, chance: Random) -> Rule:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{source}: expected a table with a kind, got {entry!r}")
    name = entry.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise ConfigurationError(f"{source}: kind = {name!r}; expected one of {', '.join(KINDS)}")
    where = f"{source} ({name})"
    known = ("kind", "endpoint", *_WHEN, *kind.settings)
    for key in entry:
        if key not in known:
            raise ConfigurationError(f"{where}: unknown key {key!r}; expected some of {', '.join(known)}")
    settings = {
        key: _read(f"{where}: {key}", entry[key], setting.expected, setting.read) if key in entry else setting.default
        for key, setting in kind.settings.items()
    }
    when = _when(entry, where)
    written = {**entry, **settings}
    endpoints = _endpoints(entry.get("endpoint"), kind, where)
    return Rule(kind=name, endpoints=endpoints, settings=settings, written=written, random=chance, **when)


def _when(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = [key for key in _WHEN if key in entry]
    if len(given) > 1:
        raise ConfigurationError(f"{where}: {' and '.join(given)} are set; expected at most one of {', '.join(_WHEN)}")
    readers = {
        "calls": ("a list of call numbers from 1", _call_numbers),
        "first": ("a whole number from 1", whole(1, _MOST_CALLS)),
        "probability": ("a number from 0 to 1", number(Decimal(0), Decimal(1))),
    }
    return {key: _read(f"{where}: {key}", entry[key], *readers[key]) for key in given}


def _call_numbers(value: Any) -> frozenset[int]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return frozenset(whole(1, _MOST_CALLS)(call) for call in value)


def _endpoints(value: Any, kind: Kind, where: str) -> frozenset[Endpoint]:
    """The endpoints that a rule's text names, among those that its fault can happen to."""
    if value is None:
        return kind.endpoints & {endpoint for endpoint in ENDPOINTS if endpoint[1].startswith("/api/")}
    method, _, path = value.partition(" ") if isinstance(value, str) else ("", "", "")
    found = frozenset(each for each in kind.endpoints if method == each[0] and path in (each[1], "*"))
    if not found:
        methods = sorted({method for method, _ in kind.endpoints})
        allowed = [f"{method} *" for method in methods] + [" ".join(each) for each in sorted(kind.endpoints)]
        raise ConfigurationError(f"{where}: endpoint = {value!r}; expected one of {', '.join(allowed)}")
    return found


def _read(where: str, value: Any, expected: str, reader: Any) -> Any:
    try:
        return reader(value)
    except ValueError:
        shown = str(value) if isinstance(value, Decimal) else repr(value)
        raise ConfigurationError(f"{where} = {shown}; expected {expected}") from None
