"""The signed override: the only thing that ends a halt. HS256 (HMAC-SHA256) tokens through PyJWT, everything pinned."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import jwt

from trading.errors import ConfigurationError, TradingError

AUDIENCE: Final = "trading-kill-switch"
TOKEN_TYPE: Final = "trading-override+jwt"  # noqa: S105 — a media type, not a secret
ALGORITHM: Final = "HS256"
MAX_LIFE: Final = timedelta(minutes=15)
MAX_SKEW: Final = timedelta(seconds=30)
MIN_KEY_BYTES: Final = 32

#: One token has one spelling: no padding, no white space, which a lenient decoder would let pass.
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class OverrideRefused(TradingError):
    """An override that releases nothing. `cause` is for the audit log; the message outside is always the same."""

    exit_code = 77

    def __init__(self, cause: str) -> None:
        super().__init__("the override was refused; the audit log says why: trading killswitch status")
        self.cause = cause


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """What a person signed: which halt may end, how, where, and until when."""

    halt_id: int
    action: str  # resume
    scope: str
    environment: str
    subject: str
    key_id: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    reason: str


def sign_override(override: Override, key: str) -> str:
    """The token. Whoever signs needs the key and the halt's id, no database and no Airflow."""
    if len(key.encode()) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"kill_switch_secret: expected at least {MIN_KEY_BYTES} bytes, got {len(key.encode())}"
        )
    if override.expires_at - override.issued_at > MAX_LIFE:
        raise ConfigurationError(
            f"an override lives at most {MAX_LIFE}, got {override.expires_at - override.issued_at}"
        )
    claims = {
        "aud": AUDIENCE,
        "iat": int(override.issued_at.timestamp()),
        "exp": int(override.expires_at.timestamp()),
        "jti": override.token_id,
        "sub": override.subject,
        "halt": override.halt_id,
        "action": override.action,
        "scope": override.scope,
        "env": override.environment,
        "reason": override.reason,
    }
    headers = {"typ": TOKEN_TYPE, "kid": override.key_id}
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers=headers)


def verify_override(token: str, keys: dict[str, str], *, at: datetime, environment: str) -> Override:
    """What the token allows. Raises OverrideRefused, whatever is wrong with it.

    `keys` maps key ids to secrets; `at` is the database's clock, so that nobody's own clock prolongs a token.
    """
    if _FORM.fullmatch(token) is None:
        raise OverrideRefused("not three parts of base64url")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != TOKEN_TYPE or header.get("alg") != ALGORITHM:
            raise OverrideRefused("wrong type or algorithm")
        key = keys.get(str(header.get("kid")))
        if key is None:
            raise OverrideRefused("unknown key id")
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            # Times are checked below against the database's clock, not this machine's.
            options={
                "require": ["iat", "exp", "jti", "sub", "aud"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        override = _override_from(claims, str(header["kid"]), at)
    except jwt.PyJWTError as error:
        raise OverrideRefused(f"invalid token: {type(error).__name__}") from None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise OverrideRefused(f"malformed claims: {type(error).__name__}") from None
    _require_in_time(override, at)
    if override.environment != environment:
        raise OverrideRefused(f"signed for environment {override.environment!r}, this is {environment!r}")
    return override


def require_after_restore(override: Override, restored_at: datetime | None) -> None:
    """Raise OverrideRefused for what was signed before the ledger was restored.

    Its halt's number may name another halt by now, and its use may be among the rows that were lost.
    """
    if restored_at is not None and override.issued_at < restored_at:
        raise OverrideRefused(f"signed before the restore of {restored_at.isoformat(timespec='seconds')}: sign again")


def _override_from(claims: dict[str, object], key_id: str, at: datetime) -> Override:
    """Typed claims. Raises KeyError, TypeError or ValueError for what is malformed."""
    halt, issued, expires = claims["halt"], claims["iat"], claims["exp"]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (halt, issued, expires)):
        raise TypeError("halt, iat and exp are whole numbers")
    texts = {name: claims[name] for name in ("action", "scope", "env", "sub", "jti", "reason")}
    if not all(isinstance(value, str) and value for value in texts.values()):
        raise TypeError("action, scope, env, sub, jti and reason are texts")
    return Override(
        halt_id=int(str(halt)),
        action=str(texts["action"]),
        scope=str(texts["scope"]),
        environment=str(texts["env"]),
        subject=str(texts["sub"]),
        key_id=key_id,
        token_id=str(texts["jti"]),
        issued_at=datetime.fromtimestamp(int(str(issued)), at.tzinfo),
        expires_at=datetime.fromtimestamp(int(str(expires)), at.tzinfo),
        reason=str(texts["reason"]),
    )


def _require_in_time(override: Override, at: datetime) -> None:
    """Raise OverrideRefused for an expired, early or too long-lived token."""
    if override.expires_at <= at:
        raise OverrideRefused("expired")
    if override.issued_at > at + MAX_SKEW:
        raise OverrideRefused("issued in the future")
    if override.expires_at - override.issued_at > MAX_LIFE:
        raise OverrideRefused("lives too long")
