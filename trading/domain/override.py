"""The signed override: the only thing that ends a halt, or opens it to reducing. HS256 tokens, everything pinned."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

import jwt

from trading.domain.money import plain
from trading.domain.scope import Scope
from trading.errors import ConfigurationError, TradingError

AUDIENCE: Final = "trading-kill-switch"
TOKEN_TYPE: Final = "trading-override+jwt"  # noqa: S105 — a media type, not a secret
#: The first one signs, all verify: another one (Ed25519) is a line here and its kind of key.
ALGORITHMS: Final = ("HS256",)
MAX_LIFE: Final = timedelta(minutes=15)
MAX_SKEW: Final = timedelta(seconds=30)
MIN_KEY_BYTES: Final = 32
MAX_TOKEN: Final = 8_192
#: Refused ones within `REFUSALS_WITHIN` after which nothing more is looked at.
MAX_REFUSALS: Final = 5
REFUSALS_WITHIN: Final = timedelta(minutes=1)

_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOTIONAL: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")
_MAX_HALT: Final = 2**63 - 1
_MAX_TEXT: Final = 1_000
_HEADERS: Final = frozenset({"alg", "kid", "typ"})


class Action(StrEnum):
    """What an override allows."""

    RESUME = "resume"
    REDUCE_ONLY = "reduce_only"


class OverrideRefused(TradingError):
    """An override that allows nothing. `cause` is for the audit log; the message outside is always the same."""

    exit_code = 77

    def __init__(self, cause: str, *, recorded: bool = True) -> None:
        super().__init__(
            f"the override was refused; the audit log says why: trading killswitch history. After {MAX_REFUSALS}"
            " refusals within a minute none is looked at: wait a minute"
        )
        self.cause = cause
        #: False where it was not looked at: rows of those would let the wait never end.
        self.recorded = recorded


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """What a person signed: about which halt, what is allowed, how far, where, and until when.

    `largest_notional` is what one closing order may be worth, in quote currency; of reduce_only alone.
    """

    halt_id: int
    action: Action
    scope: str
    environment: str
    subject: str
    key_id: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    reason: str
    largest_notional: Decimal | None = None


def sign_override(override: Override, key: str) -> str:
    """The token. Whoever signs needs the key and the halt's id, no database and no Airflow."""
    if len(key.encode()) < MIN_KEY_BYTES:
        raise ConfigurationError(f"{override.key_id}: expected at least {MIN_KEY_BYTES} bytes, got {len(key.encode())}")
    fault = _fault_of(override)
    if fault:
        raise ConfigurationError(f"nothing was signed: {fault}")
    claims: dict[str, object] = {
        "aud": AUDIENCE,
        "iat": int(override.issued_at.timestamp()),
        "exp": int(override.expires_at.timestamp()),
        "jti": override.token_id,
        "sub": override.subject,
        "halt": override.halt_id,
        "action": str(override.action),
        "scope": override.scope,
        "env": override.environment,
        "reason": override.reason,
    }
    if override.largest_notional is not None:
        claims["largest_notional"] = plain(override.largest_notional)
    headers = {"typ": TOKEN_TYPE, "kid": override.key_id}
    return jwt.encode(claims, key, algorithm=ALGORITHMS[0], headers=headers)


def verify_override(token: str, keys: dict[str, str], *, at: datetime, environment: str) -> Override:
    """What the token allows. Raises OverrideRefused, whatever is wrong with it.

    `keys` maps key ids to secrets; `at` is the database's clock, so that nobody's own clock prolongs a token.
    """
    try:
        header, claims = _read(token)
        if header.keys() != _HEADERS or header["typ"] != TOKEN_TYPE or header["alg"] not in ALGORITHMS:
            raise OverrideRefused("wrong type or algorithm")
        key = keys.get(str(header["kid"]))
        if key is None:
            raise OverrideRefused("unknown key id")
        jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=AUDIENCE,
            # Times are checked below against the database's clock, not this machine's.
            options={
                "require": ["iat", "exp", "jti", "sub", "aud"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        override = _override_from(claims, str(header["kid"]), at)
    except jwt.PyJWTError as error:
        raise OverrideRefused(f"invalid token: {type(error).__name__}") from None
    except (KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise OverrideRefused(f"malformed token: {type(error).__name__}") from None
    fault = _fault_of(override) or _fault_of_time(override, at)
    if fault:
        raise OverrideRefused(fault)
    if override.environment != environment:
        raise OverrideRefused(f"signed for environment {override.environment!r}, this is {environment!r}")
    return override


def require_after_restore(override: Override, restored_at: datetime | None) -> None:
    """Raise OverrideRefused for what was signed before the ledger was restored.

    Its halt's number may name another halt by now, and its use may be among the rows that were lost.
    """
    if restored_at is not None and override.issued_at < restored_at:
        raise OverrideRefused(f"signed before the restore of {restored_at.isoformat(timespec='seconds')}: sign again")


def token_facts(token: str) -> dict[str, str]:
    """What the audit log may keep of any token: its hash, and the id that it claims, which nobody vouches for.

    Not `token_hash`: Airflow masks whatever has a name with "token" in it.
    """
    try:
        claimed = _read(token)[1].get("jti")
    except (OverrideRefused, ValueError, RecursionError):
        claimed = None
    known = claimed if isinstance(claimed, str) and _TOKEN_ID.fullmatch(claimed) else ""
    return {"override_hash": hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest(), "jti": known}


def _read(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Header and claims, unverified. One token has one spelling: no padding, no spare bits, no name twice.

    Raises OverrideRefused or ValueError.
    """
    parts = token.split(".") if len(token) <= MAX_TOKEN else []
    if len(parts) != len(("header", "claims", "signature")) or not all(_PART.fullmatch(part) for part in parts):
        raise OverrideRefused("not three parts of base64url")
    raw = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
    if any(base64.urlsafe_b64encode(one).rstrip(b"=").decode() != part for one, part in zip(raw, parts, strict=True)):
        raise OverrideRefused("not three parts of base64url")
    header, claims = (json.loads(one.decode(), object_pairs_hook=_each_once) for one in raw[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise OverrideRefused("header and claims are no objects")
    return header, claims


def _each_once(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) != len(members):
        raise OverrideRefused("a name stands twice")
    return found


def _override_from(claims: dict[str, object], key_id: str, at: datetime) -> Override:
    """Typed claims. Raises KeyError, TypeError or ValueError for what is malformed."""
    numbers = [claims[name] for name in ("halt", "iat", "exp")]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in numbers):
        raise TypeError("halt, iat and exp are whole numbers")
    texts = {name: claims[name] for name in ("action", "scope", "env", "sub", "jti", "reason")}
    notional = claims.get("largest_notional")
    if not all(isinstance(value, str) and value for value in (*texts.values(), notional or "0")):
        raise TypeError("action, scope, env, sub, jti, reason and largest_notional are texts")
    if notional is not None and not _NOTIONAL.fullmatch(str(notional)):
        raise ValueError("largest_notional is a plain number")
    halt, issued, expires = (int(str(number)) for number in numbers)
    return Override(
        halt_id=halt,
        action=Action(str(texts["action"])),
        scope=str(texts["scope"]),
        environment=str(texts["env"]),
        subject=str(texts["sub"]),
        key_id=key_id,
        token_id=str(texts["jti"]),
        issued_at=datetime.fromtimestamp(issued, at.tzinfo),
        expires_at=datetime.fromtimestamp(expires, at.tzinfo),
        reason=str(texts["reason"]),
        largest_notional=None if notional is None else Decimal(str(notional)),
    )


def _fault_of(override: Override) -> str | None:
    """What is wrong with the override's own words, whatever the time is."""
    texts = (override.subject, override.reason, override.environment)
    notional, life = override.largest_notional, override.expires_at - override.issued_at
    positive = notional is None or (notional > 0 and _NOTIONAL.fullmatch(plain(notional)))
    faults = {
        f"person, reason and environment are one line each, of at most {_MAX_TEXT} characters": not all(
            text.isprintable() and text == text.strip() and 0 < len(text) <= _MAX_TEXT for text in texts
        ),
        "the halt's id is none": not 0 < override.halt_id <= _MAX_HALT,
        "the token's id is none": not _TOKEN_ID.fullmatch(override.token_id),
        "a largest notional is expected of reduce_only, and of nothing else": (
            (override.action == Action.REDUCE_ONLY) != (notional is not None)
        ),
        "the largest notional is positive, with at most 18 digits and 12 decimals": not positive,
        f"it lives too long: expected at most {MAX_LIFE}, got {life}": not timedelta() < life <= MAX_LIFE,
    }
    try:
        Scope.parse(override.scope)
    except ConfigurationError as error:
        faults[str(error)] = True
    return next((fault for fault, there in faults.items() if there), None)


def _fault_of_time(override: Override, at: datetime) -> str | None:
    """Why the override does not count at this instant."""
    if override.expires_at <= at:
        return "expired"
    if override.issued_at > at + MAX_SKEW:
        return "issued in the future"
    return None
