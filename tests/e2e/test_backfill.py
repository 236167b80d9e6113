"""A year of candles through Airflow's own backfill: every candle that the venue has, once, and nothing trades on it."""

from datetime import UTC, datetime

import pytest

from tests.e2e.running_pipeline import RunningPipeline
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.clock import SystemClock
from trading.domain.market import from_ms, to_ms

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(1_800)]

MONTHS = 12
YEAR_S = 1_200.0
DONE = """
SELECT count(*) FROM trading.run WHERE flow LIKE 'backfill %%' AND run_type = 'backfill' AND outcome = 'done'
   AND attempts = %s
"""
OPEN = "SELECT 1 FROM backfill WHERE completed_at IS NULL"
STORED = "SELECT instrument, open_time FROM trading.candle WHERE timeframe = '1h' ORDER BY instrument, open_time"


def month_back(count: int) -> datetime:
    """The first of the month that many months ago."""
    now = datetime.now(UTC)
    year, month = divmod(now.year * 12 + now.month - 1 - count, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def backfill(pipeline: RunningPipeline, *more: str) -> None:
    span = ("--from-date", f"{month_back(MONTHS):%Y-%m-%d}", "--to-date", f"{month_back(1):%Y-%m-%d}")
    conf = ("--dag-run-conf", '{"timeframes": ["1h"]}')
    words = ("airflow", "--", "backfill", "create", "--dag-id", "backfill_candles", *span, *conf, *more)
    done = pipeline.cli(*words, seconds=YEAR_S)  # Airflow makes one run after the other, while it runs them
    assert done.returncode == 0, done.stdout + done.stderr


def venue_opens(pipeline: RunningPipeline, symbol: str) -> list[datetime]:
    """What the venue itself has of that year."""
    url = f"http://127.0.0.1:{pipeline.environ['TRADING_EXCHANGE_PORT']}"
    exchange = CcxtExchange("binance", clock=SystemClock(), base_url=url)
    series = exchange.candles(symbol, "1h", since_ms=to_ms(month_back(MONTHS)), until_ms=to_ms(month_back(0)))
    return [from_ms(open_ms) for open_ms in series.open_ms.tolist()]


def test_a_year_is_backfilled_once_and_a_second_time_changes_nothing(pipeline: RunningPipeline) -> None:
    """Twelve runs with a task an instrument; the same again stores nothing, restates nothing and wakes nothing."""
    instruments = [row[0] for row in pipeline.sql("SELECT symbol FROM trading.instrument WHERE valid_to IS NULL")]
    expected = MONTHS * len(instruments)
    backfill(pipeline)
    pipeline.until(lambda: pipeline.sql(DONE, 1)[0][0] == expected, YEAR_S, "a year was backfilled")
    stored = pipeline.sql(STORED)
    for symbol in instruments:
        assert [at for name, at in stored if name == symbol] == venue_opens(pipeline, symbol)
    # Airflow takes no second one while the first is open, which it closes some seconds after its last run.
    pipeline.until(lambda: pipeline.sql(OPEN) == [], YEAR_S, "Airflow closed the first backfill")
    backfill(pipeline, "--reprocess-behavior", "completed")
    pipeline.until(lambda: pipeline.sql(DONE, 2)[0][0] == expected, YEAR_S, "it was backfilled again")
    assert pipeline.sql(STORED) == stored
    assert pipeline.sql("SELECT 1 FROM trading.candle_revision WHERE timeframe = '1h'") == []
    assert pipeline.sql("SELECT 1 FROM trading.decision WHERE run_id LIKE 'backfill%%'") == []
    woken = "SELECT 1 FROM trading.run WHERE EXISTS (SELECT FROM unnest(causes) AS c WHERE c LIKE 'backfill%%')"
    assert pipeline.sql(woken) == []
