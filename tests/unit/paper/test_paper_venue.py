"""Whatever is sent and in whatever order, the venue answers in its own words and its book adds up."""

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paper_exchange import API_KEY, API_SECRET, START, account, assert_balances_follow_from_fills

from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.paper.limits import RateLimits
from trading.paper.opening import PaperSettings, open_venue
from trading.paper.venue import Answer, RawRequest, Venue

ANY_NUMBER = RateLimits(weight_per_minute=10**9, orders_per_10_seconds=10**9, orders_per_day=10**9)
SHARED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

texts = st.sampled_from(
    ["BTCUSDT", "1m", "BUY", "LIMIT", "GTC", "1", "0", "-1", "1e400", "NaN", "", "9" * 40]
) | st.text(max_size=8)
order_names = ["side", "type", "timeInForce", "quantity", "price", "quoteOrderQty", "newClientOrderId"]
other_names = [
    "symbol",
    "symbols",
    "interval",
    "orderId",
    "origClientOrderId",
    "startTime",
    "endTime",
    "limit",
    "fromId",
]
names = st.sampled_from([*order_names, *other_names, "recvWindow", "timestamp"]) | st.text(max_size=5)
endpoints = st.sampled_from(
    [("GET", path) for path in ("time", "exchangeInfo", "klines", "depth", "ticker/24hr", "ticker/price")]
    + [("GET", path) for path in ("account", "order", "openOrders", "allOrders", "myTrades")]
    + [("POST", "order"), ("POST", "order/test"), ("DELETE", "order"), ("DELETE", "openOrders")]
)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    accounts = (account(USDT="100000", SOL="500"),)
    chosen = PaperSettings(state=tmp_path / "book.sqlite", accounts=accounts, shift_weeks=0, limits=ANY_NUMBER)
    opened = open_venue(chosen, ManualClock(START))
    yield opened
    opened.close()


def send(venue: Venue, method: str, path: str, params: dict[str, str]) -> Answer:
    now_ms = to_ms(venue.clock.now())
    text = urlencode({"timestamp": now_ms, **params})
    text += "&signature=" + hmac.new(API_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    in_body = method == "POST"
    return venue.handle(
        RawRequest(
            received_ms=now_ms,
            method=method,
            path=f"/api/v3/{path}",
            query="" if in_body else text,
            body=text if in_body else "",
            api_key=API_KEY,
            client="test",
        )
    )


@SHARED
@given(endpoint=endpoints, params=st.dictionaries(names, texts, max_size=8))
def test_any_parameters_get_an_answer_or_a_refusal_but_never_an_internal_error(
    venue: Venue, endpoint: tuple[str, str], params: dict[str, str]
) -> None:
    answer = send(venue, *endpoint, params)
    assert answer.status in (200, 400, 404)
    if answer.status != 200:
        assert sorted(answer.payload) == ["code", "msg"]
        assert answer.payload["code"] < -1000


steps = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 60, 600])),
    st.tuples(st.just("cancel"), st.just(0)),
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["MARKET", "LIMIT", "LIMIT_MAKER"]),
                "quantity": st.integers(110, 500_000).map(lambda lots: f"{lots / 1000:.3f}"),
                "price": st.integers(9000, 9300).map(lambda ticks: f"{ticks / 100:.2f}"),
                "timeInForce": st.sampled_from(["GTC", "IOC", "FOK"]),
            }
        ),
    ),
)


@SHARED
@given(plan=st.lists(steps, max_size=12))
def test_after_any_orders_cancels_and_candles_the_balances_are_deposits_plus_fills(venue: Venue, plan: Any) -> None:
    for what, details in plan:
        if what == "wait":
            venue.clock.sleep(details)
        elif what == "cancel":
            send(venue, "DELETE", "openOrders", {"symbol": "SOLUSDT"})
        else:
            unused = {"MARKET": {"price", "timeInForce"}, "LIMIT_MAKER": {"timeInForce"}, "LIMIT": set()}[
                details["type"]
            ]
            params = {name: value for name, value in details.items() if name not in unused}
            answer = send(venue, "POST", "order", {"symbol": "SOLUSDT", "side": what, **params})
            assert answer.status == 200 or answer.payload["code"] in (-2010, -1013)
    venue.settle()
    assert_balances_follow_from_fills(venue.book.path)
