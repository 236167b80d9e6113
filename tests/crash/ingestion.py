"""Eight ingesters of one range at once, some of them killed with SIGKILL: what is stored is the venue's own set.

A seed makes the venue's candles with their gaps, each ingester's windows, chunks, overlaps and refusals, and at which
step of which transaction it dies. A last ingester, undisturbed, goes over the range; then nothing may be lost,
doubled or made up, and each missing candle lies in exactly one gap.
"""

import os
import random
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import numpy as np
import psycopg

from tests.crash.real_processes import create_database
from tests.examples import BTC, T0
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.clock import ManualClock
from trading.domain.gaps import CandleGap, missing_opens
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, from_ms, to_ms
from trading.errors import ExchangeUnavailable, TradingError
from trading.flows.ingest import Ingest, IngestRequest

INGESTERS: Final = 8
RANGE: Final = 60
STEP_MS: Final = 60_000
#: Where a transaction can be when its process dies.
STEPS: Final = ("before the transaction", "before the commit", "after the commit")
EXPECTED: Final = tuple(f"SIGKILL {step}" for step in STEPS)
_FIRST_MS: Final = to_ms(T0) - RANGE * STEP_MS


class SeededVenue:
    """MarketData whose answers are disordered, doubled or refused now and then; its candles never change."""

    def __init__(self, candles: CandleSeries, chance: random.Random) -> None:
        self._candles = candles
        self._chance = chance

    def server_time(self) -> datetime:
        return T0

    def instruments(self, symbols: Sequence[str]) -> list[Any]:
        return [replace(BTC, symbol=symbol) for symbol in symbols]

    def candles(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        if self._chance.random() < 0.05:
            raise ExchangeUnavailable("HTTP 503")
        rows = np.flatnonzero((self._candles.open_ms >= since_ms) & (self._candles.open_ms < until_ms))
        again = [row for row in rows if self._chance.random() < 0.1]
        shown = [*rows.tolist(), *again]
        self._chance.shuffle(shown)
        return self._candles.take(np.array(shown, dtype=np.intp))


class DyingLedger:
    """The ledger of a process that dies at one step of one of its transactions."""

    def __init__(self, ledger: PostgresLedger, dies_in: int, step: str) -> None:
        self._ledger = ledger
        self._left = dies_in
        self._step = step

    @contextmanager
    def transaction(self) -> Iterator[PostgresBooks]:
        self._left -= 1
        self._die_at("before the transaction")
        with self._ledger.transaction() as books:
            yield books
            self._die_at("before the commit")
        self._die_at("after the commit")

    def _die_at(self, step: str) -> None:
        if self._left == 0 and step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def schedule(server: str, template: str, seed: int) -> tuple[Counter[str], list[str]]:
    """One plan."""
    url = _database(server, template)
    chance = random.Random(seed)  # noqa: S311 - a seed must replay
    candles, symbol = _candles(chance), f"P{seed}/USDT"
    counts: Counter[str] = Counter()
    children = {}
    for _ in range(INGESTERS):
        own = random.Random(chance.random())  # noqa: S311 - a seed must replay
        dies_in, step = chance.choice([0, 0, chance.randrange(3, 14)]), chance.choice(STEPS)
        ledger = DyingLedger(PostgresLedger(url), dies_in, step)
        children[_forked(partial(_work, ledger, candles, symbol, own))] = step
    for pid, step in children.items():
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            counts[f"SIGKILL {step}"] += 1
        elif os.WEXITSTATUS(status):
            return counts, [f"an ingester ended with {os.WEXITSTATUS(status)}"]
    counts["plans"] += 1
    return counts, _judged(url, candles, symbol)


_databases: dict[int, str] = {}


def _database(server: str, template: str) -> str:
    """One a worker: a plan's instrument has a name of its own."""
    if os.getpid() not in _databases:
        _databases[os.getpid()] = create_database(server, template, f"trading_crash_ingestion_{os.getpid()}")
    return _databases[os.getpid()]


def _candles(chance: random.Random) -> CandleSeries:
    """The venue's set: some are missing, alone or in stretches; the first one is there."""
    there, gap = [0], 0
    for row in range(1, RANGE):
        gap = gap - 1 if gap else chance.choice([0] * 12 + [1, 2, 7])
        if not gap:
            there.append(row)
    return CandleSeries.from_rows(
        [(_FIRST_MS + row * STEP_MS, 10.0, 12.0, 9.0, 10.0 + row / 100, float(row)) for row in there]
    )


def _forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a child never returns into its parent's code
        traceback.print_exc()
        os._exit(1)


def _work(ledger: DyingLedger, candles: CandleSeries, symbol: str, chance: random.Random) -> None:
    """Some windows, one after the other; a refusal of the venue is its next window's matter."""
    flow = Ingest(
        ledger,  # type: ignore[arg-type]
        SeededVenue(candles, chance),
        ManualClock(T0),
        chunk_candles=chance.randrange(1, 30),
    )
    for number in range(3):
        first = chance.randrange(RANGE)
        request = _request(symbol, first, chance.randrange(first + 1, RANGE + 1))
        try:
            flow.run(Run(run_id=f"{os.getpid()}-{number}"), [request])
        except TradingError as error:
            if not isinstance(error, ExchangeUnavailable):
                raise


def _request(symbol: str, first: int, end: int) -> IngestRequest:
    return IngestRequest(
        instruments=(symbol,),
        timeframe="1m",
        history=timedelta(minutes=RANGE),
        since=from_ms(_FIRST_MS + first * STEP_MS),
        until=from_ms(_FIRST_MS + end * STEP_MS),
    )


def _judged(url: str, candles: CandleSeries, symbol: str) -> list[str]:
    """What is wrong after an undisturbed ingester went over the whole range."""
    ledger = PostgresLedger(url)
    quiet = random.Random()  # noqa: S311 - it decides nothing
    quiet.random = lambda: 1.0  # type: ignore[method-assign]
    run, request = Run(run_id=f"last-{symbol}"), _request(symbol, 0, RANGE)
    Ingest(ledger, SeededVenue(candles, quiet), ManualClock(T0)).run(run, [request])
    with ledger.transaction() as books:
        window = {"since_ms": _FIRST_MS - STEP_MS, "until_ms": to_ms(T0)}
        stored = books.candles.series(symbol, "1m", **window)
        gaps = books.candles.gaps(symbol, "1m", **window)
    ledger.close()
    broken = []
    for name in ("open_ms", "open", "high", "low", "close", "volume"):
        if getattr(stored, name).tolist() != getattr(candles, name).tolist():
            broken.append(f"{name}: {len(stored)} candles are stored, the venue has {len(candles)}, or others")
    with psycopg.connect(url) as connection:
        revisions = connection.execute(
            "SELECT count(*) FROM trading.candle_revision WHERE instrument = %s", [symbol]
        ).fetchone()
    if revisions != (0,):
        broken.append(f"candles that never changed were restated: {revisions}")
    return broken + _wrong_gaps(candles, gaps)


def _wrong_gaps(candles: CandleSeries, gaps: list[CandleGap]) -> list[str]:
    end_ms = max(int(candles.open_ms[-1]), to_ms(T0) - 3 * STEP_MS)
    missing = missing_opens(candles.open_ms, (_FIRST_MS, end_ms), STEP_MS).tolist()
    covered = [open_ms for gap in gaps for open_ms in range(gap.from_ms, gap.to_ms, STEP_MS)]
    return [] if sorted(covered) == missing else [f"gaps cover {covered}, missing are {missing}"]
