"""What the exchange does with time while it is away: missed candles, restarts, and the sample's end."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from paper_exchange import START, account, running_exchange

from trading.clock import ManualClock
from trading.errors import ConfigurationError
from trading.paper.opening import PaperSettings, open_venue

WITH_SOL = (account(USDT="100000", SOL="500"),)


def fills(state: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(state) as book:
        return book.execute("SELECT * FROM fills ORDER BY trade_id").fetchall()


def test_orders_left_resting_meet_the_missed_candles_at_restart_exactly_as_if_it_had_run(tmp_path: Path) -> None:
    away, present = tmp_path / "away", tmp_path / "present"
    clock = ManualClock(START)
    with running_exchange(away, clock=clock, accounts=WITH_SOL) as exchange:
        exchange.ccxt().create_order("SOL/USDT", "limit", "sell", 400, 91.6)
    clock.advance(600)  # ten candles close while nobody is there
    with running_exchange(away, clock=clock, accounts=WITH_SOL) as exchange:
        assert exchange.ccxt().fetch_orders("SOL/USDT")[0]["status"] == "closed"
    with running_exchange(present, accounts=WITH_SOL) as exchange:
        client = exchange.ccxt()
        client.create_order("SOL/USDT", "limit", "sell", 400, 91.6)
        for _ in range(10):
            exchange.clock.advance(60)
            client.fetch_time()
    assert len(fills(away / "exchange.sqlite")) == 2
    assert fills(away / "exchange.sqlite") == fills(present / "exchange.sqlite")


def test_a_restart_keeps_the_book_and_its_accounts(tmp_path: Path) -> None:
    clock = ManualClock(START)
    with running_exchange(tmp_path, clock=clock) as exchange:
        exchange.ccxt().create_order("BTC/USDT", "market", "buy", 0.1)
        before = exchange.rows("SELECT * FROM balances")
    with running_exchange(tmp_path, clock=clock) as exchange:
        assert exchange.rows("SELECT * FROM balances") == before
        assert exchange.ccxt().fetch_balance()["BTC"]["free"] == 0.0999


def test_the_shift_is_fixed_at_the_first_start(tmp_path: Path) -> None:
    clock = ManualClock(START + timedelta(weeks=30))
    settings = PaperSettings(state=tmp_path / "book.sqlite", accounts=WITH_SOL)
    first = open_venue(settings, clock)
    first.close()
    clock.advance(8 * 86_400)
    second = open_venue(settings, clock)
    second.close()
    assert second.replay == first.replay
    assert first.replay.shift_ms % (7 * 86_400_000) == 0
    with pytest.raises(ConfigurationError, match=r"shift of .* weeks, not 1"):
        open_venue(PaperSettings(state=settings.state, accounts=WITH_SOL, shift_weeks=1), clock)


def test_after_the_end_the_next_start_is_a_fresh_account_with_new_ids_and_keeps_the_old_book(tmp_path: Path) -> None:
    clock = ManualClock(START + timedelta(weeks=30))
    with running_exchange(tmp_path, clock=clock, shift_weeks=None) as exchange:
        exchange.ccxt().create_order("BTC/USDT", "market", "buy", 0.001)
        first = exchange.venue.replay
        old = exchange.rows("SELECT order_id FROM orders")
    clock.advance((first.end_ms - first.first_ms) / 1000)
    with running_exchange(tmp_path, clock=clock, shift_weeks=None) as exchange:
        client = exchange.ccxt()
        status = client.fetch(f"{exchange.url}/paper/v1/status")
        assert (status["incarnation"], status["ended"]) == (2, False)
        assert exchange.venue.replay.shift_ms > first.shift_ms
        assert client.fetch_balance()["USDT"]["free"] == 100_000
        client.create_order("BTC/USDT", "market", "buy", 0.001)
        new = exchange.rows("SELECT order_id FROM orders")
    with sqlite3.connect(tmp_path / "exchange.incarnation-1.sqlite") as kept:
        assert kept.execute("SELECT order_id FROM orders").fetchall() == [(row["order_id"],) for row in old]
    assert (old[0]["order_id"], new[0]["order_id"]) == (1_000_000_001, 2_000_000_001)


def test_a_book_of_other_candles_is_refused(tmp_path: Path) -> None:
    clock = ManualClock(START)
    state = tmp_path / "book.sqlite"
    open_venue(PaperSettings(state=state, accounts=WITH_SOL, shift_weeks=0), clock).close()
    other = tmp_path / "other"
    other.mkdir()
    rows = "\n".join(f"{minute * 60_000},1,1,1,1,1" for minute in range(10))
    (other / "BTC-USDT_1m.csv").write_text(f"timestamp_ms,open,high,low,close,volume\n{rows}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"exchange_info\.json: expected"):
        open_venue(PaperSettings(state=tmp_path / "x.sqlite", accounts=WITH_SOL, data=other), clock)
    sample = PaperSettings(state=state, accounts=WITH_SOL).data
    (other / "exchange_info.json").write_bytes((sample / "exchange_info.json").read_bytes())
    with pytest.raises(ConfigurationError, match="belongs to other candles"):
        open_venue(PaperSettings(state=state, accounts=WITH_SOL, data=other, shift_weeks=0), clock)
