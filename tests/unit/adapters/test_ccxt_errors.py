"""What a reply means, code by code."""

from datetime import UTC, datetime

import orjson
import pytest

from trading.adapters import ccxt_errors
from trading.adapters.ccxt_errors import Asked, Reply, VenueRefused, VenueUnavailable, unknown_outcome
from trading.errors import ConfigurationError, OrderRejected, TradingError, Trouble

ASKED = Asked(
    venue="binance", at=datetime(2026, 3, 2, 12, tzinfo=UTC), secrets="exchange_api_key and exchange_api_secret"
)


def refusal(answered: Reply) -> OrderRejected | None:
    return ccxt_errors.refusal(answered, ASKED)


def read_failure(answered: Reply) -> TradingError:
    return ccxt_errors.read_failure(answered, ASKED)


def reply(status: int, code: int | None = None, text: str = "") -> Reply:
    return Reply(status=status, body="" if code is None else orjson.dumps({"code": code, "msg": text}).decode())


@pytest.mark.parametrize("code", [-1013, -1015, -1021, -1022, -2014, -2015])
def test_a_code_on_the_list_is_a_no_only_when_the_venue_blames_the_request(code: int) -> None:
    """With a 4xx it is definite; the same code in a 2xx or 5xx proves nothing."""
    rejected = refusal(reply(400, code))
    assert rejected is not None
    assert rejected.code == str(code)
    assert refusal(reply(401, code)) is not None
    assert refusal(reply(200, code)) is None
    assert refusal(reply(503, code)) is None


@pytest.mark.parametrize("status", [418, 429])
def test_a_ban_or_a_full_quota_is_a_no_whatever_the_body(status: int) -> None:
    """They are answered before the request is looked at."""
    for answered in (reply(status), reply(status, -1003), Reply(status=status, body="<html>")):
        assert refusal(answered) is not None


def test_insufficient_balance_is_a_no_and_a_duplicate_is_not() -> None:
    """Both are -2010: the text decides, and what it does not say clearly is unknown."""
    assert refusal(reply(400, -2010, "Account has insufficient balance for requested action.")) is not None
    assert refusal(reply(400, -2010, "Duplicate order sent.")) is None
    assert refusal(reply(400, -2010, "")) is None


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1008, -1016, -1102, -1121, -2011, -2013, -9999])
def test_every_other_code_is_no_definite_no(code: int) -> None:
    """The list is short on purpose: a venue may invent codes."""
    assert refusal(reply(400, code)) is None


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "7", '"-1013"', '{"code":"-1013"}', '{"code":true}', '{"code":-1013.0}', "{", "\ud800"]
)
def test_a_body_of_another_shape_has_no_code(body: str) -> None:
    """And nothing is read into it."""
    answered = Reply(status=400, body=body)
    assert answered.error() is None
    assert refusal(answered) is None
    assert isinstance(read_failure(answered), VenueUnavailable)


@pytest.mark.parametrize("code", [-1022, -2014, -2015])
def test_bad_credentials_stop_a_read_for_good(code: int) -> None:
    """A person must mend them."""
    assert isinstance(read_failure(reply(401, code)), ConfigurationError)


@pytest.mark.parametrize("code", [-1100, -1121, -2011, -2013])
def test_a_read_that_the_venue_refuses_keeps_its_code(code: int) -> None:
    """So that the caller can tell an unknown order from an unknown instrument."""
    failure = read_failure(reply(400, code, "why"))
    assert isinstance(failure, VenueRefused)
    assert (failure.code, "why" in str(failure)) == (code, True)


@pytest.mark.parametrize("code", [-1000, -1001, -1003, -1006, -1007, -1008, -1016, -1021])
def test_the_venues_own_trouble_may_be_asked_again(code: int) -> None:
    """Even where it comes as a 400."""
    assert isinstance(read_failure(reply(400, code)), VenueUnavailable)


def test_a_wait_is_told_with_its_end() -> None:
    """Seconds for the retry, an instant for people; without a header neither is made up."""
    asked = read_failure(Reply(status=429, retry_after_s=90))
    assert isinstance(asked, VenueUnavailable)
    assert (asked.retry_after_s, "until 2026-03-02T12:01:30+00:00" in str(asked)) == (90, True)
    silent = read_failure(Reply(status=418))
    assert isinstance(silent, VenueUnavailable)
    assert (silent.retry_after_s, "does not say until when" in str(silent)) == (None, True)


def test_messages_are_short_whatever_came_back() -> None:
    """A page of HTML does not end up in a log line."""
    assert len(Reply(status=502, body="x" * 10_000).describe()) < 150
    assert len(reply(400, -1000, "x" * 10_000).describe()) < 200
    assert "order abc" in str(unknown_outcome("abc", "silence"))
    assert Reply(failure="ReadTimeout").describe() == "ReadTimeout"


@pytest.mark.parametrize(
    ("answered", "trouble", "parts"),
    [
        (Reply(status=503, body="<html>maintenance</html>"), Trouble.MAINTENANCE, ("is in maintenance", "HTTP 503")),
        (
            reply(400, -1016, "This service is no longer available."),
            Trouble.MAINTENANCE,
            ("is in maintenance", "-1016"),
        ),
        (Reply(status=502, body="<html>"), Trouble.OTHER, ("expected an answer in JSON", "HTTP 502")),
        (reply(503, -1000, "Unknown error"), Trouble.OTHER, ("-1000",)),
        (
            Reply(status=418, retry_after_s=90),
            Trouble.BANNED,
            ("banned this address", "until 2026-03-02T12:01:30+00:00"),
        ),
        (Reply(status=429, retry_after_s=90), Trouble.OTHER, ("got too many requests",)),
        (reply(401, -2014, "API-key format invalid."), Trouble.CREDENTIALS, ("-2014", "expired, lacks the right")),
        (
            reply(401, -2015, "Invalid API-key."),
            Trouble.CREDENTIALS,
            ("renew the secrets exchange_api_key and exchange",),
        ),
        (reply(400, -1022, "Signature"), Trouble.CREDENTIALS, ("does not sign as", "exchange_api_secret")),
        (reply(400, -1121, "Invalid symbol."), Trouble.NOT_LISTED, ("-1121",)),
    ],
)
def test_causes_are_told_apart_and_said_plainly(answered: Reply, trouble: Trouble, parts: tuple[str, ...]) -> None:
    """What a person has to do differs, so the cause is a word of its own, and the sentence holds what they need."""
    failure = read_failure(answered)
    assert failure.trouble is trouble
    assert all(part in str(failure) for part in parts), failure


def test_an_order_that_is_refused_for_its_key_or_a_ban_says_so_too() -> None:
    """The sender halts by the cause, and the ban's end stands in the order's reason."""
    refused = refusal(reply(401, -2015, "Invalid API-key, IP, or permissions for action."))
    assert refused is not None
    assert (refused.trouble, "exchange_api_key" in str(refused)) == (Trouble.CREDENTIALS, True)
    banned = refusal(Reply(status=418, retry_after_s=90))
    assert banned is not None
    assert (banned.trouble, "until 2026-03-02T12:01:30+00:00" in str(banned)) == (Trouble.BANNED, True)
    assert refusal(reply(400, -1013)).trouble is Trouble.OTHER  # type: ignore[union-attr]
