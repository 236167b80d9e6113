"""Live equals backtest, to the last digit: the flows candle by candle against the compiled kernel.

Every shipped strategy, over the shipped real candles: in memory with thin volumes and tight limits, so that partial
fills and denials are compared too, and over the real HTTP paper exchange through unmodified ccxt.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.desk import LIMITS
from tests.examples import BTC, ETH
from tests.paper_exchange import API_KEY, API_SECRET, account, running_exchange
from tests.parity import CASH, SHIPPED, TIGHT, LiveDesk, backtested, clock_before, compare, live_through, planned
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.commands.candle_source import SHIPPED as SAMPLE_NAME
from trading.commands.candle_source import candles_from
from trading.domain.market import CandleSeries
from trading.paper.opening import SAMPLE
from trading.strategies import registry

SYMBOLS = (BTC.symbol, ETH.symbol)
IN_MEMORY, OVER_HTTP = 70, 20
#: Rows of history before the first decision.
BEFORE = 60


@pytest.fixture(scope="module")
def series() -> Mapping[str, CandleSeries]:
    """A stretch of the sample."""
    found = candles_from(SAMPLE_NAME, instruments=SYMBOLS, timeframe="1m", since=None, until=None, warmup=1).panel
    start = 2_000
    rows = slice(start, start + BEFORE + IN_MEMORY + 10)
    columns = (found.open, found.high, found.low, found.close, found.volume)
    return {
        symbol: CandleSeries(found.open_ms[rows], *(column[rows, number].copy() for column in columns))
        for number, symbol in enumerate(SYMBOLS)
    }


def test_every_shipped_strategy_is_compared() -> None:
    """One that is added must be added here."""
    assert set(SHIPPED) == set(registry.names())


@pytest.mark.parametrize("limits", ["loose", "tight"])
@pytest.mark.parametrize("name", SHIPPED)
def test_live_equals_backtest_in_memory(name: str, limits: str, series: Mapping[str, CandleSeries]) -> None:
    """Over seventy candles, with a hundredth of the volume where limits are tight."""
    thin = 0.01 if limits == "tight" else 1.0
    market = {symbol: replace(one, volume=(one.volume * thin).round(5)) for symbol, one in series.items()}
    plan = planned(name, SYMBOLS, TIGHT if limits == "tight" else LIMITS)
    desk = LiveDesk(
        portfolio_=plan,
        candles={(symbol, "1m"): one for symbol, one in market.items()},
        balances={"USDT": CASH},
        clock=clock_before(market, BEFORE),
    ).open()
    lived = live_through(desk, IN_MEMORY)
    outcomes = compare(lived, backtested(plan, market, {BTC.symbol: BTC, ETH.symbol: ETH}, lived))
    assert outcomes
    assert limits == "loose" or set(outcomes) - {"filled"}


@pytest.mark.parametrize("name", SHIPPED)
def test_live_equals_backtest_over_the_paper_exchange(
    name: str, series: Mapping[str, CandleSeries], tmp_path: Path
) -> None:
    """Real HTTP, unmodified ccxt, the exchange's own book in SQLite."""
    assert over_http(name, series, tmp_path) or name in QUIET


def over_http(name: str, series: Mapping[str, CandleSeries], folder: Path) -> list[str]:
    """Live through them at the paper exchange, compare, and tell the outcomes."""
    plan, clock = planned(name, SYMBOLS, LIMITS), clock_before(series, BEFORE)
    with running_exchange(folder, clock, accounts=(account(USDT=str(CASH)),), data=SAMPLE) as paper:
        exchange = CcxtExchange("binance", clock=clock, base_url=paper.url, api_key=API_KEY, api_secret=API_SECRET)
        desk = LiveDesk(portfolio_=plan, clock=clock)
        desk.market = desk.venue = exchange
        desk.open()
        lived = live_through(desk, OVER_HTTP)
        instruments = {one.symbol: one for one in exchange.instruments(SYMBOLS)}
        return compare(lived, backtested(plan, series, instruments, lived))


#: Those that may find nothing to do in so short a time.
QUIET = frozenset({"donchian_breakout", "rsi_reversion", "bollinger_reversion"})
