"""The compiled backtest: planning, pre-trade checks and matching over whole numbers, one decision a row.

This is `trading.domain.planning`, `risk` and `matching` for market orders of one strategy, in integers of ticks, lots
and units; the tests hold it equal to them, and to the flows over the paper exchange, to the last digit. Everything here
is compiled by numba, which this module alone imports: a process that never backtests never loads it.

Row i is decided at its close and filled at the open of row i + 1. Products that may leave 64 bits are taken modulo
2**64, where their differences are exact again (`_share`); equity beyond MOST_UNITS ends the run, and says where.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

from trading.domain import backtest_terms as words
from trading.domain.backtest_terms import UNSET, WHOLE, Terms

#: An int64 inside compiled code.
Whole: TypeAlias = Any

_FILLED, _PARTIALLY_FILLED, _EXPIRED, _MAX_QUANTITY, _MIN_NOTIONAL, _MAX_ORDER_NOTIONAL = range(6)
_PRICE_COLLAR, _MAX_POSITION, _MAX_GROSS_EXPOSURE, _INSUFFICIENT_FUNDS, _NOTIONAL_REFUSED, _FUNDS_REFUSED = range(6, 12)

#: One decision's money, in units: the strategy's cash and equity at the close, what planning may still spend (and
#: hundredths of a unit), what the checks take for free and for exposed, and the smallest change worth an order.
_CASH, _EQUITY, _SPENDABLE, _HUNDREDTHS, _FREE, _GROSS, _THRESHOLD = range(7)
_PURSE: Final = 7


def _compiled(function: Callable[..., Any]) -> Any:
    """The machine code of `function`, kept beside it where that can be written."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep it in
        return numba.njit(nogil=True)(function)


def _inlined(function: Callable[..., Any]) -> Any:
    """Made a part of its caller: a call counts the references of every array, which takes longer than the work."""
    return numba.njit(inline="always")(function)


@_inlined
def _share(whole: Whole, part: Whole, of: Whole) -> Whole:
    """Floor of whole * part / of, exact where the result is below 2**62, though the product may not fit.

    A float comes near enough that the remainder is small again; dividing whole numbers would take several times longer.
    """
    near = np.int64(float(whole) * float(part) / float(of))
    rest = whole * part - near * of
    while rest < 0:
        near, rest = near - 1, rest + of
    while rest >= of:
        near, rest = near + 1, rest - of
    return near


@_inlined
def _taker_price(open_ticks: Whole, buys: bool, slippage: Whole) -> Whole:
    """Worse than the open by the slippage, rounded to the tick against the taker; at least a tick."""
    if buys:
        return -((-open_ticks * (WHOLE + slippage)) // WHOLE)
    return max(open_ticks * (WHOLE - slippage) // WHOLE, 1)


@_inlined
def _check(
    quantity: Whole,
    j: Whole,
    buys: bool,
    prices: tuple[Whole, Whole, Whole],
    held: Whole,
    gross: Whole,
    free: Whole,
    equity: Whole,
    terms: Terms,
) -> Whole:
    """The first pre-trade check that denies the order, in the order in which `risk` asks them; -1 where none does.

    `prices` are the last close, the expected price and the open; `gross` and `free` count the buys sent before it.
    """
    close, expected, opened = prices
    value = terms.value[j]
    notional = quantity * max(close, expected) * value
    if terms.most[j] != UNSET and quantity > terms.most[j]:
        return _MAX_QUANTITY
    if quantity * expected * value < terms.least_notional[j]:
        return _MIN_NOTIONAL
    if terms.most_order != UNSET and notional > terms.most_order:
        return _MAX_ORDER_NOTIONAL
    if terms.collar != UNSET and abs(expected - close) * WHOLE > close * terms.collar:
        return _PRICE_COLLAR
    if buys:
        if terms.most_position != UNSET and held * close * value + notional > terms.most_position:
            return _MAX_POSITION
        if terms.most_gross != UNSET and gross + notional > _share(equity + terms.outside, terms.most_gross, WHOLE):
            return _MAX_GROSS_EXPOSURE
        if notional > free:
            return _INSUFFICIENT_FUNDS
    if quantity * opened * value < terms.least_notional[j]:
        return _NOTIONAL_REFUSED
    return -1


@_inlined
def _quantity(delta: Whole, held: Whole, free: Whole, hundredths: Whole, close: Whole, j: Whole, terms: Terms) -> Whole:
    """What to send of `delta`, in whole lots: no more than is held, or than free quote less one per cent buys."""
    lot = terms.market_lot[j]
    if delta < 0:
        return min(-delta, held) // lot * lot
    if free < 0:
        return 0
    bought = (free // 101 * 100 + (free % 101 * 100 + hundredths) // 101) // (close * terms.value[j])
    return min(delta, bought) // lot * lot


@_inlined
def _worth(
    closes: NDArray[np.int64], i: Whole, held: NDArray[np.int64], last: NDArray[np.int64], terms: Terms
) -> Whole:
    """What is held is worth at this row's closes, or the last ones before a gap; -1 where 64 bits are too few."""
    worth = 0
    for j in range(len(held)):
        if closes[i, j] > 0:
            last[j] = closes[i, j]
        if held[j] > 0:
            if float(held[j]) * float(last[j]) * float(terms.value[j]) > words.MOST_UNITS:
                return -1
            worth += held[j] * last[j] * terms.value[j]
    return worth


@_inlined
def _next(delta: NDArray[np.int64], previous: Whole) -> Whole:
    """The instrument after `previous` (-1: the first) by what is to change, largest sale first; equal ones in order."""
    found = -1
    for j in range(len(delta)):
        later = previous < 0 or delta[j] > delta[previous] or (delta[j] == delta[previous] and j > previous)
        if later and (found < 0 or delta[j] < delta[found]):
            found = j
    return found


@_inlined
def _aim(
    weights: NDArray[np.int64],
    i: Whole,
    equity: Whole,
    held: NDArray[np.int64],
    last: NDArray[np.int64],
    target: NDArray[np.int64],
    delta: NDArray[np.int64],
    terms: Terms,
) -> bool:
    """Set each `target`, and `delta` to what is to change; False where nothing is: by two lots below the threshold."""
    wanted, small = False, float(equity) * float(terms.threshold) / WHOLE
    for j in range(len(held)):
        unit, part = last[j] * terms.value[j], terms.investable * weights[i, j]
        aim, lot = float(equity) * float(part) / (WHOLE * words.WHOLE_WEIGHT), float(unit * terms.lot[j])
        target[j], delta[j] = 0, 0
        if aim > 2 * lot and abs(aim - float(held[j]) * float(unit)) + 2 * lot < small:
            continue
        if part > 0:
            target[j] = _share(_share(equity, part, WHOLE * words.WHOLE_WEIGHT), 1, unit * terms.lot[j]) * terms.lot[j]
        delta[j] = target[j] - held[j]
        wanted = wanted or delta[j] != 0
    return wanted


@_inlined
def _size(
    delta: Whole, leaves: bool, held: Whole, close: Whole, j: Whole, purse: NDArray[np.int64], terms: Terms
) -> Whole:
    """What planning asks for of `delta`, in atoms; 0 where it is not worth an order or the venue takes none so small.

    A buy is taken from what may still be spent, with one per cent for its slippage and fee.
    """
    value = terms.value[j]
    if not leaves and abs(delta) * close * value < purse[_THRESHOLD]:
        return 0
    quantity = _quantity(delta, held, purse[_SPENDABLE], purse[_HUNDREDTHS], close, j, terms)
    notional = quantity * close * value
    if quantity <= 0 or quantity < terms.least[j] or notional < terms.least_notional[j]:
        return 0
    if delta > 0:
        purse[_HUNDREDTHS] -= notional % 100
        purse[_SPENDABLE] -= notional + notional // 100
        if purse[_HUNDREDTHS] < 0:
            purse[_HUNDREDTHS] += 100
            purse[_SPENDABLE] -= 1
    return quantity


@_inlined
def _send(
    quantity: Whole,
    j: Whole,
    buys: bool,
    close: Whole,
    opened: Whole,
    available: Whole,
    held: NDArray[np.int64],
    cost: NDArray[np.float64],
    purse: NDArray[np.int64],
    order: NDArray[np.int64],
    terms: Terms,
) -> None:
    """Check the order, and let it meet the open of the candle in progress; what became of it goes into `order`."""
    value = terms.value[j]
    expected = _taker_price(opened, buys, terms.slippage)
    prices = (close, expected, opened)
    outcome = _check(quantity, j, buys, prices, held[j], purse[_GROSS], purse[_FREE], purse[_EQUITY], terms)
    if outcome < 0 and buys and quantity * expected * value > purse[_CASH] + terms.outside:
        outcome = _FUNDS_REFUSED
    filled, fee, result = 0, 0, 0.0
    if outcome < 0:
        if buys:
            purse[_FREE] -= quantity * close * value
            purse[_GROSS] += quantity * close * value
        filled = min(quantity, available)
        outcome = _FILLED if filled == quantity else (_PARTIALLY_FILLED if filled > 0 else _EXPIRED)
    if filled > 0 and buys:
        fee = _share(filled, terms.fee, WHOLE) // terms.fee_base_step * terms.fee_base_step
        purse[_CASH] -= filled * expected * value
        held[j] += filled - fee
        cost[j] += float(filled * expected * value)
    elif filled > 0:
        received = filled * expected * value
        fee = _share(received, terms.fee, WHOLE) // terms.fee_quote_step * terms.fee_quote_step
        released = cost[j] * filled / held[j]
        result = received - fee - released
        purse[_CASH] += received - fee
        held[j] -= filled
        cost[j] -= released
    order[words.INSTRUMENT], order[words.QUANTITY], order[words.OUTCOME] = j, quantity if buys else -quantity, outcome
    order[words.FILLED], order[words.PRICE], order[words.FEE], order[words.RESULT] = (
        filled,
        expected,
        fee,
        np.int64(np.rint(result)),
    )


@_compiled
def simulate(
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    capacity: NDArray[np.int64],
    weights: NDArray[np.int64],
    terms: Terms,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Whole]:
    """Equity and what is invested at each close (units), orders (columns of `words`), and the row of an overflow or -1.

    opens, closes: ticks, 0 where there is no candle; capacity: atoms that takers may have of each candle; weights:
    millionths, negative where there is no signal; all int64 (candles, instruments).
    """
    candles, instruments = closes.shape
    equities, invested = np.zeros(candles, np.int64), np.zeros(candles, np.int64)
    orders, count = np.zeros((1024, words.COLUMNS), np.int64), 0
    held, last = np.zeros(instruments, np.int64), np.zeros(instruments, np.int64)
    target, delta = np.zeros(instruments, np.int64), np.zeros(instruments, np.int64)
    cost, purse = np.zeros(instruments, np.float64), np.zeros(_PURSE, np.int64)
    purse[_CASH] = terms.cash
    for i in range(candles):
        worth = _worth(closes, i, held, last, terms)
        equity = purse[_CASH] + worth
        if worth < 0 or equity > words.MOST_UNITS:
            return equities, invested, orders[:count], i
        equities[i], invested[i] = equity, worth
        if i + 1 == candles or weights[i, 0] < 0 or equity <= 0:
            continue
        if not _aim(weights, i, equity, held, last, target, delta, terms):
            continue
        purse[_SPENDABLE], purse[_HUNDREDTHS], purse[_FREE] = purse[_CASH], 0, purse[_CASH]
        purse[_GROSS], purse[_EQUITY] = worth, equity
        purse[_THRESHOLD] = -_share(-equity, terms.threshold, WHOLE)
        j = -1
        for _ in range(instruments):
            j = _next(delta, j)
            if delta[j] == 0 or opens[i + 1, j] <= 0:
                continue
            leaves = target[j] == 0 and held[j] > 0
            quantity = _size(delta[j], leaves, held[j], last[j], j, purse, terms)
            if quantity == 0:
                continue
            if count == len(orders):
                grown = np.zeros((2 * count, words.COLUMNS), np.int64)
                grown[:count] = orders
                orders = grown
            order = orders[count]
            order[words.ROW], order[words.TARGET] = i, target[j]
            _send(
                quantity, j, delta[j] > 0, last[j], opens[i + 1, j], capacity[i + 1, j], held, cost, purse, order, terms
            )
            count += 1
    return equities, invested, orders[:count], -1
