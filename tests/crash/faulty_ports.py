"""Ports behind which a process may die or stall, and a venue behind a bad network."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from tests.crash.faults import Faults
from tests.desk import HORIZON, RECV_WINDOW_MS
from trading.adapters.memory.venue import MemoryVenue
from trading.domain.ledger import Balance, Fill
from trading.domain.market import CandleSeries, Instrument
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder
from trading.errors import ExchangeUnavailable, OrderRejected, OutcomeUnknown
from trading.ports.ledger import Books, Ledger
from trading.ports.market import BestPrices, MarketData

T = TypeVar("T")


def flow_function() -> str:
    """The flow's function that called a port."""
    frame = sys._getframe(2)
    while frame.f_back is not None and not _in_flows(frame.f_globals["__name__"]):
        frame = frame.f_back
    while frame.f_back is not None and frame.f_code.co_name[0] == "<":
        frame = frame.f_back
    return frame.f_code.co_name


@cache
def _in_flows(module: str) -> bool:
    return module.startswith("trading.flows")


class FaultyLedger:
    """Ledger whose process may die, or lose the database, around each commit."""

    def __init__(self, inner: Ledger, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def transaction(self) -> AbstractContextManager[Books]:
        return _FaultyTransaction(self._inner, self._faults, flow_function())

    @contextmanager
    def sending(self, account: str) -> Iterator[None]:
        with self._inner.sending(account):
            self._faults.process.sends += 1
            try:
                yield
            finally:
                self._faults.process.sends -= 1

    def draining(self, account: str) -> AbstractContextManager[None]:
        return self._inner.draining(account)

    def close(self) -> None:
        self._inner.close()


class _FaultyTransaction:
    """One transaction, around whose commit things go wrong. A class of its own: schedules have hundreds of them."""

    def __init__(self, ledger: Ledger, faults: Faults, where: str) -> None:
        self._ledger = ledger
        self._faults = faults
        self._where = where

    def __enter__(self) -> Books:
        self._faults.point(f"{self._where}.begin")
        self._inner = self._ledger.transaction()
        return self._inner.__enter__()

    def __exit__(self, *raised: Any) -> bool | None:
        if raised[0] is not None:
            return self._inner.__exit__(*raised)
        try:
            self._before_commit()
        except BaseException as error:
            self._inner.__exit__(type(error), error, error.__traceback__)
            raise
        self._inner.__exit__(None, None, None)
        self._after_commit()
        return None

    def _before_commit(self) -> None:
        faults, where = self._faults, self._where
        if faults.drawn(0.01, where):
            faults.crash(f"{where}.before_commit")
        if faults.drawn(0.01, where):
            faults.counts["commit_failed"] += 1
            raise ConnectionError("the database went away before COMMIT")

    def _after_commit(self) -> None:
        faults, where = self._faults, self._where
        faults.stepped()
        if faults.drawn(0.01, where):
            faults.crash(f"{where}.after_commit")
        if faults.drawn(0.01, where):
            faults.counts["commit_answer_lost"] += 1
            raise ConnectionError("the database went away during COMMIT, which it had done")


class FaultyVenue:
    """Venue behind a bad network: it shows orders and fills late, and requests and answers get lost."""

    def __init__(self, inner: MemoryVenue, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults
        self._shown_at: dict[str, datetime] = {}

    def submit(self, request: OrderRequest) -> VenueOrder:
        faults = self._faults
        if faults.drawn(0.04):  # the process dies, its request lives on
            faults.counts["zombie_request"] += 1
            self._later(request, faults.rng.uniform(0.0, 2.5 * RECV_WINDOW_MS / 1000))
            faults.crash("send.submit.before")
        faults.point("send.submit.before")
        if faults.drawn(0.05):
            faults.counts["rejected"] += 1
            raise OrderRejected("-2010", "Account has insufficient balance for requested action.")
        if faults.drawn(0.05):
            faults.counts["request_lost"] += 1
            raise OutcomeUnknown("connection reset before the request arrived")
        if faults.drawn(0.08):
            faults.counts["late_acceptance"] += 1
            self._later(request, faults.rng.uniform(0.0, 1.2 * RECV_WINDOW_MS / 1000))
            faults.clock.advance(faults.rng.uniform(0.0, HORIZON.api_timeout_s))
            raise OutcomeUnknown("timed out")
        faults.clock.advance(0.05)
        answer = self._deliver(request)
        faults.point("send.submit.after")
        if faults.drawn(0.08):
            faults.counts["answer_lost"] += 1
            raise OutcomeUnknown("the answer was cut")
        return answer

    def cancel(self, instrument: str, client_order_id: str) -> None:
        faults, where = self._faults, "withdraw_rested.cancel"
        faults.point(f"{where}.before")
        if faults.drawn(0.1):
            faults.counts["cancel_lost"] += 1
            raise ExchangeUnavailable("connection reset before the cancel arrived")
        try:
            self._inner.cancel(instrument, client_order_id)
        except OrderRejected:
            faults.counts["cancel_too_late"] += 1
            raise
        faults.counts["canceled"] += 1
        faults.point(f"{where}.after")
        if faults.drawn(0.1):
            faults.counts["cancel_answer_lost"] += 1
            raise ExchangeUnavailable("the answer to the cancel was cut")

    def order(self, instrument: str, client_order_id: str) -> VenueOrder | None:
        seen = self._read("order", lambda: self._inner.order(instrument, client_order_id))
        if seen is not None and self._hidden(f"order {seen.venue_order_id}", seen.created_at):
            self._faults.counts["order_lagged"] += 1
            return None
        return seen

    def open_orders(self) -> list[VenueOrder]:
        rows = self._read("open_orders", self._inner.open_orders)
        return [row for row in rows if not self._hidden(f"order {row.venue_order_id}", row.created_at)]

    def order_history(self, instrument: str, *, since: datetime, until: datetime) -> list[VenueOrder]:
        rows = self._read("order_history", lambda: self._inner.order_history(instrument, since=since, until=until))
        return [row for row in rows if not self._hidden(f"order {row.venue_order_id}", row.created_at)]

    def fills(self, instrument: str, *, since: datetime, until: datetime) -> list[Fill]:
        rows = self._read("fills", lambda: self._inner.fills(instrument, since=since, until=until))
        shown = [row for row in rows if not self._hidden(f"fill {row.venue_fill_id}", row.filled_at)]
        self._faults.counts["fills_lagged"] += len(shown) < len(rows)
        return shown

    def balances(self) -> dict[str, Balance]:
        return self._read("balances", self._inner.balances)

    def _read(self, name: str, question: Callable[[], T]) -> T:
        faults, where = self._faults, flow_function()
        faults.point(f"{where}.{name}.before")
        if faults.drawn(0.01):
            faults.counts["read_failed"] += 1
            raise ExchangeUnavailable("HTTP 503")
        answer = question()
        faults.point(f"{where}.{name}.after")
        return answer

    def _hidden(self, name: str, happened_at: datetime) -> bool:
        """Whether queries do not show it yet: they lag the matching engine by up to the visibility lag."""
        if name not in self._shown_at:
            lagged = self._faults.drawn(0.3)
            lag_s = self._faults.rng.uniform(0.0, 0.99 * HORIZON.visibility_lag_s) if lagged else 0.0
            self._shown_at[name] = happened_at + timedelta(seconds=lag_s)
        return self._faults.clock.now() < self._shown_at[name]

    def _later(self, request: OrderRequest, delay_s: float) -> None:
        """The request arrives when nobody waits for its answer."""
        self._faults.clock.at(self._faults.clock.now() + timedelta(seconds=delay_s), lambda: self._arrive(request))

    def _arrive(self, request: OrderRequest) -> None:
        try:
            self._deliver(request)
        except OrderRejected as refused:
            self._faults.counts["too_late_refused"] += refused.code == "-1021"

    def _deliver(self, request: OrderRequest) -> VenueOrder:
        answer = self._inner.submit(request)
        self._faults.counts["partial_fill"] += 0 < answer.filled_quantity < answer.quantity
        return answer


class FaultyMarket:
    """MarketData whose reads fail now and then."""

    def __init__(self, inner: MarketData, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def server_time(self) -> datetime:
        return self._read("server_time", self._inner.server_time)

    def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        return self._read("instruments", lambda: self._inner.instruments(symbols))

    def candles(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        return self._read(
            "candles", lambda: self._inner.candles(instrument, timeframe, since_ms=since_ms, until_ms=until_ms)
        )

    def best_prices(self, symbols: Sequence[str]) -> dict[str, BestPrices]:
        return self._read("best_prices", lambda: self._inner.best_prices(symbols))

    def _read(self, name: str, question: Callable[[], T]) -> T:
        self._faults.point(f"market.{name}", may_stall=False)
        if self._faults.drawn(0.01):
            self._faults.counts["read_failed"] += 1
            raise ExchangeUnavailable("HTTP 503")
        return question()
