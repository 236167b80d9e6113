"""An examination: one small order, far below the market, shows whether a venue does what our orders rest on.

It goes to a sandbox or the paper exchange, past the kill switch and the limits, which are about trading. Nothing of it
stays open: whatever fails, the last step takes back all that was sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from trading.clock import Clock
from trading.domain.conformance import ConformanceStep, Examination, StepVerdict, far_below
from trading.domain.ids import client_order_id
from trading.domain.market import Instrument, from_ms, to_ms
from trading.domain.money import plain
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.venue_order import VenueOrder, VenueOrderStatus
from trading.errors import DataError, ExchangeUnavailable, OrderRejected, OutcomeUnknown, TradingError
from trading.ports.market import MarketData, Venue

#: Told of each step when it is done.
Show = Callable[[ConformanceStep], None]

_HISTORY: Final = timedelta(days=3)  # more than one page of fills may span
_LATE: Final = timedelta(seconds=5)
_ASK_AGAIN_S: Final = 0.5
_CANCELS: Final = 5
_SECOND: Final = timedelta(seconds=1)


class Candidate:
    """One venue under examination, and what was sent to it so far."""

    def __init__(self, venue: Venue, market: MarketData, clock: Clock, what: Examination, began_at: datetime) -> None:
        self._venue = venue
        self._market = market
        self._clock = clock
        self._what = what
        self._began_at = from_ms(to_ms(began_at))
        self._instrument: Instrument | None = None
        self._placed: VenueOrder | None = None
        self._sent: dict[str, OrderRequest] = {}
        self._is_unsure = False

    def steps(self, show: Show) -> Sequence[ConformanceStep]:
        """Each step in turn; one whose needs failed is skipped."""
        steps: tuple[tuple[str, tuple[str, ...], Callable[[], str]], ...] = (
            ("clock", (), self._clocks_agree),
            ("filters", (), self._filters),
            ("fills", (), self._fills),
            ("balances", (), self._balances),
            ("too late", ("clock", "filters"), self._too_late),
            ("place", ("clock", "filters"), self._place),
            ("found by name", ("place",), self._found_by_name),
            ("found among open orders", ("place",), self._found_open),
            ("found among all orders", ("place",), self._found_among_all),
            ("duplicate", ("place",), self._duplicate),
            ("cancel", ("place",), self._cancel),
            ("second cancel", ("cancel",), self._second_cancel),
            ("nothing left open", (), self._nothing_left),
        )
        done: dict[str, ConformanceStep] = {}
        for name, needs, step in steps:
            missing = [need for need in needs if done[need].verdict is not StepVerdict.PASSED]
            if missing:
                done[name] = ConformanceStep(name, StepVerdict.SKIPPED, f"not tried: {missing[0]} comes first")
            else:
                done[name] = self._tried(name, step)
            show(done[name])
        return list(done.values())

    @staticmethod
    def _tried(name: str, step: Callable[[], str]) -> ConformanceStep:
        try:
            return ConformanceStep(name, StepVerdict.PASSED, step())
        except TradingError as error:
            return ConformanceStep(name, StepVerdict.FAILED, str(error))

    # what is read

    def _clocks_agree(self) -> str:
        self._market.server_time()  # the first request also loads the client and connects, which is no skew
        before = self._clock.now()
        theirs = self._market.server_time()
        middle = before + (self._clock.now() - before) / 2
        skew_ms = (theirs - middle).total_seconds() * 1000
        if abs(skew_ms) > self._what.max_clock_skew_ms:
            raise DataError(
                f"expected clocks that differ by {self._what.max_clock_skew_ms} ms at most, got {skew_ms:.0f} ms"
            )
        return f"differs from ours by {skew_ms:.0f} ms"

    def _filters(self) -> str:
        (found,) = self._market.instruments([self._what.instrument])
        if not found.trading:
            raise DataError(f"{found.symbol}: expected an instrument that is traded, the venue says that it is not")
        if not (found.tick_size and found.lot_step and found.min_notional):
            raise DataError(f"{found.symbol}: expected a tick, a lot step and a minimum notional, got {found}")
        self._instrument = found
        tick, lot, least = plain(found.tick_size), plain(found.lot_step), plain(found.min_notional)
        return f"{found.symbol}: tick {tick}, lot {lot}, at least {least} {found.quote}"

    def _fills(self) -> str:
        now = self._clock.now()
        found = self._venue.fills(self._what.instrument, since=now - _HISTORY, until=now)
        numbers = [fill.venue_fill_id for fill in found]
        if len(set(numbers)) != len(numbers):
            raise DataError(f"expected each fill once, got {len(numbers) - len(set(numbers))} of them twice")
        return f"{len(found)} of the last {_HISTORY.days} days, each once"

    def _balances(self) -> str:
        held = self._venue.balances()
        return f"{len(held)} currencies: {', '.join(sorted(held)[:5]) or 'none'}"

    # what is sent

    def _request(self, purpose: str, signed_at: datetime) -> OrderRequest:
        if self._instrument is None:
            raise DataError("expected the filters to have been read")
        symbol = self._instrument.symbol
        price, quantity = far_below(self._instrument, self._market.best_prices([symbol])[symbol].bid)
        name = client_order_id(
            account=f"conformance {self._what.target}",
            incarnation=1,
            strategy="conformance",
            instrument=symbol,
            timeframe="",
            as_of=self._began_at,
            purpose=purpose,
            generation=0,
        )
        return OrderRequest(
            client_order_id=name,
            instrument=symbol,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            quantity=quantity,
            limit_price=price,
            signed_at=signed_at,
            recv_window_ms=self._what.recv_window_ms,
            post_only=True,
        )

    def _submit(self, request: OrderRequest) -> VenueOrder:
        self._sent[request.client_order_id] = request
        try:
            return self._venue.submit(request)
        except OutcomeUnknown:
            self._is_unsure = True
            raise

    def _too_late(self) -> str:
        window = timedelta(milliseconds=self._what.recv_window_ms)
        request = self._request("late", self._clock.now() - window - _LATE)
        try:
            order = self._submit(request)
        except OrderRejected as refused:
            _expect_code(self._what.codes.too_late, refused.code, refused)
            return f"signed {window.total_seconds() + _LATE.total_seconds():g} s ago: refused with {refused.code}"
        raise DataError(
            f"expected a request signed {window + _LATE} ago to be refused, it became order {order.venue_order_id}"
        )

    def _place(self) -> str:
        request = self._request("resting", self._clock.now())
        self._placed = self._submit(request)
        self._expect_ours(self._placed)
        price, quantity = plain(request.limit_price or Decimal(0)), plain(request.quantity)
        return f"{quantity} at {price}, post-only, as {request.client_order_id}: order {self._placed.venue_order_id}"

    def _found_by_name(self) -> str:
        placed = self._resting
        return self._told(lambda: self._venue.order(placed.instrument, placed.client_order_id))

    def _found_open(self) -> str:
        name = self._resting.client_order_id
        return self._told(lambda: _named(self._venue.open_orders(), name))

    def _found_among_all(self) -> str:
        placed, margin = self._resting, timedelta(minutes=1)
        since, until = placed.created_at - margin, placed.created_at + margin
        return self._told(
            lambda: _named(
                self._venue.order_history(placed.instrument, since=since, until=until), placed.client_order_id
            )
        )

    def _duplicate(self) -> str:
        again = replace(self._sent[self._resting.client_order_id], signed_at=self._clock.now())
        unsure = self._is_unsure
        try:
            order = self._submit(again)
        except OutcomeUnknown as error:
            _expect_code(self._what.codes.duplicate, error.code, error)
            self._is_unsure = unsure  # the venue has answered: it refused this one
        else:
            raise DataError(
                f"expected an id that an open order bears to be refused, it became order {order.venue_order_id} as well"
            )
        bearing = [o for o in self._venue.open_orders() if o.client_order_id == again.client_order_id]
        if len(bearing) != 1:
            raise DataError(f"expected one open order of this id, got {len(bearing)}")
        return f"refused with {self._what.codes.duplicate} while the first one is open"

    def _cancel(self) -> str:
        placed = self._resting
        self._venue.cancel(placed.instrument, placed.client_order_id)

        def ended() -> VenueOrder | None:
            order = self._venue.order(placed.instrument, placed.client_order_id)
            return order if order is not None and order.status is VenueOrderStatus.CANCELED else None

        return f"by our id; {self._told(ended)}"

    def _second_cancel(self) -> str:
        placed = self._resting
        try:
            self._venue.cancel(placed.instrument, placed.client_order_id)
        except OrderRejected as refused:
            _expect_code(self._what.codes.nothing_to_cancel, refused.code, refused)
            return f"refused with {refused.code}"
        raise DataError("expected nothing to cancel, the venue says that it cancelled once more")

    def _nothing_left(self) -> str:
        """Take back whatever was sent; where an answer was lost, once more when its request can no longer arrive."""
        if self._is_unsure:
            self._take_back()
            last = max(request.signed_at for request in self._sent.values())
            over = last + timedelta(milliseconds=self._what.recv_window_ms) + _SECOND
            self._clock.sleep(max(0.0, (over - self._clock.now()).total_seconds()))
        left = self._take_back()
        if left:
            raise DataError(f"expected no order of this test to rest, {', '.join(left)} does: cancel it at the venue")
        return f"of {len(self._sent)} ids that were sent, none rests"

    def _take_back(self) -> list[str]:
        """Cancel by name until none is listed; what is still listed then."""
        names = list(self._sent)
        for _ in range(_CANCELS):
            for name in names:
                try:
                    self._venue.cancel(self._what.instrument, name)
                except (OrderRejected, ExchangeUnavailable):
                    continue  # nothing to cancel, or asked for again: what is listed below decides
            names = [
                order.client_order_id for order in self._venue.open_orders() if order.client_order_id in self._sent
            ]
            if not names:
                break
        return names

    # what is told of it

    @property
    def _resting(self) -> VenueOrder:
        if self._placed is None:
            raise DataError("expected an order to have been placed")
        return self._placed

    def _told(self, ask: Callable[[], VenueOrder | None]) -> str:
        """Ask until the venue tells of the order, for as long as its answers may lag; what it said."""
        began, lag_s = self._clock.monotonic(), self._what.visibility_lag_s
        while (found := ask()) is None:
            waited_s = self._clock.monotonic() - began
            if waited_s >= lag_s:
                raise DataError(f"expected {self._resting.client_order_id} within {lag_s:g} s, the venue knows none")
            self._clock.sleep(_ASK_AGAIN_S)
        self._expect_ours(found)
        return f"order {found.venue_order_id} is {found.status}, after {self._clock.monotonic() - began:.1f} s"

    def _expect_ours(self, found: VenueOrder) -> None:
        request, placed = self._sent.get(found.client_order_id), self._resting
        if request is None:
            raise DataError(f"expected {placed.client_order_id}, the venue told of {found.client_order_id!r}")
        asked = (request.instrument, request.side, request.quantity, placed.venue_order_id, Decimal(0))
        told = (found.instrument, found.side, found.quantity, found.venue_order_id, found.filled_quantity)
        if told != asked:
            raise DataError(f"order {found.client_order_id}: expected {asked}, got {told}")


def _named(orders: Sequence[VenueOrder], client_order_id: str) -> VenueOrder | None:
    return next((order for order in orders if order.client_order_id == client_order_id), None)


def _expect_code(expected: str, code: str, error: TradingError) -> None:
    if code != expected:
        raise DataError(f"expected the venue's {expected}, got {code or 'no code'}: {error}") from error
