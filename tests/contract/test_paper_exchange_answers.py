"""Unmodified ccxt drives every endpoint over HTTP, and the answers have the keys and JSON types of the real venue's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_exchange import RunningExchange, account, running_exchange

DATA = Path(__file__).parent / "data"
DOCUMENTED = json.loads((DATA / "binance_documented_answers.json").read_text(encoding="utf-8"))
REAL_INFO = json.loads((DATA / "binance_exchange_info_2021.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    folder = tmp_path_factory.mktemp("exchange")
    with running_exchange(folder, accounts=(account(USDT="100000", SOL="500"),)) as running:
        yield running


@pytest.fixture(scope="module")
def client(exchange: RunningExchange) -> Any:
    client = exchange.ccxt()
    client.load_markets()
    return client


def shape(value: Any) -> Any:
    """Keys and JSON types, without the values; a list is what its first item is."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def row_shape(value: list[Any]) -> list[str]:
    """The JSON types of a row whose items mean different things."""
    return [type(item).__name__ for item in value]


def order(client: Any, **changes: Any) -> dict[str, Any]:
    params = {
        "symbol": "SOLUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1",
        "price": "99",
    }
    return client.private_post_order({**params, **changes})  # type: ignore[no-any-return]


def test_exchange_info_has_the_shape_of_a_real_one_and_ccxt_reads_its_filters(client: Any) -> None:
    info = client.public_get_exchangeinfo()
    real = REAL_INFO["symbols"][0]
    assert shape(info["rateLimits"]) == shape(REAL_INFO["rateLimits"])
    assert {name: type(info[name]) for name in REAL_INFO} == {name: type(REAL_INFO[name]) for name in REAL_INFO}
    for entry in info["symbols"]:
        common = {name: value for name, value in real.items() if name != "filters"}
        assert {name: type(entry[name]) for name in common} == {name: type(value) for name, value in common.items()}
        known = {item["filterType"]: item for item in real["filters"]} | {
            item["filterType"]: item for name, item in DOCUMENTED.items() if name.startswith("filter_")
        }
        for item in entry["filters"]:
            assert shape(item) == shape(known[item["filterType"]])
    market = client.market("BTC/USDT")
    assert market["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
    assert market["limits"]["cost"] == {"min": 10.0, "max": 9000000.0}
    assert market["limits"]["market"] == {"min": 0.0, "max": 119.59194335}
    assert client.market("SOL/USDT")["precision"]["amount"] == 0.001


def test_the_shipped_filters_have_the_values_of_the_real_ones_of_2021(client: Any) -> None:
    changed_by_the_data = {("SOLUSDT", "LOT_SIZE")}
    real = {entry["symbol"]: {item["filterType"]: item for item in entry["filters"]} for entry in REAL_INFO["symbols"]}
    for entry in client.public_get_exchangeinfo()["symbols"]:
        filters = {item["filterType"]: item for item in entry["filters"]}
        for name in ("PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS"):
            if (entry["symbol"], name) not in changed_by_the_data:
                assert filters[name] == real[entry["symbol"]][name]
        assert filters["NOTIONAL"]["minNotional"] == real[entry["symbol"]]["MIN_NOTIONAL"]["minNotional"]
        multiplier = real[entry["symbol"]]["PERCENT_PRICE"]["multiplierUp"]
        assert filters["PERCENT_PRICE_BY_SIDE"]["bidMultiplierUp"] == multiplier


@pytest.mark.parametrize(
    ("method", "params", "documented"),
    [
        ("public_get_time", {}, "time"),
        ("public_get_depth", {"symbol": "BTCUSDT"}, "depth"),
        ("public_get_ticker_24hr", {"symbol": "BTCUSDT"}, "ticker_24hr"),
        ("public_get_ticker_price", {"symbol": "BTCUSDT"}, "ticker_price"),
        ("public_get_ticker_bookticker", {"symbol": "BTCUSDT"}, "ticker_book"),
        ("private_get_account", {}, "account"),
    ],
)
def test_what_is_read_has_the_documented_shape(
    client: Any, method: str, params: dict[str, str], documented: str
) -> None:
    assert shape(getattr(client, method)(params)) == shape(DOCUMENTED[documented])


def test_klines_have_the_documented_shape(client: Any) -> None:
    (row,) = client.public_get_klines({"symbol": "BTCUSDT", "interval": "1m", "limit": 1})
    assert row_shape(row) == row_shape(DOCUMENTED["klines"][0])


def test_tickers_of_several_and_of_all_are_lists(client: Any) -> None:
    assert len(client.public_get_ticker_24hr({"symbols": '["BTCUSDT","SOLUSDT"]'})) == 2
    assert [entry["symbol"] for entry in client.public_get_ticker_price()] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert shape(client.public_get_ticker_bookticker()) == [shape(DOCUMENTED["ticker_book"])]
    assert client.public_get_ping() == {}


def test_each_kind_of_order_answer_has_the_documented_shape(client: Any) -> None:
    assert shape(order(client, newOrderRespType="ACK")) == shape(DOCUMENTED["order_ack"])
    assert shape(order(client, newOrderRespType="RESULT")) == shape(DOCUMENTED["order_result"])
    assert shape({**order(client), "fills": DOCUMENTED["order_full"]["fills"]}) == shape(DOCUMENTED["order_full"])
    maker = client.private_post_order(
        {"symbol": "SOLUSDT", "side": "SELL", "type": "LIMIT_MAKER", "quantity": "1", "price": "99"}
    )
    assert shape(maker) == shape(DOCUMENTED["order_ack"])
    client.private_delete_openorders({"symbol": "SOLUSDT"})


def test_a_filled_order_and_its_trades_have_the_documented_shapes(client: Any) -> None:
    filled = client.private_post_order({"symbol": "SOLUSDT", "side": "SELL", "type": "MARKET", "quantity": "2"})
    assert shape(filled) == shape(DOCUMENTED["order_full"])
    found = client.private_get_order({"symbol": "SOLUSDT", "orderId": filled["orderId"]})
    assert shape(found) == shape(DOCUMENTED["order"])
    assert shape(client.private_get_mytrades({"symbol": "SOLUSDT"})) == shape(DOCUMENTED["my_trades"])
    assert shape(client.private_get_allorders({"symbol": "SOLUSDT"})) == shape(DOCUMENTED["all_orders"])


def test_open_and_canceled_orders_have_the_documented_shapes(client: Any) -> None:
    first, second = order(client), order(client)
    assert shape(client.private_get_openorders({"symbol": "SOLUSDT"})) == shape(DOCUMENTED["open_orders"])
    canceled = client.private_delete_order({"symbol": "SOLUSDT", "origClientOrderId": first["clientOrderId"]})
    assert shape(canceled) == shape(DOCUMENTED["order_canceled"])
    assert canceled["origClientOrderId"] == first["clientOrderId"]
    rest = client.private_delete_openorders({"symbol": "SOLUSDT"})
    assert shape(rest) == shape(DOCUMENTED["open_orders_canceled"])
    assert second["orderId"] in [entry["orderId"] for entry in rest]
    assert (
        client.private_post_order_test({"symbol": "SOLUSDT", "side": "SELL", "type": "MARKET", "quantity": "1"}) == {}
    )


def test_ccxts_unified_calls_agree_with_one_another(client: Any, exchange: RunningExchange) -> None:
    ours = "0123456789abcdef0123456789abcdef"
    placed = client.create_order("SOL/USDT", "limit", "sell", 1.5, 95, {"clientOrderId": ours, "timeInForce": "GTC"})
    assert (placed["clientOrderId"], placed["status"], placed["remaining"]) == (ours, "open", 1.5)
    fetched = client.fetch_order(None, "SOL/USDT", {"clientOrderId": ours})
    assert (fetched["id"], fetched["price"], fetched["amount"]) == (placed["id"], 95, 1.5)
    assert [entry["id"] for entry in client.fetch_open_orders("SOL/USDT")] == [placed["id"]]
    assert client.fetch_balance()["SOL"]["used"] == 1.5
    assert client.cancel_order(None, "SOL/USDT", {"clientOrderId": ours})["status"] == "canceled"
    assert client.fetch_balance()["SOL"]["used"] == 0
    assert client.fetch_orders("SOL/USDT")[-1]["status"] == "canceled"
    client.create_order("SOL/USDT", "limit", "sell", 1, 95)
    assert len(client.cancel_all_orders("SOL/USDT")) == 1
    assert client.fetch_time() == int(exchange.clock.now().timestamp() * 1000)
    assert client.fetch_ticker("BTC/USDT")["last"] == 70906.45  # the open of the candle in progress
    assert client.fetch_last_prices(["BTC/USDT"])["BTC/USDT"]["price"] == 70906.45
    book = client.fetch_order_book("BTC/USDT")
    assert (book["bids"][0], book["asks"][0]) == ([70892.26, 0.78174], [70920.64, 0.78174])
    assert client.fetch_bids_asks(["BTC/USDT"])["BTC/USDT"]["ask"] == 70920.64
    assert client.fetch_tickers(["BTC/USDT", "ETH/USDT"])["BTC/USDT"]["ask"] == 70920.64
    candles = client.fetch_ohlcv("BTC/USDT", "1m", since=1774310280000, limit=10)
    assert candles[1] == [1774310340000, 70923.34, 70923.34, 70904.0, 70906.45, 7.81747]
    assert candles[-1] == [1774310400000, 70906.45, 70906.45, 70906.45, 70906.45, 0.0]  # in progress
    assert len(candles) == 3


def test_the_status_says_where_the_replay_stands(exchange: RunningExchange, client: Any) -> None:
    found = client.fetch(f"{exchange.url}/paper/v1/status")
    assert found == {
        "mode": "replay",
        "incarnation": 1,
        "shift_ms": 0,
        "first_candle_ms": 1774267740000,
        "ends_at_ms": 1774267740000 + 43_199 * 60_000,
        "server_time_ms": 1774310430000,
        "ended": False,
        "symbols": ["BTCUSDT", "ETHUSDT", "SOLUSDT"],
    }
