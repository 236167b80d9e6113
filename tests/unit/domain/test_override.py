"""Only a valid override is one, and every refusal looks the same from outside."""

import base64
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import jwt
import pytest

from tests.examples import T0, override
from trading.domain.override import (
    ALGORITHMS,
    AUDIENCE,
    MAX_LIFE,
    MAX_SKEW,
    MAX_TOKEN,
    TOKEN_TYPE,
    Action,
    OverrideRefused,
    sign_override,
    token_facts,
    verify_override,
)
from trading.errors import ConfigurationError

KEY = "k" * 32
KEYS = {"a": KEY, "b": "l" * 32}
NOW = T0 + timedelta(minutes=1)
TOKEN = sign_override(override(), KEY)
#: Enough for every end that base64 can have.
TOKENS = [
    TOKEN,
    *(sign_override(override(token_id="x" * number), KEY) for number in range(1, 8)),
    sign_override(override(action=Action.REDUCE_ONLY, largest_notional=Decimal("5000.5")), KEY),
]
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"  # pragma: allowlist secret - an alphabet


def verify(token: str, **changes: Any) -> Any:
    return verify_override(token, changes.pop("keys", KEYS), at=changes.pop("at", NOW), environment="replay", **changes)


def refused(token: str, **changes: Any) -> str:
    with pytest.raises(OverrideRefused) as caught:
        verify(token, **changes)
    assert str(caught.value) == str(OverrideRefused("anything"))
    assert len(token) < 20 or token not in caught.value.cause
    return caught.value.cause


def forged(
    *, headers: dict[str, Any] | None = None, key: str = KEY, algorithm: str = ALGORITHMS[0], **claims: Any
) -> str:
    """A token whose claims and headers differ from a good one's; a claim of None is left out."""
    good = jwt.decode(TOKEN, options={"verify_signature": False})
    body = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(body, key, algorithm=algorithm, headers={"typ": TOKEN_TYPE, "kid": "a"} | (headers or {}))


def signed_by_hand(signed: str) -> str:
    """Header and claims, spelled as the test likes, with a signature that is right for them."""
    digest = hmac.digest(KEY.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_a_signed_override_says_exactly_what_was_signed() -> None:
    assert verify(TOKEN) == override()
    assert jwt.get_unverified_header(TOKEN) == {"alg": "HS256", "kid": "a", "typ": TOKEN_TYPE}


def accepted(candidates: Iterable[str]) -> list[str]:
    """Those that are not refused; anything but a refusal is an error."""
    survivors = []
    for token in candidates:
        try:
            verify(token)
        except OverrideRefused:
            continue
        survivors.append(token)
    return survivors


def test_every_single_bit_flip_of_a_token_is_refused() -> None:
    """Bits of the decoded parts."""

    def flipped() -> Iterator[str]:
        for token in TOKENS:
            parts = token.split(".")
            for number, part in enumerate(parts):
                raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
                for bit in range(len(raw) * 8):
                    changed = bytearray(raw)
                    changed[bit // 8] ^= 1 << (bit % 8)
                    text = base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode()
                    yield ".".join([*parts[:number], text, *parts[number + 1 :]])

    assert accepted(flipped()) == []


def test_every_single_bit_flip_of_the_text_itself_is_refused() -> None:
    """Spare bits at the end of a part too, which a lenient decoder drops: hence tokens with different ends."""

    def flipped() -> Iterator[str]:
        for token in TOKENS:
            for index, bit in ((index, bit) for index in range(len(token)) for bit in range(8)):
                yield token[:index] + chr(ord(token[index]) ^ (1 << bit)) + token[index + 1 :]

    assert accepted(flipped()) == []


def mutated(random: Random) -> str:  # noqa: PLR0911 — one way a line
    """A token that differs from every one that was signed, in some way that somebody could think of."""
    token, other = random.choice(TOKENS), random.choice(TOKENS)
    header, claims, signature = token.split(".")
    place = random.randrange(len(token))
    match random.randrange(8):
        case 0:
            return token[:place] + random.choice(_DIGITS + ".=+/ \n\0é") + token[place + 1 :]
        case 1:
            return token[:place] + "".join(random.choices(_DIGITS, k=random.randint(1, 5))) + token[place:]
        case 2:
            return token[:place] + token[place + random.randint(1, 20) :]
        case 3:
            return token[:place] + token[place : place + 2][::-1] + token[place + 2 :]
        case 4:
            return ".".join(random.sample([header, claims, signature, *other.split(".")], k=3))
        case 5:
            return f"{header}.{claims}.{''.join(random.choices(_DIGITS, k=43))}"
        case 6:
            return jwt.encode(
                {**jwt.decode(token, options={"verify_signature": False}), "halt": random.randrange(9)},
                random.randbytes(64),
                algorithm=random.choice(["HS256", "HS384", "HS512"]),
                headers={"typ": TOKEN_TYPE, "kid": random.choice(["a", "b", "c"])},
            )
        case _:
            body = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            body[random.choice(list(body))] = random.choice([0, 1, "", "all", None, 10**12, 1.5, [], {}, "live"])
            text = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
            return f"{header}.{text}.{signature}"


def test_mutations_are_refused() -> None:
    """A share of them; OVERRIDE_MUTATIONS=100000 for all, which takes some ten seconds. A failure prints its seed."""
    seed = int(os.environ.get("OVERRIDE_SEED", "0")) or secrets.randbits(32)
    print(f"OVERRIDE_SEED={seed}")  # noqa: T201 — what replays it
    random = Random(seed)  # noqa: S311 — it must be replayed
    number = int(os.environ.get("OVERRIDE_MUTATIONS", "20000"))
    mutants = (mutated(random) for _ in range(number))
    survivors = accepted(mutant for mutant in mutants if mutant not in TOKENS)
    assert survivors == []


def test_a_token_that_was_cut_anywhere_is_refused() -> None:
    """At either end, by however much."""
    assert accepted(part for at in range(1, len(TOKEN)) for part in (TOKEN[:at], TOKEN[at:], "")) == []


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


@pytest.mark.parametrize("algorithm", ["none", "HS512", "RS256", "EdDSA", "hs256", "", None, ["HS256"], 7])
def test_a_good_signature_under_another_algorithms_name_is_refused(algorithm: object) -> None:
    """HMAC-SHA256 with our own key over a header that claims something else: what counts is the pinned list."""
    header = json.dumps({"alg": algorithm, "kid": "a", "typ": TOKEN_TYPE}).encode()
    signed = f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{TOKEN.split('.')[1]}"
    assert refused(signed_by_hand(signed)) == "wrong type or algorithm"


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "", None])
def test_a_token_of_another_type_is_refused(kind: str | None) -> None:
    assert refused(forged(headers={"typ": kind})) == "wrong type or algorithm"


@pytest.mark.parametrize("audience", ["airflow", "", ["airflow"], [AUDIENCE], [AUDIENCE, "airflow"], None])
def test_a_token_for_another_audience_is_refused(audience: object) -> None:
    assert refused(forged(aud=audience)).startswith("invalid token")


@pytest.mark.parametrize(
    "key_id", ["c", "", "../a", "/dev/null", "a\x00", "A", " a", "a' OR '1'='1", "a" * 3_000, 1, None, ["a"], {"a": 1}]
)
def test_an_unknown_or_hostile_key_id_is_refused(key_id: object) -> None:
    """It is looked up among the keys' names and nowhere else; written out by hand, since PyJWT signs texts alone."""
    header = json.dumps({"alg": "HS256", "kid": key_id, "typ": TOKEN_TYPE}).encode()
    signed = f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{TOKEN.split('.')[1]}"
    assert refused(signed_by_hand(signed)) == "unknown key id"


def test_a_token_signed_with_the_other_persons_key_is_refused() -> None:
    assert refused(forged(key=KEYS["b"])) == "invalid token: InvalidSignatureError"


def test_times_are_judged_by_the_given_clock() -> None:
    assert refused(TOKEN, at=T0 + timedelta(minutes=10)) == "expired"
    assert verify(TOKEN, at=T0 + timedelta(minutes=10) - timedelta(seconds=1)) == override()
    assert refused(TOKEN, at=T0 - MAX_SKEW - timedelta(seconds=1)) == "issued in the future"
    assert verify(TOKEN, at=T0 - MAX_SKEW) == override()


def test_a_token_that_lives_too_long_is_neither_signed_nor_taken() -> None:
    too_long = MAX_LIFE + timedelta(seconds=1)
    with pytest.raises(ConfigurationError, match="lives too long"):
        sign_override(override(expires_at=T0 + too_long), KEY)
    assert refused(forged(exp=int((T0 + too_long).timestamp()))).startswith("it lives too long")
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
        ("reason", "two\nlines"),
        ("sub", "ada\x00"),
        ("sub", " ada"),
        ("sub", "a" * 1_001),
        ("jti", "../x"),
        ("jti", "x" * 65),
        ("halt", 0),
        ("halt", 2**63),
        ("exp", int(T0.timestamp())),
        ("action", "halt"),
        ("scope", "everything"),
        ("scope", "strategy:"),
        ("largest_notional", "5000"),
    ],
)
def test_a_claim_of_another_type_is_refused(claim: str, value: object) -> None:
    refused(forged(**{claim: value}))


def test_the_audience_and_type_are_pinned() -> None:
    assert (AUDIENCE, TOKEN_TYPE, ALGORITHMS) == ("trading-kill-switch", "trading-override+jwt", ("HS256",))


def test_a_short_key_signs_nothing() -> None:
    with pytest.raises(ConfigurationError, match="at least 32 bytes, got 31"):
        sign_override(override(), "k" * 31)


@pytest.mark.parametrize("notional", ["0", "-1", "1e9", "NaN", "Infinity", "", " 1", "1.", 5000, 1.5, True, None])
def test_leave_to_reduce_names_a_positive_amount(notional: object) -> None:
    """As plain digits; without one, nothing is granted."""
    refused(forged(action="reduce_only", largest_notional=notional))


def test_leave_to_reduce_says_exactly_what_was_signed() -> None:
    wish = override(action=Action.REDUCE_ONLY, scope="instrument:BTC/USDT", largest_notional=Decimal("5000.50"))
    assert verify(sign_override(wish, KEY)) == wish
    for bad in (override(action=Action.REDUCE_ONLY), override(largest_notional=Decimal(1))):
        with pytest.raises(ConfigurationError, match="largest notional"):
            sign_override(bad, KEY)


@pytest.mark.parametrize("extra", [{"crit": ["exp"]}, {"jku": "https://a.b"}, {"cty": "JWT"}, {"b64": False}])
def test_a_header_holds_nothing_else(extra: dict[str, Any]) -> None:
    refused(forged(headers=extra))


@pytest.mark.parametrize("part", [0, 1])
def test_a_name_that_stands_twice_is_refused(part: int) -> None:
    """Signed as it is: readers disagree on which of two counts."""
    doubled = [f'{{"alg":"HS256","kid":"b","kid":"a","typ":"{TOKEN_TYPE}"}}', '{"sub":"ada","sub":"bob"}'][part]
    parts = TOKEN.split(".")
    parts[part] = base64.urlsafe_b64encode(doubled.encode()).rstrip(b"=").decode()
    assert refused(signed_by_hand(".".join(parts[:2]))) == "a name stands twice"


@pytest.mark.parametrize("deep", ["[" * 3_000, '{"a":' * 1_500, "1" * 5_000])
def test_a_hostile_body_is_refused_and_nothing_else(deep: str) -> None:
    body = base64.urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
    header, _, signature = TOKEN.split(".")
    refused(f"{header}.{body}.{signature}")
    assert token_facts(f"{header}.{body}.{signature}")["jti"] == ""


def test_a_token_longer_than_any_is_not_read() -> None:
    assert refused(TOKEN + "A" * MAX_TOKEN) == "not three parts of base64url"


@pytest.mark.parametrize("token", [TOKEN, TOKEN[:-3] + "AAA", "", "a.b.c", "\ud800", TOKEN + "\n"])
def test_the_audit_log_keeps_a_hash_and_the_claimed_id(token: str) -> None:
    """Of a token that nobody signed too; never the token, nor an id that could be anything."""
    facts = token_facts(token)
    assert len(facts["override_hash"]) == 64
    assert facts["jti"] == ("token-1" if token.startswith(TOKEN[:-3]) and not token.endswith("\n") else "")
    assert all(len(part) < 20 or part not in str(facts) for part in token.split("."))


@pytest.mark.parametrize("jti", ["a b", "x" * 65, "<script>", 7, None])
def test_an_id_that_is_none_is_not_kept(jti: object) -> None:
    assert token_facts(forged(jti=jti) if jti != 7 else forged(jti="7 "))["jti"] == ""
