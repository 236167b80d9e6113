"""Real processes for the crash tests: a clock that all share, the paper exchange in its own, a desk over ccxt."""

import faulthandler
import logging
import mmap
import os
import random
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import psycopg
import uvicorn
from numpy.typing import NDArray

from tests.conftest import with_database
from tests.desk import LIMITS, RECV_WINDOW_MS, Desk, plan, portfolio
from tests.paper_exchange import API_KEY, API_SECRET, START, account
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.domain.market import Panel
from trading.paper.opening import PaperSettings
from trading.paper.server import listen, server_config

#: No child lives longer.
PATIENCE_S: Final = 60.0
_STRATEGIES: Final = ("one", "two")


class SharedClock:
    """The machine's clock plus an offset in memory that forked processes share."""

    def __init__(self, start: datetime) -> None:
        self._memory = mmap.mmap(-1, 8)
        self._set((start - datetime.now(UTC)).total_seconds())

    def now(self) -> datetime:
        """The shared instant, aware UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._offset())

    def sleep(self, seconds: float) -> None:
        """Wait for real."""
        time.sleep(seconds)

    def monotonic(self) -> float:
        """Real seconds."""
        return time.monotonic()

    def advance(self, seconds: float) -> None:
        """Move every process on."""
        self._set(self._offset() + seconds)

    def next_minute(self) -> None:
        """Two seconds past the next close."""
        now = self.now()
        self.advance(62 - now.second - now.microsecond / 1e6)

    def _offset(self) -> float:
        return float(struct.unpack("d", self._memory[:8])[0])

    def _set(self, offset: float) -> None:
        self._memory[:8] = struct.pack("d", offset)


def forked(body: Callable[[], Any]) -> int:
    """The process id of a child that runs `body` and ends: 0 where it returned, 1 where it raised."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    faulthandler.dump_traceback_later(0.9 * PATIENCE_S, file=sys.__stderr__)
    try:
        body()
        code = 0
    except BaseException:  # noqa: BLE001 — a child must not go on as its parent
        if os.environ.get("TRADING_CRASH_DEBUG"):
            traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int, patience_s: float = PATIENCE_S) -> int:
    """Wait for the child; its exit code, or minus the signal that ended it. Kills it where it takes too long."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"the child {child} did not end within {patience_s:g} s")


class ExchangeProcess:
    """A paper exchange in a process of its own, with its book in `folder`."""

    def __init__(self, folder: Path, clock: SharedClock) -> None:
        self.book = folder / "exchange.sqlite"
        self._listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        settings = PaperSettings(state=self.book, accounts=(account(),), shift_weeks=0)
        parent, self._lifeline = os.pipe()
        self._child = forked(lambda: self._serve(settings, clock, parent))
        os.close(parent)

    def stop(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGTERM)
        with suppress(ChildProcessError):
            ended(self._child)
        os.close(self._lifeline)
        self._listener.close()

    def _serve(self, settings: PaperSettings, clock: SharedClock, parent: int) -> None:
        """Until it is told to stop, or until nobody is left who could."""
        faulthandler.cancel_dump_traceback_later()
        os.close(self._lifeline)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        logging.disable(logging.CRITICAL)
        _, config = server_config(settings, clock)
        uvicorn.Server(config).run(sockets=[self._listener])


def _end_with(parent: int) -> None:
    """End this process when the other end of the pipe was closed, by a death as by a close."""
    os.read(parent, 1)
    os._exit(0)


class RealDesk(Desk):
    """Every flow over PostgreSQL and, through ccxt and HTTP, over a paper exchange in another process."""

    def __init__(self, database_url: str, exchange: ExchangeProcess, clock: SharedClock, seed: int) -> None:
        plans = (plan(name, allocation=Decimal("0.45"), rebalance_threshold_bps=Decimal(0)) for name in _STRATEGIES)
        super().__init__(
            portfolio_=portfolio(*plans, limits=replace(LIMITS, price_collar_bps=Decimal(500))),
            weights={name: _weights(seed, number) for number, name in enumerate(_STRATEGIES)},
            store=PostgresLedger(database_url, code_version="crash"),
        )
        self.worker_clock = clock
        self.clock = clock  # type: ignore[assignment]
        self.desk_port = CcxtExchange(
            "binance",
            clock=clock,
            base_url=exchange.url,
            api_key=API_KEY,
            api_secret=API_SECRET,
            recv_window_ms=RECV_WINDOW_MS,
            api_timeout_s=self.horizon.api_timeout_s,
        )
        self.venue = self.desk_port
        self.market = self.desk_port


def _weights(seed: int, number: int) -> Callable[[Panel], NDArray[np.float64]]:
    """Random targets that change at each close, so that there is always something to send."""

    def weights(panel: Panel) -> NDArray[np.float64]:
        minute = int(panel.open_ms[-1]) // 60_000
        rng = random.Random(seed * 1_000_003 + minute * 7 + number)  # noqa: S311 — repeatable on purpose
        high = minute % 2 == number
        row = [rng.choice((0.3, 0.45) if high else (0.0, 0.1)) for _ in panel.instruments]
        return np.tile(np.array(row), (len(panel), 1))

    return weights


def create_database(server: str, template: str, name: str) -> str:
    """A fresh, migrated database; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode())
    return with_database(server, name)


def database_on(clock: SharedClock) -> Any:
    """A patch: from its start to its stop, in every child of that time too, the database has the shared clock."""
    return patch.object(PostgresBooks, "now", lambda _: clock.now())


def started_at() -> datetime:
    """Where the sample is played from."""
    return START
