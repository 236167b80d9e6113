"""Orders through ccxt over HTTP: fills worked out by hand, and a book whose balances equal its fills exactly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_exchange import RunningExchange, account, assert_balances_follow_from_fills, running_exchange

OURS = "0123456789abcdef0123456789abcde"


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[RunningExchange]:
    with running_exchange(tmp_path, accounts=(account(USDT="100000", SOL="500"),)) as running:
        yield running
        assert_balances_follow_from_fills(running.state)


@pytest.fixture
def client(exchange: RunningExchange) -> Any:
    return exchange.ccxt()


def test_a_market_buy_on_a_shipped_candle_equals_the_figures_worked_out_by_hand(
    exchange: RunningExchange, client: Any
) -> None:
    # 2026-03-24 00:00:30. The candle of 00:00 opens at 70906.45; the one before it traded 7.81747 BTC.
    # share      7.81747 x 10 % = 0.781747, so 0.5 is there to be had
    # price      70906.45 x 1.0002 = 70920.63129, up to the tick: 70920.64
    # cost       70920.64 x 0.5 = 35460.32
    # fee        0.5 x 0.1 % = 0.0005 BTC
    # balances   100000 - 35460.32 = 64539.68 USDT; 0.5 - 0.0005 = 0.4995 BTC
    placed = client.create_order("BTC/USDT", "market", "buy", 0.5, None, {"clientOrderId": OURS})
    assert placed["status"] == "closed"
    (fill,) = exchange.rows("SELECT * FROM fills")
    assert {
        name: fill[name] for name in ("price", "qty", "quote_qty", "commission", "commission_asset", "is_maker")
    } == {
        "price": "70920.64",
        "qty": "0.5",
        "quote_qty": "35460.32",
        "commission": "0.0005",
        "commission_asset": "BTC",
        "is_maker": 0,
    }
    assert (fill["time_ms"], fill["candle_open_ms"]) == (1774310430000, 1774310400000)
    free = {row["asset"]: row["free"] for row in exchange.rows("SELECT * FROM balances")}
    assert free == {"BTC": "0.4995", "USDT": "64539.68", "SOL": "500"}


def test_a_resting_sell_on_shipped_candles_equals_the_figures_worked_out_by_hand(
    exchange: RunningExchange, client: Any
) -> None:
    # 2026-03-24 00:00:30. SOL's candle of 00:00 opens at 91.44; a sell at 91.60 rests.
    # 00:00  high 91.68 > 91.60: crossed. 3791.861 x 10 % = 379.1861, in lots 379.186 of the 400
    #        379.186 x 91.60 = 34733.4376 USDT, fee 34.7334376
    # 00:01  high 91.67 > 91.60: crossed. 4222.608 x 10 % = 422.26: the other 20.814
    #        20.814 x 91.60 = 1906.5624 USDT, fee 1.9065624
    # sum    400 x 91.60 = 36640, fees 36.64: 136603.36 USDT and 100 SOL
    client.create_order("SOL/USDT", "limit", "sell", 400, 91.6, {"clientOrderId": OURS, "timeInForce": "GTC"})
    assert client.fetch_open_orders("SOL/USDT")[0]["filled"] == 0
    exchange.clock.advance(30)  # 00:01:00, the very instant of the close
    assert client.fetch_order(None, "SOL/USDT", {"clientOrderId": OURS})["filled"] == 379.186
    exchange.clock.advance(60)
    assert client.fetch_order(None, "SOL/USDT", {"clientOrderId": OURS})["status"] == "closed"
    first, second = exchange.rows("SELECT * FROM fills ORDER BY trade_id")
    assert (first["price"], first["qty"], first["commission"]) == ("91.6", "379.186", "34.7334376")
    assert (second["price"], second["qty"], second["commission"]) == ("91.6", "20.814", "1.9065624")
    assert (first["time_ms"], second["time_ms"]) == (1774310460000, 1774310520000)
    assert {first["is_maker"], second["is_maker"]} == {1}
    free = {row["asset"]: row["free"] for row in exchange.rows("SELECT * FROM balances")}
    assert free == {"SOL": "100", "USDT": "136603.36"}


def test_a_market_order_beyond_the_share_of_volume_fills_in_part_and_expires(
    exchange: RunningExchange, client: Any
) -> None:
    order = client.create_order("SOL/USDT", "market", "sell", 200)
    assert (order["status"], order["filled"]) == ("expired", 106.841)  # 1068.41 x 10 %
    again = client.create_order("SOL/USDT", "market", "sell", 1)
    assert (again["status"], again["filled"]) == ("expired", 0)  # the candle's share is used up
    exchange.clock.advance(60)
    assert client.create_order("SOL/USDT", "market", "sell", 1)["status"] == "closed"


def test_a_market_buy_for_an_amount_of_quote_buys_whole_lots(exchange: RunningExchange, client: Any) -> None:
    order = client.create_order("BTC/USDT", "market", "buy", None, None, {"quoteOrderQty": 1000})
    assert order["filled"] == 0.0141  # 1000 / 70920.64 = 0.014100...
    assert order["info"]["origQuoteOrderQty"] == "1000.00000000"


@pytest.mark.parametrize(
    ("time_in_force", "amount", "status", "filled"),
    [
        ("IOC", 200, "expired", 106.841),
        ("FOK", 200, "expired", 0),
        ("FOK", 100, "closed", 100),
        ("GTC", 200, "open", 106.841),
    ],
)
def test_time_in_force_decides_about_what_the_candle_cannot_give(
    *, exchange: RunningExchange, client: Any, time_in_force: str, amount: float, status: str, filled: float
) -> None:
    order = client.create_order("SOL/USDT", "limit", "sell", amount, 90, {"timeInForce": time_in_force})
    assert (order["status"], order["filled"]) == (status, filled)
    assert all(fill["price"] == "91.42" for fill in exchange.rows("SELECT price FROM fills"))  # better than its limit


def test_a_limit_that_got_a_better_price_gets_the_difference_back(exchange: RunningExchange, client: Any) -> None:
    client.create_order("BTC/USDT", "limit", "buy", 0.1, 80000)
    (usdt,) = exchange.rows("SELECT free, locked FROM balances WHERE asset = 'USDT'")
    assert (usdt["free"], usdt["locked"]) == ("92907.936", "0")  # 100000 - 7092.064


def test_post_only_rests_or_is_refused(exchange: RunningExchange, client: Any) -> None:
    resting = client.create_order("SOL/USDT", "limit", "sell", 1, 91.43, {"postOnly": True})
    assert client.fetch_order(resting["id"], "SOL/USDT")["type"] == "limit"
    with pytest.raises(Exception, match="Order would immediately match and take"):
        client.create_order("SOL/USDT", "limit", "sell", 1, 91.42, {"postOnly": True})


def test_a_client_order_id_is_refused_while_open_and_accepted_again_after_a_fill(
    exchange: RunningExchange, client: Any
) -> None:
    same = {"clientOrderId": OURS}
    first = client.create_order("SOL/USDT", "limit", "sell", 1, 91.6, same)
    with pytest.raises(Exception, match=r"-2010.*Duplicate order sent\."):
        client.create_order("SOL/USDT", "market", "sell", 1, None, same)
    exchange.clock.advance(30)
    assert client.fetch_order(first["id"], "SOL/USDT")["status"] == "closed"
    second = client.create_order("SOL/USDT", "market", "sell", 1, None, same)
    assert second["id"] != first["id"]
    assert client.fetch_order(None, "SOL/USDT", same)["id"] == second["id"]  # the newest of that id


def test_an_order_that_is_over_cannot_be_canceled(exchange: RunningExchange, client: Any) -> None:
    filled = client.create_order("SOL/USDT", "market", "sell", 1)
    for order_id in (filled["id"], "999"):
        with pytest.raises(Exception, match=r"-2011.*Unknown order sent\."):
            client.cancel_order(order_id, "SOL/USDT")
    with pytest.raises(Exception, match=r"-2011.*Unknown order sent\."):
        client.cancel_all_orders("SOL/USDT")


def test_a_partly_filled_order_that_is_canceled_keeps_its_fills_and_frees_the_rest(
    exchange: RunningExchange, client: Any
) -> None:
    placed = client.create_order("SOL/USDT", "limit", "sell", 400, 91.6)
    exchange.clock.advance(30)
    canceled = client.cancel_order(placed["id"], "SOL/USDT")
    assert (canceled["status"], canceled["filled"]) == ("canceled", 379.186)
    (sol,) = exchange.rows("SELECT free, locked FROM balances WHERE asset = 'SOL'")
    assert (sol["free"], sol["locked"]) == ("120.814", "0")


def test_a_touch_does_not_fill(exchange: RunningExchange, client: Any) -> None:
    placed = client.create_order("SOL/USDT", "limit", "sell", 1, 91.68)  # the high of 00:00
    exchange.clock.advance(30)
    assert client.fetch_order(placed["id"], "SOL/USDT")["filled"] == 0


def test_trades_are_paged_by_window_id_and_order(exchange: RunningExchange, client: Any) -> None:
    for _ in range(5):
        client.create_order("SOL/USDT", "market", "sell", 1)
        exchange.clock.advance(60)
    trades = client.private_get_mytrades({"symbol": "SOLUSDT"})
    ids = [trade["id"] for trade in trades]
    assert ids == sorted(ids)
    start = trades[1]["time"]

    def asked(**params: Any) -> list[int]:
        return [trade["id"] for trade in client.private_get_mytrades({"symbol": "SOLUSDT", **params})]

    assert asked(startTime=start) == ids[1:]
    assert asked(startTime=start, endTime=trades[3]["time"]) == ids[1:4]
    assert asked(startTime=start, limit=2) == ids[1:3]
    assert asked(endTime=trades[3]["time"], limit=2) == ids[2:4]
    assert asked(fromId=ids[2]) == ids[2:]
    assert asked(limit=2) == ids[3:]
    assert asked(orderId=trades[2]["orderId"]) == [ids[2]]
    assert asked(startTime=start - 90_000_000) == ids[:0]  # 25 hours back: the 24 hours from there hold none
    with pytest.raises(Exception, match=r"-1127.*More than 24 hours between startTime and endTime\."):
        asked(startTime=start, endTime=start + 86_400_001)
    with pytest.raises(Exception, match=r"-1128"):
        asked(startTime=start, fromId=ids[0])


def test_every_request_is_in_the_log_without_signature_or_key(exchange: RunningExchange, client: Any) -> None:
    client.create_order("SOL/USDT", "market", "sell", 1, None, {"clientOrderId": OURS})
    with pytest.raises(Exception, match="-2013"):
        client.fetch_order(None, "SOL/USDT", {"clientOrderId": "nobody"})
    client.fetch_time()
    log = exchange.rows("SELECT * FROM request_log ORDER BY id")
    assert [(row["method"], row["path"], row["status"], row["code"], row["client_order_id"]) for row in log] == [
        ("GET", "/api/v3/exchangeInfo", 200, None, None),
        ("POST", "/api/v3/order", 200, None, OURS),
        ("GET", "/api/v3/order", 400, -2013, "nobody"),
        ("GET", "/api/v3/time", 200, None, None),
    ]
    assert [row["account"] for row in log] == [None, "default", "default", None]
    text = str(log)
    assert "signature" not in text
    assert client.apiKey not in text
    assert client.secret not in text
