"""An order desk in memory, with a book of its own, that fills by the rules of `trading.domain.matching`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Final

from trading.adapters.memory.market import MemoryMarket, OpenCandle
from trading.adapters.memory.purse import Purse
from trading.clock import Clock
from trading.domain.ledger import Balance, Fill
from trading.domain.market import Candle, Instrument, to_ms
from trading.domain.matching import Execution, Rest, WorkingOrder, arrive, match_candle, taker_price
from trading.domain.money import EXACT, ZERO
from trading.domain.order import OrderRequest, Side
from trading.domain.venue_filters import OrderShape, VenueRules, failed_filter
from trading.domain.venue_order import VenueOrder, VenueOrderStatus
from trading.errors import OrderRejected

#: How far ahead of the venue's clock a request may be signed.
MAX_AHEAD: Final = timedelta(seconds=1)

_OPEN: Final = frozenset({VenueOrderStatus.OPEN, VenueOrderStatus.PARTIALLY_FILLED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """One POST that arrived. `code` is the venue's reason where it was not accepted."""

    client_order_id: str
    request: OrderRequest
    at: datetime
    accepted: bool
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Booked:
    """An order in the desk's book. `lock_price` is what a unit of a buy keeps locked, in quote."""

    seen: VenueOrder
    working: WorkingOrder
    lock_price: Decimal
    next_candle_ms: int


class MemoryVenue:
    """Venue. Refuses an id that is open and takes a used one again, as Binance does."""

    def __init__(
        self, market: MemoryMarket, clock: Clock, balances: dict[str, Decimal], *, name: str = "memory"
    ) -> None:
        self.posts: list[Post] = []
        self._market = market
        self._clock = clock
        self._name = name
        self._purse = Purse(balances)
        self._orders: list[_Booked] = []
        self._open: dict[int, None] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._fills: dict[str, list[Fill]] = {}
        self._fill_count = 0
        self._taken: dict[str, tuple[int, Decimal]] = {}

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Take the order, fill what fills at once, let the rest rest or expire. Raises OrderRejected."""
        self._settle()
        try:
            candle, working = self._accept(request)
        except OrderRejected as refusal:
            self._log(request, accepted=False, code=refusal.code)
            raise
        self._log(request, accepted=True)
        return self._book(request, candle, working)

    def cancel(self, instrument: str, client_order_id: str) -> None:
        """Cancel an open order. Raises OrderRejected where there is none."""
        self._settle()
        number = self._newest.get((instrument, client_order_id))
        if number is None or number not in self._open:
            raise OrderRejected("-2011", "Unknown order sent.")
        self._end(number, VenueOrderStatus.CANCELED)

    def order(self, instrument: str, client_order_id: str) -> VenueOrder | None:
        """The newest order of that name; None where there is none."""
        self._settle()
        number = self._newest.get((instrument, client_order_id))
        return None if number is None else self._orders[number].seen

    def open_orders(self) -> list[VenueOrder]:
        """Everything that rests, in the order of arrival."""
        self._settle()
        return [self._orders[number].seen for number in self._open]

    def orders(self) -> list[VenueOrder]:
        """Every order that was ever accepted, in the order of arrival: the book that a checker judges by."""
        self._settle()
        return [booked.seen for booked in self._orders]

    def order_history(self, instrument: str, *, since: datetime, until: datetime) -> list[VenueOrder]:
        """Orders of any state with since ≤ created_at < until, ascending."""
        return [one for one in self.orders() if one.instrument == instrument and since <= one.created_at < until]

    def fills(self, instrument: str, *, since: datetime, until: datetime) -> list[Fill]:
        """Executions with since ≤ filled_at < until, ascending."""
        self._settle()
        return [fill for fill in self._fills.get(instrument, ()) if since <= fill.filled_at < until]

    def balances(self) -> dict[str, Balance]:
        """What the account holds, by currency; zeros left out."""
        self._settle()
        return self._purse.balances()

    def _log(self, request: OrderRequest, *, accepted: bool, code: str = "") -> None:
        self.posts.append(
            Post(
                client_order_id=request.client_order_id,
                request=request,
                at=self._clock.now(),
                accepted=accepted,
                code=code,
            )
        )

    def _accept(self, request: OrderRequest) -> tuple[OpenCandle, WorkingOrder]:
        """What the order meets. Raises OrderRejected, with the venue's code, for what the venue would refuse."""
        now = self._clock.now()
        if now > request.signed_at + timedelta(milliseconds=request.recv_window_ms):
            raise OrderRejected("-1021", "Timestamp for this request is outside of the recvWindow.")
        if request.signed_at > now + MAX_AHEAD:
            raise OrderRejected("-1021", "Timestamp for this request was 1000ms ahead of the server's time.")
        instrument = self._market.instrument(request.instrument)
        candle = self._market.open_candle(request.instrument)
        if candle is None or not instrument.trading:
            raise OrderRejected("-2010", "Market is closed.")
        working = WorkingOrder(side=request.side, quantity=request.quantity, limit=request.limit_price)
        self._check_filters(working, instrument, candle)
        if self._newest.get((request.instrument, request.client_order_id)) in self._open:
            raise OrderRejected("-2010", "Duplicate order sent.")
        currency, needed = self._needed(working, instrument, self._lock_price(working, instrument, candle))
        if self._purse.free(currency) < needed:
            raise OrderRejected("-2010", "Account has insufficient balance for requested action.")
        return candle, working

    def _check_filters(self, working: WorkingOrder, instrument: Instrument, candle: OpenCandle) -> None:
        resting = sum(1 for number in self._open if self._orders[number].seen.instrument == instrument.symbol)
        failed = failed_filter(
            OrderShape(side=working.side, quantity=working.quantity, price=working.limit),
            _venue_rules(instrument),
            reference_price=candle.open,
            open_orders=resting,
            rests=working.limit is not None,
        )
        if failed:
            raise OrderRejected("-1013", f"Filter failure: {failed}")

    def _book(self, request: OrderRequest, candle: OpenCandle, working: WorkingOrder) -> VenueOrder:
        """Write the order down and let it meet the market."""
        instrument = self._market.instrument(request.instrument)
        number = len(self._orders)
        seen = VenueOrder(
            venue_order_id=str(number + 1),
            client_order_id=request.client_order_id,
            instrument=request.instrument,
            side=request.side,
            status=VenueOrderStatus.OPEN,
            quantity=request.quantity,
            filled_quantity=ZERO,
            created_at=self._clock.now(),
        )
        lock_price = self._lock_price(working, instrument, candle)
        booked = _Booked(seen=seen, working=working, lock_price=lock_price, next_candle_ms=candle.open_ms)
        self._orders.append(booked)
        self._open[number] = None
        self._newest[request.instrument, request.client_order_id] = number
        self._purse.lock(*self._needed(working, instrument, lock_price))
        open_ms, taken = self._taken.get(request.instrument, (candle.open_ms, ZERO))
        taken = taken if open_ms == candle.open_ms else ZERO
        rules = self._market.rules(request.instrument)
        arrival = arrive(working, candle.open, candle.previous_volume, rules, taken)
        for execution in arrival.executions:
            taken += execution.quantity
            self._fill(number, execution, self._clock.now())
        self._taken[request.instrument] = (candle.open_ms, taken)
        if arrival.rest is Rest.EXPIRED:
            self._end(number, VenueOrderStatus.EXPIRED)
        return self._orders[number].seen

    def _settle(self) -> None:
        """Let resting orders meet the candles that closed since they were last looked at, in order."""
        symbols = dict.fromkeys(self._orders[number].seen.instrument for number in self._open)
        for symbol in symbols:
            first_ms = min(self._orders[number].next_candle_ms for number in self._resting(symbol))
            for closed_at, candle in self._market.closed_candles(symbol, first_ms):
                self._match(symbol, closed_at, candle)

    def _match(self, symbol: str, closed_at: datetime, candle: Candle) -> None:
        """One closed candle against all orders that rested in it."""
        opened_ms = to_ms(candle.open_time)
        present = [number for number in self._resting(symbol) if self._orders[number].next_candle_ms <= opened_ms]
        working = [self._orders[number].working for number in present]
        for number, executions in zip(present, match_candle(working, candle, self._market.rules(symbol)), strict=True):
            self._orders[number] = replace(self._orders[number], next_candle_ms=to_ms(closed_at))
            for execution in executions:
                self._fill(number, execution, closed_at)

    def _resting(self, symbol: str) -> Sequence[int]:
        return [number for number in self._open if self._orders[number].seen.instrument == symbol]

    def _fill(self, number: int, execution: Execution, at: datetime) -> None:
        """Book one execution: the fill, both balances and what is left of the order."""
        booked = self._orders[number]
        seen, instrument = booked.seen, self._market.instrument(booked.seen.instrument)
        quantity, notional, fee = execution.quantity, execution.notional, execution.fee
        self._fill_count += 1
        fill = Fill(
            venue=self._name,
            instrument=seen.instrument,
            venue_fill_id=str(self._fill_count),
            venue_order_id=seen.venue_order_id,
            client_order_id="",
            side=seen.side,
            price=execution.price,
            quantity=quantity,
            fee=fee,
            fee_currency=execution.fee_currency,
            filled_at=at,
            is_maker=execution.maker,
        )
        self._fills.setdefault(seen.instrument, []).append(fill)
        with localcontext(EXACT):
            if seen.side is Side.BUY:
                locked = quantity * booked.lock_price
                self._purse.change(instrument.quote, free=locked - notional, locked=-locked)
                self._purse.change(instrument.base, free=quantity - fee)
            else:
                self._purse.change(instrument.base, locked=-quantity)
                self._purse.change(instrument.quote, free=notional - fee)
        filled = seen.filled_quantity + quantity
        whole = filled == seen.quantity
        status = VenueOrderStatus.FILLED if whole else VenueOrderStatus.PARTIALLY_FILLED
        self._orders[number] = replace(
            booked,
            seen=replace(seen, filled_quantity=filled, status=status),
            working=booked.working if whole else replace(booked.working, quantity=seen.quantity - filled),
        )
        if whole:
            del self._open[number]

    def _end(self, number: int, status: VenueOrderStatus) -> None:
        """End an open order and free what it locked."""
        booked = self._orders[number]
        currency, locked = self._needed(
            booked.working, self._market.instrument(booked.seen.instrument), booked.lock_price
        )
        self._purse.lock(currency, -locked)
        self._orders[number] = replace(booked, seen=replace(booked.seen, status=status))
        del self._open[number]

    def _lock_price(self, working: WorkingOrder, instrument: Instrument, candle: OpenCandle) -> Decimal:
        best = taker_price(working.side, candle.open, self._market.rules(instrument.symbol))
        return best if working.limit is None else working.limit

    @staticmethod
    def _needed(working: WorkingOrder, instrument: Instrument, lock_price: Decimal) -> tuple[str, Decimal]:
        """What an order locks: quote for a buy, base for a sell."""
        if working.side is Side.SELL:
            return instrument.base, working.quantity
        with localcontext(EXACT):
            return instrument.quote, working.quantity * lock_price


def _venue_rules(instrument: Instrument) -> VenueRules:
    """The filters that an instrument carries, in the shape that checks them."""
    return VenueRules(
        symbol=instrument.venue_symbol,
        base=instrument.base,
        quote=instrument.quote,
        trading=instrument.trading,
        order_types=("LIMIT", "MARKET"),
        tick_size=instrument.tick_size,
        min_quantity=instrument.min_quantity,
        max_quantity=instrument.max_quantity,
        lot_step=instrument.lot_step,
        market_max_quantity=instrument.market_max_quantity,
        market_lot_step=instrument.market_lot_step,
        min_notional=instrument.min_notional,
        min_notional_for_market=True,
        bid_multiplier_up=instrument.price_multiplier_up,
        bid_multiplier_down=instrument.price_multiplier_down,
        ask_multiplier_up=instrument.price_multiplier_up,
        ask_multiplier_down=instrument.price_multiplier_down,
        max_open_orders=instrument.max_open_orders,
    )
