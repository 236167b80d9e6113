"""A paper exchange on a free port, under a clock that the test moves, and ccxt pointed at it."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvicorn

from trading.clock import ManualClock
from trading.domain.market import to_ms
from trading.paper.accounts import Account
from trading.paper.faults import FaultInjector
from trading.paper.opening import PaperSettings
from trading.paper.server import listen, server_config
from trading.paper.venue import Venue

API_KEY = "k" * 64
API_SECRET = "s" * 64

#: Inside the shipped sample, which is played at its own time: the candle of 00:00 is in progress.
START = datetime(2026, 3, 24, 0, 0, 30, tzinfo=UTC)


def account(name: str = "default", **balances: str) -> Account:
    """An account with the test's key."""
    amounts = {asset: Decimal(value) for asset, value in (balances or {"USDT": "100000"}).items()}
    return Account(name=name, api_key=API_KEY, api_secret=API_SECRET, balances=amounts)


@dataclass
class RunningExchange:
    """What a test needs of a paper exchange that serves."""

    url: str
    clock: ManualClock
    venue: Venue
    state: Path

    def ccxt(self, **options: Any) -> Any:
        """Unmodified ccxt, whose every URL leads here and which signs by the exchange's clock."""
        import ccxt

        spot_only = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False}
        client = ccxt.binance(
            {"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False, "options": {**spot_only, **options}}
        )
        client.urls["api"] = dict.fromkeys(client.urls["api"], f"{self.url}/api/v3")
        client.nonce = lambda: to_ms(self.clock.now())
        client.maxRetriesOnFailure = 0
        return client

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the exchange's own book, read with plain SQL beside it."""
        return book_rows(self.state, sql, *values)


def book_rows(state: Path, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of a book, by a connection that cannot write."""
    with contextlib.closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as book:
        book.row_factory = sqlite3.Row
        return [dict(row) for row in book.execute(sql, values)]


def assert_balances_follow_from_fills(state: Path) -> None:
    """Rebuild every balance from deposits and fills with plain SQL, and what is locked from the open orders."""
    expected: dict[str, Decimal] = {}
    for row in book_rows(state, "SELECT asset, amount FROM deposits"):
        expected[row["asset"]] = expected.get(row["asset"], Decimal(0)) + Decimal(row["amount"])
    for row in book_rows(state, "SELECT * FROM fills"):
        base, quote, sign = row["symbol"][:-4], row["symbol"][-4:], 1 if row["side"] == "BUY" else -1
        assert Decimal(row["price"]) * Decimal(row["qty"]) == Decimal(row["quote_qty"])
        for asset, change in (
            (base, sign * Decimal(row["qty"])),
            (quote, -sign * Decimal(row["quote_qty"])),
            (row["commission_asset"], -Decimal(row["commission"])),
        ):
            expected[asset] = expected.get(asset, Decimal(0)) + change
    found = {row["asset"]: row for row in book_rows(state, "SELECT * FROM balances")}
    assert {asset: Decimal(row["free"]) + Decimal(row["locked"]) for asset, row in found.items()} == expected
    locked: dict[str, Decimal] = {}
    for row in book_rows(state, "SELECT * FROM orders WHERE status IN ('NEW', 'PARTIALLY_FILLED')"):
        left = Decimal(row["orig_qty"]) - Decimal(row["executed_qty"])
        asset, held = (
            (row["symbol"][-4:], left * Decimal(row["price"])) if row["side"] == "BUY" else (row["symbol"][:-4], left)
        )
        locked[asset] = locked.get(asset, Decimal(0)) + held
    assert {asset: Decimal(row["locked"]) for asset, row in found.items() if Decimal(row["locked"])} == locked


@contextlib.contextmanager
def running_exchange(
    folder: Path, clock: ManualClock | None = None, faults: FaultInjector | None = None, **settings: Any
) -> Iterator[RunningExchange]:
    """Serve from a thread until the block ends; the sample at its own time and 100,000 USDT unless told otherwise."""
    clock = clock or ManualClock(START)
    chosen = {"state": folder / "exchange.sqlite", "accounts": (account(),), "shift_weeks": 0, **settings}
    venue, config = server_config(PaperSettings(**chosen), clock, faults)
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        host, port = listener.getsockname()[:2]
        yield RunningExchange(url=f"http://{host}:{port}", clock=clock, venue=venue, state=chosen["state"])
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive(), "the paper exchange did not stop"


def accounts_file(folder: Path, **balances: str) -> Path:
    """An accounts file as `trading exchange serve` reads it."""
    path = folder / "accounts.json"
    entry = {"name": "default", "api_key": API_KEY, "api_secret": API_SECRET, "balances": balances or {"USDT": "1000"}}
    path.write_text(json.dumps([entry]), encoding="utf-8")
    return path
