"""What a reply means, code by code."""

from datetime import UTC, datetime

import orjson
import pytest

from trading.adapters.ccxt_errors import (
    Reply,
    VenueRefused,
    VenueUnavailable,
    read_failure,
    refusal,
    unknown_outcome,
)
from trading.errors import ConfigurationError

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


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
    assert isinstance(read_failure(answered, venue="binance", at=AT), VenueUnavailable)


@pytest.mark.parametrize("code", [-1022, -2014, -2015])
def test_bad_credentials_stop_a_read_for_good(code: int) -> None:
    """A person must mend them."""
    assert isinstance(read_failure(reply(401, code), venue="binance", at=AT), ConfigurationError)


@pytest.mark.parametrize("code", [-1100, -1121, -2011, -2013])
def test_a_read_that_the_venue_refuses_keeps_its_code(code: int) -> None:
    """So that the caller can tell an unknown order from an unknown instrument."""
    failure = read_failure(reply(400, code, "why"), venue="binance", at=AT)
    assert isinstance(failure, VenueRefused)
    assert (failure.code, "why" in str(failure)) == (code, True)


@pytest.mark.parametrize("code", [-1000, -1001, -1003, -1006, -1007, -1008, -1016, -1021])
def test_the_venues_own_trouble_may_be_asked_again(code: int) -> None:
    """Even where it comes as a 400."""
    assert isinstance(read_failure(reply(400, code), venue="binance", at=AT), VenueUnavailable)


def test_a_wait_is_told_with_its_end() -> None:
    """Seconds for the retry, an instant for people; without a header neither is made up."""
    asked = read_failure(Reply(status=429, retry_after_s=90), venue="binance", at=AT)
    assert isinstance(asked, VenueUnavailable)
    assert (asked.retry_after_s, "until 2026-03-02T12:01:30+00:00" in str(asked)) == (90, True)
    silent = read_failure(Reply(status=418), venue="binance", at=AT)
    assert isinstance(silent, VenueUnavailable)
    assert (silent.retry_after_s, "does not say until when" in str(silent)) == (None, True)


def test_messages_are_short_whatever_came_back() -> None:
    """A page of HTML does not end up in a log line."""
    assert len(Reply(status=502, body="x" * 10_000).describe()) < 150
    assert len(reply(400, -1000, "x" * 10_000).describe()) < 200
    assert "order abc" in str(unknown_outcome("abc", "silence"))
    assert Reply(failure="ReadTimeout").describe() == "ReadTimeout"
