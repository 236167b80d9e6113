"""What the venue refuses, with the real venue's codes and texts, and that a refusal changes nothing."""

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_exchange import API_KEY, API_SECRET, START, RunningExchange, account, running_exchange

from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.paper.limits import RateLimits

NOW_MS = to_ms(START)
ORDER = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    with running_exchange(tmp_path_factory.mktemp("exchange"), accounts=(account(USDT="1000"),)) as running:
        yield running


def send(
    exchange: RunningExchange,
    method: str,
    path: str,
    params: str = "",
    *,
    key: str = API_KEY,
    secret: str | None = API_SECRET,
    timestamp: int | str | None = None,
) -> tuple[int, Any, dict[str, str]]:
    """One request as a client of its own making would send it: (status, answer, headers)."""
    if secret is not None:
        signed_at = to_ms(exchange.clock.now()) if timestamp is None else timestamp
        params = f"{params}&timestamp={signed_at}".removeprefix("&")
        params += "&signature=" + hmac.new(secret.encode(), params.encode(), hashlib.sha256).hexdigest()
    in_body = method in ("POST", "PUT")
    url = f"{exchange.url}{path}" + ("" if in_body or not params else f"?{params}")
    request = urllib.request.Request(url, data=params.encode() if in_body else None, method=method)  # noqa: S310
    if key:
        request.add_header("X-MBX-APIKEY", key)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), dict(error.headers)


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        (ORDER.replace("BTCUSDT", "BTCEUR"), -1121, "Invalid symbol."),
        (ORDER.replace("BUY", "HOLD"), -1117, "Invalid side."),
        (ORDER.replace("LIMIT", "LUCKY"), -1116, "Invalid orderType."),
        (ORDER.replace("LIMIT", "STOP_LOSS"), -2010, "Unsupported order combination"),
        (ORDER.replace("GTC", "GTX"), -1115, "Invalid timeInForce."),
        (
            ORDER.replace("&timeInForce=GTC", ""),
            -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (
            ORDER.replace("&price=60000", ""),
            -1102,
            "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
        ),
        (ORDER.replace("0.001", ""), -1105, "Parameter 'quantity' was empty."),
        (
            ORDER.replace("0.001", "-1"),
            -1100,
            r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'.",
        ),
        (
            ORDER.replace("0.001", "1e-3"),
            -1100,
            r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'.",
        ),
        (ORDER.replace("0.001", "0.000000001"), -1111, "Parameter 'quantity' has too much precision."),
        (ORDER.replace("0.001", "0"), -1013, "Invalid quantity."),
        (ORDER.replace("60000", "0"), -1013, "Invalid price."),
        (ORDER.replace("60000", "60000.001"), -1013, "Filter failure: PRICE_FILTER"),
        (ORDER.replace("60000", "10000"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (ORDER.replace("0.001", "0.000005"), -1013, "Filter failure: LOT_SIZE"),
        (ORDER.replace("0.001", "0.0001"), -1013, "Filter failure: NOTIONAL"),
        (ORDER.replace("0.001", "1"), -2010, "Account has insufficient balance for requested action."),
        (ORDER.replace("BUY", "SELL"), -2010, "Account has insufficient balance for requested action."),
        (
            ORDER + "&newClientOrderId=spaces%20here",
            -1100,
            r"Illegal characters found in parameter 'newClientOrderId'; legal range is '^[\.A-Z\:/a-z0-9_-]{1,36}$'.",
        ),
        (ORDER + "&quantity=0.002", -1101, "Duplicate values for a parameter detected."),
        (
            ORDER + "&icebergQty=0.001",
            -1104,
            "Not all sent parameters were read; read '8' parameter(s) but was sent '9'.",
        ),
        (ORDER + "&newOrderRespType=LONG", -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&price=60000",
            -1106,
            "Parameter 'price' sent when not required.",
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET",
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        ),
        ("symbol=BTCUSDT&side=SELL&type=MARKET&quantity=120", -1013, "Filter failure: MARKET_LOT_SIZE"),
        (ORDER + "&recvWindow=60001", -1102, "'recvWindow' contains unexpected value. Cannot be greater than 60000."),
    ],
)
def test_an_order_is_refused_with_the_real_code_and_text_and_changes_nothing(
    exchange: RunningExchange, params: str, code: int, text: str
) -> None:
    before = exchange.rows("SELECT * FROM balances")
    for path in ("/api/v3/order", "/api/v3/order/test"):
        status, answer, _ = send(exchange, "POST", path, params)
        assert (status, answer) == (400, {"code": code, "msg": text})
    assert exchange.rows("SELECT * FROM orders") == []
    assert exchange.rows("SELECT * FROM balances") == before
    assert exchange.rows("SELECT code FROM request_log ORDER BY id DESC LIMIT 1") == [{"code": code}]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({"key": ""}, 401, -2014),
        ({"key": "not a key!"}, 401, -2014),
        ({"key": "x" * 64}, 401, -2015),
        ({"secret": "wrong"}, 400, -1022),
        ({"secret": None}, 400, -1102),
        ({"timestamp": ""}, 400, -1105),
        ({"timestamp": "soon"}, 400, -1100),
        ({"timestamp": NOW_MS - 5001}, 400, -1021),
        ({"timestamp": NOW_MS - 5000}, 200, None),
        ({"timestamp": NOW_MS + 1000}, 400, -1021),
        ({"timestamp": NOW_MS + 999}, 200, None),
    ],
)
def test_only_a_timely_request_with_the_right_key_and_signature_is_answered(
    exchange: RunningExchange, how: dict[str, Any], status: int, code: int | None
) -> None:
    found, answer, _ = send(exchange, "GET", "/api/v3/account", **how)
    assert (found, answer.get("code")) == (status, code)


@pytest.mark.parametrize(("window", "status"), [("1999", 400), ("2000", 200), ("2000.5", 200)])
def test_recv_window_is_the_age_that_a_request_may_have(exchange: RunningExchange, window: str, status: int) -> None:
    found, _, _ = send(exchange, "GET", "/api/v3/account", f"recvWindow={window}", timestamp=NOW_MS - 2000)
    assert found == status


def test_a_request_that_grew_too_old_on_its_way_to_matching_is_refused(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    class SlowClock(ManualClock):
        """One second passes with every look at the clock."""

        def now(self) -> Any:
            self.advance(1)
            return super().now()

    with running_exchange(tmp_path, clock=SlowClock(START)) as slow:
        signed_at = to_ms(ManualClock.now(slow.clock))
        status, answer, _ = send(slow, "POST", "/api/v3/order", f"{ORDER}&recvWindow=2500", timestamp=signed_at)
        assert (status, answer["code"]) == (400, -1021)
        assert slow.rows("SELECT * FROM orders") == []


@pytest.mark.parametrize(
    ("method", "path", "params", "status", "code"),
    [
        ("GET", "/api/v3/nothing", "", 404, -1020),
        ("PUT", "/api/v3/order", "", 404, -1020),
        ("PATCH", "/api/v3/time", "", 404, -1020),
        ("GET", "/api/v3/klines", "symbol=BTCUSDT&interval=2m", 400, -1120),
        ("GET", "/api/v3/klines", "symbol=BTCUSDT", 400, -1102),
        ("GET", "/api/v3/klines", "symbol=BTCUSDT&interval=1m&limit=0", 400, -1130),
        ("GET", "/api/v3/klines", "symbol=BTCUSDT&interval=1m&startTime=99999999999999999999", 400, -1108),
        ("GET", "/api/v3/klines", "symbol=BTCUSDT&interval=1m&surprise=1", 400, -1104),
        ("GET", "/api/v3/depth", "symbol=NOPE", 400, -1121),
        ("GET", "/api/v3/ticker/price", "symbol=BTCUSDT&symbols=%5B%22BTCUSDT%22%5D", 400, -1128),
        ("GET", "/api/v3/ticker/price", "symbols=BTCUSDT", 400, -1100),
    ],
)
def test_public_requests_are_refused_as_json_too(
    *, exchange: RunningExchange, method: str, path: str, params: str, status: int, code: int
) -> None:
    found, answer, headers = send(exchange, method, path, params, key="", secret=None)
    assert (found, answer["code"], sorted(answer)) == (status, code, ["code", "msg"])
    assert headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ("symbol=BTCUSDT", -1102),
        ("symbol=BTCUSDT&orderId=1", -2013),
        ("symbol=BTCUSDT&origClientOrderId=nobody", -2013),
        ("origClientOrderId=nobody", -1102),
    ],
)
def test_asking_for_an_order_that_is_not_there(exchange: RunningExchange, params: str, code: int) -> None:
    status, answer, _ = send(exchange, "GET", "/api/v3/order", params)
    assert (status, answer["code"]) == (400, code)


def test_a_body_without_end_is_refused(exchange: RunningExchange) -> None:
    status, answer, _ = send(exchange, "POST", "/api/v3/order", "x=" + "1" * 100_000)
    assert (status, answer["code"]) == (413, -1101)


def test_weight_is_counted_shown_and_limited_with_retry_after(tmp_path: Path) -> None:
    with running_exchange(tmp_path, limits=RateLimits(weight_per_minute=50)) as exchange:
        _, _, headers = send(exchange, "GET", "/api/v3/exchangeInfo", key="", secret=None)
        assert headers["x-mbx-used-weight-1m"] == "20"
        send(exchange, "GET", "/api/v3/account")
        status, answer, headers = send(exchange, "GET", "/api/v3/account")
        assert (status, answer["code"], headers["retry-after"]) == (429, -1003, "30")  # it is 00:00:30
        assert headers["x-mbx-used-weight-1m"] == "60"
        exchange.clock.advance(30)
        assert send(exchange, "GET", "/api/v3/account")[0] == 200


def test_new_orders_are_counted_shown_and_limited(tmp_path: Path) -> None:
    with running_exchange(tmp_path, limits=RateLimits(orders_per_10_seconds=2)) as exchange:
        counts = [send(exchange, "POST", "/api/v3/order", ORDER)[2]["x-mbx-order-count-10s"] for _ in range(2)]
        assert counts == ["1", "2"]
        status, answer, headers = send(exchange, "POST", "/api/v3/order", ORDER)
        assert (status, answer["code"], headers["retry-after"]) == (429, -1015, "10")
        assert len(exchange.rows("SELECT * FROM orders")) == 2


def test_after_the_samples_end_orders_are_refused_and_everything_says_so(tmp_path: Path) -> None:
    with running_exchange(tmp_path) as exchange:
        exchange.clock.advance(30 * 86_400)
        assert send(exchange, "GET", "/paper/v1/status", key="", secret=None)[1]["ended"] is True
        status, answer, _ = send(exchange, "POST", "/api/v3/order", ORDER)
        assert (status, answer) == (400, {"code": -2010, "msg": "Market is closed."})
        _, info, _ = send(exchange, "GET", "/api/v3/exchangeInfo", key="", secret=None)
        assert {entry["status"] for entry in info["symbols"]} == {"BREAK"}
        _, klines, _ = send(
            exchange, "GET", "/api/v3/klines", "symbol=BTCUSDT&interval=1m&limit=1", key="", secret=None
        )
        assert klines[0][4] == "78314.31000000"  # the sample's last close is still there to be read
