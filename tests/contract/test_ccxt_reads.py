"""Reads through the adapter: repeated within bounds, exact, and never taken for more than the venue said."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import stamina
from ccxt_examples import NOW, REQUEST, YES, exchange_at
from scripted_venue import ScriptedVenue, answer, drip, error, reset, truncated

from trading.adapters.ccxt_exchange import CcxtExchange, load_binance
from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.domain.venue_order import VenueOrderStatus
from trading.errors import (
    ConfigurationError,
    DataError,
    ExchangeUnavailable,
    OrderRejected,
)

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.mark.parametrize(
    "action",
    [reset, truncated([]), answer(""), answer("<html>", 502), answer("<html>", 403), error(-1007, "", 504), drip],
)
def test_a_read_is_tried_again(venue: ScriptedVenue, action: object) -> None:
    """Two failures, then the answer."""
    venue.will(action, action, answer({"serverTime": to_ms(NOW)}))  # type: ignore[arg-type]
    assert exchange_at(venue, timeout_s=0.3).server_time() == NOW
    assert venue.count("GET") == 3


def test_a_read_is_given_up_after_three_attempts(venue: ScriptedVenue) -> None:
    """Then it says what came back."""
    venue.will(*[answer("<html>Bad Gateway</html>", 502)] * 4)
    with pytest.raises(ExchangeUnavailable, match="HTTP 502 with the body '<html>Bad Gateway"):
        exchange_at(venue).server_time()
    assert venue.count("GET") == 3


def test_retries_are_logged_and_never_printed(
    venue: ScriptedVenue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to the answers of commands."""
    venue.will(reset, answer({"serverTime": to_ms(NOW)}))
    exchange_at(venue).server_time()
    assert [record.name for record in caplog.records] == ["stamina"]
    assert capfd.readouterr().out == ""


def test_retry_after_is_waited_for_where_it_fits(venue: ScriptedVenue) -> None:
    """The wait is the one that the venue named."""
    waits: list[float] = []
    exchange = exchange_at(venue)
    venue.will(answer({"serverTime": 1}))
    exchange.server_time()  # the first read chooses where retries are told
    stamina.set_testing(False)
    before = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([lambda details: waits.append(details.wait_for)])
    try:
        venue.will(error(-1003, "Too many requests.", 429, {"Retry-After": "0.2"}), answer({"serverTime": to_ms(NOW)}))
        assert exchange.server_time() == NOW
    finally:
        stamina.instrumentation.set_on_retry_hooks(before)
    assert waits == [0.2]


@pytest.mark.parametrize("absurd", ["NaN", "Infinity", "1e400", "1e999999999", "0x10", "", " 1", "9" * 31])
def test_an_absurd_amount_is_refused(venue: ScriptedVenue, absurd: str) -> None:
    """Before any arithmetic could fail over it."""
    venue.will(answer({"balances": [{"asset": "BTC", "free": absurd, "locked": "1"}]}))
    with pytest.raises(DataError, match="expected an amount in plain digits"):
        exchange_at(venue).balances()


@pytest.mark.parametrize("status", [418, 429])
def test_a_long_ban_is_told_and_not_tried_against(venue: ScriptedVenue, status: int) -> None:
    """Asking again would lengthen it; the message says until when."""
    venue.will(error(-1003, "Way too many requests.", status, {"Retry-After": "120"}))
    with pytest.raises(ExchangeUnavailable, match=re.escape("until 2026-03-02T12:02:07+00:00")):
        exchange_at(venue).server_time()
    assert venue.count("GET") == 1


def test_bad_credentials_are_a_setting_not_an_outage(venue: ScriptedVenue) -> None:
    """Trying again would not help, and a person must look."""
    venue.will(error(-2015, "Invalid API-key, IP, or permissions for action.", 401))
    with pytest.raises(ConfigurationError, match="refused the API key"):
        exchange_at(venue).balances()
    assert venue.count("GET") == 1


def test_reads_wait_for_the_next_minute_when_the_weight_is_nearly_used(venue: ScriptedVenue) -> None:
    """The venue counts everybody at this address; an order is sent all the same."""
    clock = ManualClock(NOW)
    exchange = exchange_at(venue, clock)
    heavy = {"X-MBX-USED-WEIGHT-1M": "4800"}
    venue.will(answer({"serverTime": 1}, headers=heavy), answer(YES, headers=heavy), answer({"serverTime": 2}))
    exchange.server_time()
    exchange.submit(REQUEST)
    assert clock.now() == NOW
    exchange.server_time()
    assert clock.now() == datetime(2026, 3, 2, 12, 1, tzinfo=UTC)


def test_an_order_that_the_venue_does_not_know_is_none(venue: ScriptedVenue) -> None:
    """Only the venue's own code for it counts; any other refusal is an error."""
    venue.will(error(-2013, "Order does not exist."), error(-1121, "Invalid symbol."))
    exchange = exchange_at(venue)
    assert exchange.order("BTC/USDT", REQUEST.client_order_id) is None
    with pytest.raises(DataError, match="-1121"):
        exchange.order("BTC/USDT", REQUEST.client_order_id)
    assert venue.arrived[0].parameters["origClientOrderId"] == REQUEST.client_order_id


def test_an_answer_about_another_order_is_no_evidence(venue: ScriptedVenue) -> None:
    """It is an error of the venue's, not an order of ours."""
    venue.will(answer({**YES, "time": to_ms(NOW), "clientOrderId": "f" * 32}))
    with pytest.raises(DataError, match="answered about"):
        exchange_at(venue).order("BTC/USDT", REQUEST.client_order_id)


def test_nothing_to_cancel_is_a_rejection(venue: ScriptedVenue) -> None:
    """With the venue's code; an outage on the way is tried again."""
    venue.will(answer("", 502), error(-2011, "Unknown order sent."))
    with pytest.raises(OrderRejected) as caught:
        exchange_at(venue).cancel("BTC/USDT", REQUEST.client_order_id)
    assert caught.value.code == "-2011"
    assert venue.count("DELETE") == 2


def test_another_refusal_of_a_cancel_is_not_nothing_to_cancel(venue: ScriptedVenue) -> None:
    """The order may well still rest."""
    venue.will(error(-1121, "Invalid symbol."))
    with pytest.raises(DataError, match="-1121"):
        exchange_at(venue).cancel("BTC/USDT", REQUEST.client_order_id)


def test_open_orders_of_an_instrument_that_nobody_asked_for_are_named(venue: ScriptedVenue) -> None:
    """The venue is asked what its symbol stands for; that symbol's name alone does not tell base from quote."""
    resting = {**YES, "time": to_ms(NOW), "symbol": "ADABTC", "status": "NEW", "executedQty": "0.0"}
    info = {"symbols": [{"symbol": "ADABTC", "baseAsset": "ADA", "quoteAsset": "BTC"}]}
    venue.will(answer([resting]), answer(info))
    (order,) = exchange_at(venue).open_orders()
    assert (order.instrument, order.status) == ("ADA/BTC", VenueOrderStatus.OPEN)


def wire_fill(number: int, at: datetime) -> dict[str, object]:
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": 28,
        "price": "60000.10",
        "qty": "0.00100000",
        "commission": "0.00000100",
        "commissionAsset": "BTC",
        "time": to_ms(at),
        "isBuyer": True,
        "isMaker": False,
    }


def test_fills_come_from_all_windows_and_pages_each_once(venue: ScriptedVenue) -> None:
    """Two windows of a day; the first is full, so that its rest is asked for by number, though it repeats."""
    since, until = NOW - timedelta(hours=30), NOW
    first = [wire_fill(number, since + timedelta(seconds=number)) for number in range(1000)]
    rest = [first[-1], wire_fill(1000, since + timedelta(hours=1)), wire_fill(1001, since + timedelta(hours=25))]
    later = [wire_fill(1001, since + timedelta(hours=25)), wire_fill(1002, until)]
    venue.will(answer(first), answer(rest), answer(later))
    fills = exchange_at(venue).fills("BTC/USDT", since=since, until=until)
    assert [fill.venue_fill_id for fill in fills] == [str(number) for number in range(1002)]
    assert (fills[0].price, fills[0].fee, fills[0].fee_currency) == (Decimal("60000.10"), Decimal("0.000001"), "BTC")
    assert fills[0].client_order_id == ""
    asked = [request.parameters for request in venue.arrived]
    assert asked[1]["fromId"] == "1000"
    assert "startTime" not in asked[1]
    spans = [int(asked[index]["endTime"]) - int(asked[index]["startTime"]) for index in (0, 2)]
    assert spans == [86_400_000 - 1, 6 * 3_600_000 - 1]


def test_fills_that_never_end_are_refused(venue: ScriptedVenue) -> None:
    """A venue that gives the same full page again would be asked for ever."""
    page = answer([wire_fill(number, NOW - timedelta(hours=1)) for number in range(1000)])
    venue.will(page, page, page)
    with pytest.raises(DataError, match="the page after 999 ends with 999"):
        exchange_at(venue).fills("BTC/USDT", since=NOW - timedelta(hours=2), until=NOW)


def test_a_full_page_of_orders_is_followed_by_number(venue: ScriptedVenue) -> None:
    """The orders after it are asked for from the next number on, without a window that would hide some."""
    since = NOW - timedelta(hours=2)

    def wire(number: int) -> dict[str, object]:
        return {**YES, "orderId": number, "clientOrderId": f"{number:032x}", "time": to_ms(since) + number}

    venue.will(answer([wire(number) for number in range(1000)]), answer([wire(1000)]))
    told = exchange_at(venue).order_history("BTC/USDT", since=since, until=NOW)
    assert [order.venue_order_id for order in told] == [str(number) for number in range(1001)]
    first, second = (request.parameters for request in venue.arrived)
    assert (first["startTime"], first["endTime"]) == (str(to_ms(since)), str(to_ms(NOW) - 1))
    assert second["orderId"] == "1000"
    assert not {"startTime", "endTime"} & second.keys()


def test_money_never_passes_through_a_float(venue: ScriptedVenue) -> None:
    """More digits than a float holds arrive unharmed, and a number that is not text is refused."""
    exact = "12345678901234567890.123456789012345678"
    venue.will(
        answer(
            {
                "balances": [
                    {"asset": "PEPE", "free": exact, "locked": "0.1"},
                    {"asset": "X", "free": "0.0", "locked": "0"},
                ]
            }
        ),
        answer({"balances": [{"asset": "BTC", "free": 0.1, "locked": "0"}]}),
    )
    exchange = exchange_at(venue)
    held = exchange.balances()
    assert held.keys() == {"PEPE"}
    assert held["PEPE"].free == Decimal(exact)
    with pytest.raises(DataError, match=re.escape("expected text, got 0.1")):
        exchange.balances()


def test_a_venue_that_cannot_be_trusted_with_orders_is_refused() -> None:
    """With the reason, and the venues that can."""
    with pytest.raises(ConfigurationError, match=r"our order id does not work on create_order.*binance"):
        CcxtExchange("coinbase", clock=ManualClock(NOW))
    with pytest.raises(ConfigurationError, match="recvWindow"):
        CcxtExchange("binance", clock=ManualClock(NOW), recv_window_ms=60_001)


CHEAP_IMPORT = """
import sys, time
import trading.adapters.ccxt_exchange as adapter
assert "ccxt" not in sys.modules and "requests" not in sys.modules, "the file alone must cost nothing"
start = time.process_time()
binance = adapter.load_binance()
print(time.process_time() - start)
others = [name for name in sys.modules if name.startswith("ccxt.") and name.count(".") == 1]
assert sorted(others) == ["ccxt.abstract", "ccxt.base", "ccxt.binance"], others
import ccxt
assert ccxt.binance is binance and len(ccxt.exchanges) > 50, "the whole package must still be importable"
assert adapter.load_binance() is binance
"""


def test_only_one_venue_of_ccxt_is_imported() -> None:
    """In a fresh process: the class works, the other hundred stay out, and a later `import ccxt` gets all of it."""
    run = subprocess.run([sys.executable, "-c", CHEAP_IMPORT], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    sys.stdout.write(f"ccxt.binance imported in {float(run.stdout):.2f} s of CPU\n")
    assert load_binance().__name__ == "binance"
