"""Only a valid override is one, and every refusal looks the same from outside."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest

from tests.examples import T0, override
from trading.domain.override import (
    ALGORITHM,
    AUDIENCE,
    MAX_LIFE,
    MAX_SKEW,
    TOKEN_TYPE,
    OverrideRefused,
    sign_override,
    verify_override,
)
from trading.errors import ConfigurationError

KEY = "k" * 32
KEYS = {"a": KEY, "b": "l" * 32}
NOW = T0 + timedelta(minutes=1)
TOKEN = sign_override(override(), KEY)
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"  # pragma: allowlist secret - an alphabet


def verify(token: str, **changes: Any) -> Any:
    return verify_override(token, changes.pop("keys", KEYS), at=changes.pop("at", NOW), environment="replay", **changes)


def refused(token: str, **changes: Any) -> str:
    with pytest.raises(OverrideRefused) as caught:
        verify(token, **changes)
    assert str(caught.value) == "the override was refused; the audit log says why: trading killswitch status"
    assert len(token) < 20 or token not in caught.value.cause
    return caught.value.cause


def forged(*, headers: dict[str, Any] | None = None, key: str = KEY, algorithm: str = ALGORITHM, **claims: Any) -> str:
    """A token whose claims and headers differ from a good one's; a claim of None is left out."""
    good = jwt.decode(TOKEN, options={"verify_signature": False})
    body = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(body, key, algorithm=algorithm, headers={"typ": TOKEN_TYPE, "kid": "a"} | (headers or {}))


def test_a_signed_override_says_exactly_what_was_signed() -> None:
    assert verify(TOKEN) == override()
    assert jwt.get_unverified_header(TOKEN) == {"alg": "HS256", "kid": "a", "typ": TOKEN_TYPE}


def test_every_single_bit_flip_of_a_token_is_refused() -> None:
    """Bits of the decoded parts: flips of base64's own unused trailing bits do not change what is signed."""
    parts = TOKEN.split(".")
    survivors = []
    for number, part in enumerate(parts):
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        for bit in range(len(raw) * 8):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << (bit % 8)
            text = base64.urlsafe_b64encode(bytes(flipped)).rstrip(b"=").decode()
            token = ".".join([*parts[:number], text, *parts[number + 1 :]])
            try:
                verify(token)
            except OverrideRefused:
                continue
            survivors.append((number, bit))
    assert survivors == []


def test_every_single_bit_flip_of_the_text_itself_is_refused() -> None:
    survivors = []
    for index, bit in ((index, bit) for index in range(len(TOKEN)) for bit in range(8)):
        token = TOKEN[:index] + chr(ord(TOKEN[index]) ^ (1 << bit)) + TOKEN[index + 1 :]
        try:
            verify(token)
        except OverrideRefused:
            continue
        survivors.append((index, bit))
    assert survivors == []


@pytest.mark.parametrize("length", [0, 1, 20, len(TOKEN) - 1])
def test_a_cut_token_is_refused(length: int) -> None:
    refused(TOKEN[:length])


@pytest.mark.parametrize("garnish", ["{}=", "{}==", "{}\n", " {}", "{}.", "\ufeff{}", "{}\u00e9"])
def test_a_token_has_one_spelling(garnish: str) -> None:
    refused(garnish.format(TOKEN))


def test_no_algorithm_and_other_algorithms_are_refused() -> None:
    body = TOKEN.split(".")[1]
    for algorithm in ("none", "None", "NONE", "HS512", "RS256", "ES256"):
        header = base64.urlsafe_b64encode(
            json.dumps({"alg": algorithm, "kid": "a", "typ": TOKEN_TYPE}).encode()
        ).rstrip(b"=")
        for signature in ("", TOKEN.split(".")[2]):
            refused(f"{header.decode()}.{body}.{signature}")
    assert refused(forged(algorithm="HS512", key="k" * 64), keys={"a": "k" * 64}) == "wrong type or algorithm"


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "", None])
def test_a_token_of_another_type_is_refused(kind: str | None) -> None:
    assert refused(forged(headers={"typ": kind})) == "wrong type or algorithm"


@pytest.mark.parametrize("audience", ["airflow", "", ["airflow"], None])
def test_a_token_for_another_audience_is_refused(audience: object) -> None:
    assert refused(forged(aud=audience)).startswith("invalid token")


@pytest.mark.parametrize("key_id", ["c", "", "../a", "a\x00", "A"])
def test_an_unknown_or_hostile_key_id_is_refused(key_id: str) -> None:
    assert refused(forged(headers={"kid": key_id})) == "unknown key id"


def test_a_token_signed_with_the_other_persons_key_is_refused() -> None:
    assert refused(forged(key=KEYS["b"])) == "invalid token: InvalidSignatureError"


def test_times_are_judged_by_the_given_clock() -> None:
    assert refused(TOKEN, at=T0 + timedelta(minutes=10)) == "expired"
    assert verify(TOKEN, at=T0 + timedelta(minutes=10) - timedelta(seconds=1)) == override()
    assert refused(TOKEN, at=T0 - MAX_SKEW - timedelta(seconds=1)) == "issued in the future"
    assert verify(TOKEN, at=T0 - MAX_SKEW) == override()


def test_a_token_that_lives_too_long_is_neither_signed_nor_taken() -> None:
    too_long = MAX_LIFE + timedelta(seconds=1)
    with pytest.raises(ConfigurationError, match="lives at most"):
        sign_override(override(expires_at=T0 + too_long), KEY)
    assert refused(forged(exp=int((T0 + too_long).timestamp()))) == "lives too long"
    assert verify(sign_override(override(expires_at=T0 + MAX_LIFE), KEY)).expires_at == T0 + MAX_LIFE


def test_a_token_of_another_environment_is_refused() -> None:
    assert refused(sign_override(override(environment="live"), KEY)).startswith("signed for environment 'live'")


@pytest.mark.parametrize("claim", ["iat", "exp", "jti", "sub", "aud", "halt", "action", "scope", "env", "reason"])
def test_a_token_that_lacks_a_claim_is_refused(claim: str) -> None:
    refused(forged(**{claim: None}))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("halt", "1"),
        ("halt", True),
        ("halt", 1.5),
        ("iat", "now"),
        ("iat", 1e18),
        ("exp", 10**30),
        ("sub", ""),
        ("jti", 5),
        ("action", ["resume"]),
        ("scope", {}),
        ("env", ""),
        ("reason", ""),
    ],
)
def test_a_claim_of_another_type_is_refused(claim: str, value: object) -> None:
    refused(forged(**{claim: value}))


def test_the_audience_and_type_are_pinned() -> None:
    assert (AUDIENCE, TOKEN_TYPE, ALGORITHM) == ("trading-kill-switch", "trading-override+jwt", "HS256")


def test_a_short_key_signs_nothing() -> None:
    with pytest.raises(ConfigurationError, match="at least 32 bytes, got 31"):
        sign_override(override(), "k" * 31)
