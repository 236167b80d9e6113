"""`create_order` through our adapter against bare ccxt, on the same paper exchange, one after the other in pairs."""

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.benchmarks.figure import Figure
from tests.benchmarks.paper_process import adapter, bare_ccxt, paper_process
from tests.benchmarks.stage import RECV_WINDOW_MS, bench_folder
from tests.examples import intent
from trading.clock import random_id
from trading.domain.order import request_for

PAIRS, WARM_UP = 400, 20
BAR = 1.1
_SYMBOL, _QUANTITY = "BTC/USDT", Decimal("0.001")


def create_order() -> Iterator[Figure]:
    """Medians of a market buy, in ms."""
    with bench_folder() as folder, paper_process(folder) as url:
        ours, bare = adapter(url), bare_ccxt(url)
        pairs = [
            # The one that goes first changes, so that neither rides on the other's warm caches.
            _pair(_through_us(ours), through_ccxt(bare), swap=number % 2 == 1)
            for number in range(WARM_UP + PAIRS)
        ][WARM_UP:]
    yield Figure(
        name="create_order",
        ours=statistics.median(mine for mine, _ in pairs),
        baseline_name="bare ccxt",
        baseline=statistics.median(theirs for _, theirs in pairs),
        unit="ms",
        bar=BAR,
        runs=PAIRS,
    )


def _pair(ours: Callable[[], object], theirs: Callable[[], object], *, swap: bool) -> tuple[float, float]:
    if swap:
        second = _timed_ms(theirs)
        return _timed_ms(ours), second
    return _timed_ms(ours), _timed_ms(theirs)


def _timed_ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _through_us(exchange: Any) -> Callable[[], object]:
    wish = intent(client_order_id=random_id(), quantity=_QUANTITY)
    return lambda: exchange.submit(request_for(wish, datetime.now(UTC), RECV_WINDOW_MS))


def through_ccxt(client: Any) -> Callable[[], object]:
    """A market buy as ccxt's own documentation makes it, under a name of its own."""
    name = {"newClientOrderId": random_id()}
    return lambda: client.create_order(_SYMBOL, "market", "buy", float(_QUANTITY), None, name)
