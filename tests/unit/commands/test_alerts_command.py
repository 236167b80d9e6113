"""`trading alerts`: a test of each channel, and what was told to whom."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.alert_receiver import TOKEN, AlertReceiver
from tests.desk import Desk
from tests.examples import ACCOUNT
from tests.unit.commands.conftest import Trading
from trading.alerting import Alerting
from trading.manager import TradingManager

Write = Callable[[str, str], Path]


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    with AlertReceiver() as one:
        yield one


def test_each_channel_is_tested_and_named_without_its_address(
    trading: Trading, desk: Desk, secret: Write, receiver: AlertReceiver
) -> None:
    """One that takes the message, and one that nobody listens at."""
    secret("alert_url", receiver.url)
    secret("alert_url_gone", f"json://127.0.0.1:9/{TOKEN}")
    said = trading("alerts", "test")
    assert said.out.splitlines() == ["✓ alert_url (JSON)", "✗ alert_url_gone (JSON): it could not be reached"]
    assert said.code == 1
    assert receiver.titles() == ["[replay replay] test: alerts arrive here"]
    assert TOKEN not in said.out + said.err
    assert trading("alerts", "test", "--channel", "alert_url").code == 0


@pytest.mark.parametrize(
    ("url", "complaint"),
    [(None, "no channel to test"), ("nonsense://" + TOKEN, "is no address that Apprise knows")],
)
def test_what_is_missing_or_wrong_is_said_without_the_address(
    trading: Trading, desk: Desk, secret: Write, url: str | None, complaint: str
) -> None:
    if url:
        secret("alert_url", url)
    said = trading("alerts", "test")
    assert said.code == 78
    assert complaint in said.err
    assert TOKEN not in said.out + said.err


def test_the_list_says_whom_an_alert_reached(trading: Trading, desk: Desk, secret: Write) -> None:
    """And that it reached nobody yet, where it did not."""
    assert trading("alerts", "list").out == "no alert yet\n"
    desk.halt(reason="enough")
    Alerting(TradingManager.from_env(os.environ)).step()
    secret("alert_url", f"json://127.0.0.1:9/{TOKEN}")
    (row,) = json.loads(trading("alerts", "list", "--json").out)
    assert (row["kind"], row["severity"], row["look"]) == ("halt_engaged", "critical", "trading killswitch status")
    assert row["delivered"] == "alert_url: not yet"
    assert "enough" in row["sentence"]
    assert desk.read(lambda books: books.alerts.recent(ACCOUNT, 1))


def test_doctor_and_secrets_name_the_channels(trading: Trading, desk: Desk, secret: Write) -> None:
    trading("secrets", "init")
    secret("alert_url_phone", "ntfy://127.0.0.1/topic")
    assert "alert_url_phone" in trading("secrets", "status").out
    checks = {check["name"]: check for check in json.loads(trading("doctor", "--json").out)["checks"]}
    assert checks["alerts"]["sentence"] == "alert_url_phone (ntfy); `trading alerts test` sends to each"
