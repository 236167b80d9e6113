"""A registered secret does not reach a line in any of the shapes that values take on their way to one."""

import base64
import json
import logging
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from trading.logging.json_logger import CustomJsonFormatter
from trading.logging.redaction import MASK, forget_secrets, redact, register_address, register_secret

SECRETS = ("kX9+/w3eR7tY==qP2mN5", 'pass "word" \\ with spaces & ümlaut', "ABCD", "correct horse battery staple")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


def shapes(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "plain": secret,
        "quoted": quote(secret, safe=""),
        "form": quote_plus(secret),
        "base64": base64.b64encode(raw).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode(),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "JSON": json.dumps({"key": secret}),
        "repr": repr({"key": secret}),
        "bytes": repr(raw) if raw.isascii() else secret,
    }


def logged(value: str) -> str:
    return CustomJsonFormatter().format(logging.makeLogRecord({"msg": "it is %s.", "args": (value,)}))


@pytest.mark.parametrize("secret", SECRETS)
def test_no_shape_of_a_secret_gets_through(secret: str) -> None:
    before = {name: json.loads(logged(shape))["message"] for name, shape in shapes(secret).items()}
    register_secret(secret)
    for name, shape in shapes(secret).items():
        message = json.loads(logged(shape))["message"]
        assert MASK in message, (name, message)
        assert shape not in message
        assert message != before[name]


def test_basic_authentication_hides_the_password_inside_its_base64() -> None:
    secret = SECRETS[0]
    register_secret(secret)
    for user in ("u", "us", "usr", "user"):
        header = base64.b64encode(f"{user}:{secret}".encode()).decode()
        message = json.loads(logged(f"Authorization: Basic {header}"))["message"]
        assert MASK in message
        assert header[10:-4] not in message


def test_a_long_prefix_of_a_secret_does_not_get_through() -> None:
    secret = "abcdefghijklmnopqrstuvwxyz0123456789"
    register_secret(secret)
    for length in range(12, len(secret)):
        assert secret[:12] not in logged(f"{secret[:length]}…")
    assert json.loads(logged(f"{secret[:20]} tail"))["message"] == "it is *** tail."


def test_of_a_url_only_the_password_is_masked() -> None:
    register_secret("postgresql://user:p%40ssw0rd!@db.example/trading")
    assert json.loads(logged("p@ssw0rd! or p%40ssw0rd!"))["message"] == "it is *** or ***."
    message = json.loads(logged("postgresql://user@db.example/trading is down"))["message"]
    assert message == "it is postgresql://user@db.example/trading is down."


def test_short_and_empty_values_mask_nothing() -> None:
    for value in ("", "a", "abc"):
        register_secret(value)
    assert redact('{"message":"abc"}') == '{"message":"abc"}'


def test_without_a_registered_secret_the_line_is_not_touched() -> None:
    line = '{"a":1}'
    assert redact(line) is line


@pytest.mark.parametrize(
    ("address", "tokens"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", ["A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"]),
        ("tgram://123456789:abcdefghijklmnop_ABCDEFGHI/12315544", ["abcdefghijklmnop_ABCDEFGHI"]),
        ("mailtos://anna:correct%20horse@smtp.example.com?to=x@example.com", ["correct%20horse", "correct horse"]),
    ],
)
def test_every_part_of_a_channel_s_address_is_masked_but_its_host(address: str, tokens: list[str]) -> None:
    """An error may say which server did not answer, in words that hold no token."""
    register_address(address)
    for token in tokens:
        for shape in shapes(token).values():
            assert MASK in logged(shape)
    assert MASK in logged(address)
    assert "smtp.example.com" in logged("smtp.example.com did not answer on 127.0.0.1:4567")
