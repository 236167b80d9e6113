"""The paper exchange as a process of its own, over HTTP, with room for more orders than a venue grants in ten seconds.

Run as a module it serves; imported it starts itself.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.free_ports import free_port
from tests.paper_exchange import API_KEY, API_SECRET, account
from trading.adapters.ccxt_exchange import CcxtExchange, load_binance
from trading.clock import SystemClock
from trading.paper.limits import RateLimits
from trading.paper.opening import PaperSettings
from trading.paper.server import serve

_START_S = 60
_PLENTY = 10_000_000


@contextmanager
def paper_process(folder: Path) -> Iterator[str]:
    """Its address, until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.benchmarks.paper_process", str(folder / "exchange.sqlite"), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the paper exchange ended with {process.returncode}")
        try:
            requests.get(f"{url}/api/v3/time", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the paper exchange did not answer within {_START_S} s")


def adapter(url: str) -> CcxtExchange:
    """Our adapter, pointed at it."""
    return CcxtExchange("binance", clock=SystemClock(), base_url=url, api_key=API_KEY, api_secret=API_SECRET)


def bare_ccxt(url: str) -> "object":
    """ccxt as its own documentation uses it, pointed at the same address."""
    client = load_binance()({"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False})
    client.urls["api"] = dict.fromkeys(client.urls["api"], f"{url}/api/v3")
    client.options |= {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False}
    client.load_markets()
    return client


if __name__ == "__main__":
    os.umask(0o077)
    rich = account(USDT="10000000")
    limits = RateLimits(weight_per_minute=_PLENTY, orders_per_10_seconds=_PLENTY, orders_per_day=_PLENTY)
    settings = PaperSettings(state=Path(sys.argv[1]), accounts=(rich,), limits=limits)
    serve(settings, SystemClock(), "127.0.0.1", int(sys.argv[2]), announce=lambda _: None)
