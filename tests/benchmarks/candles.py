"""What candles cost: storing a million of them, storing them again, reading them back, decoding a venue's answer.

The candles are the shipped sample's, repeated over the years. Each figure is a ratio of medians within one run, in
which both take turns on a durable PostgreSQL. Ours includes validating every row.
"""

import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg

from tests.benchmarks.figure import Figure
from tests.benchmarks.paper_process import adapter, paper_process
from tests.benchmarks.stage import RUN, bench_folder, durable_server, migrated_database
from trading.adapters import binance_answers
from trading.adapters.ccxt_exchange import load_binance
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.packed_candles import copy_rows
from trading.adapters.postgres.queries import QUERIES
from trading.clock import SystemClock
from trading.domain.market import CandleSeries
from trading.flows.ingest import Ingest, IngestRequest
from trading.flows.store_candles import Window, store_window

CANDLES: Final = 1_000_000
READ: Final = 500_000
FEW: Final = 50_000
ROUNDS: Final = 3
INSTRUMENTS: Final = 200
INGEST_BAR_MS: Final = 5.0
COPY_BAR, EXECUTEMANY_BAR, AGAIN_BAR = 1.7, 0.2, 1.2
ADBC_BAR, ROWS_BAR, DECODE_BAR = 1.0, 1 / 2.3, 0.35
_SAMPLE: Final = Path(__file__).parents[2] / "trading" / "paper" / "sample" / "BTC-USDT_1m.csv.gz"
_STEP_MS: Final = 60_000
_CHUNK: Final = 50_000
_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_FIRST_MS: Final = 1_577_836_800_000  # 2020-01-01
_EXECUTEMANY: Final = """
INSERT INTO trading.candle (instrument, timeframe, open_time, open, high, low, close, volume, run_id, ingested_at)
VALUES (%s, %s, to_timestamp(%s), %s, %s, %s, %s, %s, %s, %s)
"""
_READ: Final = """
SELECT open_time, open, high, low, close, volume
FROM trading.candle
WHERE instrument = 'READ/USDT' AND timeframe = '1m' AND open_time >= to_timestamp(0)
ORDER BY open_time
"""


def candles() -> Iterator[Figure]:
    """Loading, loading again and reading in seconds; decoding in ms."""
    series = sample(CANDLES)
    with bench_folder() as folder, durable_server(folder) as server:
        url = migrated_database(server, "candles")
        ledger = PostgresLedger(url)
        with psycopg.connect(url, autocommit=True) as connection:
            yield from _stored(ledger, connection, series)
            yield from _read(ledger, connection, url, series)
        ledger.close()
        yield _ingested(migrated_database(server, "ingested"), folder)
    yield _decoded()


def _ingested(url: str, folder: Path) -> Figure:
    """One live ingestion of 200 instruments from the paper exchange: what it costs us, the venue's time apart.

    The sample has three; each is asked for as if it were many, so that every request and transaction is made.
    """
    ledger = PostgresLedger(url)
    with paper_process(folder) as address:
        flow = Ingest(ledger, adapter(address), SystemClock())
        symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
        request = IngestRequest(instruments=symbols, timeframe="1m", history=timedelta(minutes=10))
        flow.run(RUN, [request])  # connects, and stores what there is
        many = tuple(symbols[number % len(symbols)] for number in range(INSTRUMENTS))
        taken = []
        for _ in range(ROUNDS):
            began = time.process_time()
            flow.run(RUN, [replace(request, instruments=many)])
            taken.append((time.process_time() - began) * 1000 / INSTRUMENTS)
    ledger.close()
    return Figure(
        name="ingest_cpu_per_instrument",
        ours=statistics.median(taken),
        baseline_name="a millisecond",
        baseline=1.0,
        unit="ms",
        bar=INGEST_BAR_MS,
        runs=ROUNDS,
    )


def sample(rows: int) -> CandleSeries:
    """The sample's rows, one after the other, as consecutive minutes; a volume tells the repetitions apart."""
    text = gzip.decompress(_SAMPLE.read_bytes()).decode().split()[1:]
    found = np.array([line.split(",")[1:] for line in text], dtype=np.float64)
    times = -(-rows // len(found))
    columns = np.tile(found, (times, 1))[:rows].T
    volume = columns[4] + np.arange(rows) // len(found)
    open_ms = _FIRST_MS + np.arange(rows, dtype=np.int64) * _STEP_MS
    return CandleSeries(open_ms, *(np.ascontiguousarray(column) for column in columns[:4]), volume)


def _stored(ledger: PostgresLedger, connection: "psycopg.Connection[Any]", series: CandleSeries) -> Iterator[Figure]:
    few = series.take(np.arange(FEW))
    taken: dict[str, list[float]] = {name: [] for name in ("copy", "ours", "again", "few", "executemany")}
    for turn in range(ROUNDS):
        symbol = f"R{turn}/USDT"
        rows = _packed(f"C{turn}/USDT", series)
        taken["copy"].append(_timed(lambda rows=rows: _bare_copy(connection, rows)))
        taken["ours"].append(_timed(lambda s=symbol: _store(ledger, s, series)))
        taken["again"].append(_timed(lambda s=symbol: _store(ledger, s, series)))
        taken["few"].append(_timed(lambda s=f"F{turn}/USDT": _store(ledger, s, few)))
        taken["executemany"].append(_timed(lambda s=f"E{turn}/USDT": _executemany(connection, s, few)))
    median = {name: statistics.median(values) for name, values in taken.items()}
    one = {"unit": "s", "runs": ROUNDS}
    copy = {"baseline_name": "a bare COPY", "baseline": median["copy"]}
    yield Figure(name="candles_first_load", ours=median["ours"], bar=COPY_BAR, **copy, **one)
    yield Figure(name="candles_same_again", ours=median["again"], bar=AGAIN_BAR, **copy, **one)
    yield Figure(
        name="candles_50k",
        ours=median["few"],
        baseline_name="executemany",
        baseline=median["executemany"],
        bar=EXECUTEMANY_BAR,
        **one,
    )


def _store(ledger: PostgresLedger, symbol: str, series: CandleSeries) -> None:
    """As an import does: checked and compared, a transaction a chunk."""
    for start in range(0, len(series), _CHUNK):
        part = series.take(np.arange(start, min(start + _CHUNK, len(series))))
        window = Window(
            symbol=symbol,
            timeframe="1m",
            window_ms=(int(part.open_ms[0]), int(part.open_ms[-1]) + _STEP_MS),
            server_ms=_FIRST_MS + 2 * CANDLES * _STEP_MS,
            jump_accepted=True,  # where the sample begins again
        )
        store_window(ledger, window, part, at=_AT, run=RUN)


def _packed(symbol: str, series: CandleSeries) -> bytes:
    return copy_rows(symbol, "1m", series, run_id=RUN.run_id, at=_AT)


def _bare_copy(connection: "psycopg.Connection[Any]", rows: bytes) -> None:
    """Rows that were made before, straight into the same keyed table, in one statement."""
    with connection.cursor() as cursor, cursor.copy(QUERIES["copy_candles"]) as copying:
        copying.write(rows)


def _executemany(connection: "psycopg.Connection[Any]", symbol: str, series: CandleSeries) -> None:
    columns = [getattr(series, name).tolist() for name in ("open", "high", "low", "close", "volume")]
    times = (series.open_ms / 1000).tolist()
    rows = [(symbol, "1m", *row, RUN.run_id, _AT) for row in zip(times, *columns, strict=True)]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_EXECUTEMANY, rows)


def _read(
    ledger: PostgresLedger, connection: "psycopg.Connection[Any]", url: str, series: CandleSeries
) -> Iterator[Figure]:
    _bare_copy(connection, _packed("READ/USDT", series.take(np.arange(READ))))
    connection.execute("VACUUM ANALYZE trading.candle")
    adbc = _adbc(url)
    ours, rows, theirs = [], [], []
    for _ in range(ROUNDS + 2):
        ours.append(_timed(lambda: _ours(ledger)))
        rows.append(_timed(lambda: _binary_rows(connection)))
        theirs.append(_timed(adbc) if adbc else 0.0)
    one = {"ours": statistics.median(ours), "unit": "s", "runs": len(ours)}
    yield Figure(
        name="candles_read_rows", baseline_name="binary rows", baseline=statistics.median(rows), bar=ROWS_BAR, **one
    )
    if adbc:
        yield Figure(
            name="candles_read_adbc", baseline_name="ADBC", baseline=statistics.median(theirs), bar=ADBC_BAR, **one
        )


def _ours(ledger: PostgresLedger) -> None:
    with ledger.transaction() as books:
        found = books.candles.series("READ/USDT", "1m", since_ms=_FIRST_MS, until_ms=_FIRST_MS + READ * _STEP_MS)
    assert len(found) == READ


def _binary_rows(connection: "psycopg.Connection[Any]") -> None:
    with connection.cursor(binary=True) as cursor:
        found = cursor.execute(_READ).fetchall()
    columns = list(zip(*found, strict=True))
    arrays = [np.array([at.timestamp() for at in columns[0]]), *(np.array(column) for column in columns[1:])]
    assert len(arrays[0]) == READ


def _adbc(url: str) -> Callable[[], None] | None:
    """The same query through Arrow's own driver, where it is installed."""
    try:
        import adbc_driver_postgresql.dbapi as adbc
    except ImportError:
        sys.stderr.write("candles_read_adbc is left out: install tests/benchmarks/requirements.txt\n")
        return None
    from arro3.core import Table

    parts = psycopg.conninfo.conninfo_to_dict(url)
    connection = adbc.connect(f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}")

    def read() -> None:
        with connection.cursor() as cursor:
            cursor.execute(_READ)
            table = Table.from_arrow(cursor.fetch_arrow())
        arrays = [table.column(number).combine_chunks().to_numpy() for number in range(1, 6)]
        assert len(arrays[0]) == READ

    return read


def _decoded() -> Figure:
    """A page of 1,000 candles as Binance writes them: text to columns, and text to ccxt's rows."""
    rows = sample(1_000)
    wire = [
        [open_ms, *(f"{value:.8f}" for value in values), open_ms + _STEP_MS - 1, "1.0", 10, "0.5", "0.5", "0"]
        for open_ms, *values in zip(
            rows.open_ms.tolist(), rows.open, rows.high, rows.low, rows.close, rows.volume, strict=True
        )
    ]
    text = json.dumps(wire)
    client = load_binance()()
    market = {"symbol": "BTC/USDT", "inverse": False}
    import orjson

    ours, theirs = [], []
    for _ in range(200):
        ours.append(_timed(lambda: binance_answers.candles(orjson.loads(text), "BTC/USDT", most=1_000)) * 1000)
        theirs.append(_timed(lambda: client.parse_ohlcvs(json.loads(text), market, "1m")) * 1000)
    return Figure(
        name="candles_decode",
        ours=statistics.median(ours),
        baseline_name="json and ccxt's parse_ohlcvs",
        baseline=statistics.median(theirs),
        unit="ms",
        bar=DECODE_BAR,
        runs=len(ours),
    )


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
