"""The compiled backtest: planning, pre-trade checks and matching over whole numbers, one decision a row.

This is `trading.domain.planning`, `risk` and `matching` for market orders of one strategy, in integers of ticks, lots
and units; the tests hold it equal to them, and to the flows over the paper exchange, to the last digit. Everything here
is compiled by numba, which this module alone imports: a process that never backtests never loads it.

Row i is decided at its close and filled at the open of row i + 1. Products that may leave 64 bits are taken modulo
2**64, where their differences are exact again (`_share`); equity beyond MOST_UNITS ends the run, and says where.
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trading.domain import backtest_checks as checks
from trading.domain import backtest_terms as words
from trading.domain.backtest_checks import check, share, taker_price
from trading.domain.backtest_rest import as_floats, span
from trading.domain.backtest_terms import WHOLE, Filters, Terms
from trading.domain.compiled import compiled, inlined

#: An int64 inside compiled code.
Whole: TypeAlias = Any

#: One decision's money, in units: the strategy's cash and equity at the close, what planning may still spend (and
#: hundredths of a unit), what the checks take for free and for exposed, and the smallest change worth an order.
_CASH, _EQUITY, _SPENDABLE, _HUNDREDTHS, _FREE, _GROSS, _THRESHOLD = range(7)
_PURSE: Final = 7


@inlined
def _filters(filters: NDArray[np.int64], j: Whole) -> Filters:
    """Those of one instrument, as scalars: passing arrays about counts their references."""
    return Filters(filters[j, 0], filters[j, 1], filters[j, 2], filters[j, 3], filters[j, 4], filters[j, 5])


@inlined
def _quantity(delta: Whole, held: Whole, free: Whole, hundredths: Whole, close: Whole, one: Filters) -> Whole:
    """What to send of `delta`, in whole lots: no more than is held, or than free quote less one per cent buys."""
    lot = one.market_lot
    if delta < 0:
        return min(-delta, held) // lot * lot
    if free < 0:
        return 0
    bought = (free // 101 * 100 + (free % 101 * 100 + hundredths) // 101) // (close * one.value)
    return min(delta, bought) // lot * lot


@inlined
def _worth(
    closes: NDArray[np.int64], i: Whole, held: NDArray[np.int64], last: NDArray[np.int64], filters: NDArray[np.int64]
) -> Whole:
    """What is held is worth at this row's closes, or the last ones before a gap; -1 where 64 bits are too few."""
    worth = 0
    for j in range(len(held)):
        if closes[i, j] > 0:
            last[j] = closes[i, j]
        if held[j] > 0:
            if float(held[j]) * float(last[j]) * float(filters[j, 0]) > words.MOST_UNITS:
                return -1
            worth += held[j] * last[j] * filters[j, 0]
    return worth


@inlined
def _next(delta: NDArray[np.int64], previous: Whole) -> Whole:
    """The instrument after `previous` (-1: the first) by what is to change, largest sale first; equal ones in order."""
    found = -1
    for j in range(len(delta)):
        later = previous < 0 or delta[j] > delta[previous] or (delta[j] == delta[previous] and j > previous)
        if later and (found < 0 or delta[j] < delta[found]):
            found = j
    return found


@inlined
def _aim(
    weights: NDArray[np.int64],
    i: Whole,
    equity: Whole,
    held: NDArray[np.int64],
    last: NDArray[np.int64],
    target: NDArray[np.int64],
    delta: NDArray[np.int64],
    filters: NDArray[np.int64],
    terms: Terms,
) -> bool:
    """Set each `target`, and `delta` to what is to change; False where nothing is: by two lots below the threshold."""
    wanted, small = False, float(equity) * float(terms.threshold) / WHOLE
    for j in range(len(held)):
        unit, lot_size = last[j] * filters[j, 0], filters[j, 1]
        part = terms.investable * weights[i, j]
        aim, lot = float(equity) * float(part) / (WHOLE * words.WHOLE_WEIGHT), float(unit * lot_size)
        target[j], delta[j] = 0, 0
        if aim > 2 * lot and abs(aim - float(held[j]) * float(unit)) + 2 * lot < small:
            continue
        if part > 0:
            target[j] = share(share(equity, part, WHOLE * words.WHOLE_WEIGHT), 1, unit * lot_size) * lot_size
        delta[j] = target[j] - held[j]
        wanted = wanted or delta[j] != 0
    return wanted


@inlined
def _size(delta: Whole, leaves: bool, held: Whole, close: Whole, one: Filters, purse: NDArray[np.int64]) -> Whole:
    """What planning asks for of `delta`, in atoms; 0 where it is not worth an order or the venue takes none so small.

    A buy is taken from what may still be spent, with one per cent for its slippage and fee.
    """
    value = one.value
    if not leaves and abs(delta) * close * value < purse[_THRESHOLD]:
        return 0
    quantity = _quantity(delta, held, purse[_SPENDABLE], purse[_HUNDREDTHS], close, one)
    notional = quantity * close * value
    if quantity <= 0 or quantity < one.least or notional < one.least_notional:
        return 0
    if delta > 0:
        purse[_HUNDREDTHS] -= notional % 100
        purse[_SPENDABLE] -= notional + notional // 100
        if purse[_HUNDREDTHS] < 0:
            purse[_HUNDREDTHS] += 100
            purse[_SPENDABLE] -= 1
    return quantity


@inlined
def _send(
    quantity: Whole,
    j: Whole,
    one: Filters,
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
    value = one.value
    expected = taker_price(opened, buys, terms.slippage)
    prices = (close, expected, opened)
    outcome = check(quantity, one, buys, prices, held[j], purse[_GROSS], purse[_FREE], purse[_EQUITY], terms)
    if outcome < 0 and buys and quantity * expected * value > purse[_CASH] + terms.outside:
        outcome = checks.FUNDS_REFUSED
    filled, fee, result = 0, 0, 0.0
    if outcome < 0:
        if buys:
            purse[_FREE] -= quantity * close * value
            purse[_GROSS] += quantity * close * value
        filled = min(quantity, available)
        outcome = checks.FILLED if filled == quantity else (checks.PARTIALLY_FILLED if filled > 0 else checks.EXPIRED)
    if filled > 0 and buys:
        fee = share(filled, terms.fee, WHOLE) // terms.fee_base_step * terms.fee_base_step
        purse[_CASH] -= filled * expected * value
        held[j] += filled - fee
        cost[j] += float(filled * expected * value)
    elif filled > 0:
        received = filled * expected * value
        fee = share(received, terms.fee, WHOLE) // terms.fee_quote_step * terms.fee_quote_step
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


@inlined
def _decide(
    i: Whole,
    worth: Whole,
    equity: Whole,
    opens: NDArray[np.int64],
    capacity: NDArray[np.int64],
    held: NDArray[np.int64],
    last: NDArray[np.int64],
    target: NDArray[np.int64],
    delta: NDArray[np.int64],
    cost: NDArray[np.float64],
    purse: NDArray[np.int64],
    orders: NDArray[np.int64],
    count: Whole,
    filters: NDArray[np.int64],
    terms: Terms,
) -> Whole:
    """Send what row i decided, largest sale first, into the orders; how many there are then."""
    purse[_SPENDABLE], purse[_HUNDREDTHS], purse[_FREE] = purse[_CASH], 0, purse[_CASH]
    purse[_GROSS], purse[_EQUITY] = worth, equity
    purse[_THRESHOLD] = -share(-equity, terms.threshold, WHOLE)
    j = -1
    for _ in range(len(held)):
        j = _next(delta, j)
        if delta[j] == 0 or opens[i + 1, j] <= 0:
            continue
        leaves = target[j] == 0 and held[j] > 0
        only = _filters(filters, j)
        quantity = _size(delta[j], leaves, held[j], last[j], only, purse)
        if quantity > 0:
            order, free = orders[count], capacity[i + 1, j]
            order[words.ROW], order[words.TARGET] = i, target[j]
            _send(
                quantity,
                j,
                only,
                delta[j] > 0,
                last[j],
                opens[i + 1, j],
                free,
                held,
                cost,
                purse,
                order,
                terms,
            )
            count += 1
    return count


@compiled
def simulate(
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    capacity: NDArray[np.int64],
    rows: NDArray[np.int64],
    weights: NDArray[np.int64],
    filters: NDArray[np.int64],
    terms: Terms,
) -> tuple[NDArray[np.int64], Whole]:
    """The orders (columns of `words`), and the row of an overflow or -1.

    opens, closes: ticks, 0 where there is no candle; capacity: atoms that takers may have of each candle; all int64
    (candles, instruments). rows: those at which the weights change, ascending, 0 the first; weights: what they are from
    there on, millionths, negative where there is no signal, (changes, instruments).
    """
    candles, instruments = closes.shape
    orders, count = np.empty((1024, words.COLUMNS), np.int64), 0
    held, last = np.zeros(instruments, np.int64), np.zeros(instruments, np.int64)
    target, delta = np.zeros(instruments, np.int64), np.zeros(instruments, np.int64)
    cost, purse = np.zeros(instruments, np.float64), np.zeros(_PURSE, np.int64)
    purse[_CASH] = terms.cash
    one = as_floats(filters, terms)
    i, change = 0, 0
    while i < candles:
        while change + 1 < len(rows) and rows[change + 1] <= i:
            change += 1
        if instruments == 1:
            last[0] = closes[i, 0] if closes[i, 0] > 0 else last[0]
            worth = held[0] * last[0] * filters[0, 0]
            if float(held[0]) * float(last[0]) * one[0] > words.MOST_UNITS:
                worth = -1
        else:
            worth = _worth(closes, i, held, last, filters)
        equity = purse[_CASH] + worth
        if worth < 0 or equity > words.MOST_UNITS:
            return orders[:count], i
        if i + 1 < candles and weights[change, 0] >= 0 and equity > 0:
            if count + instruments > len(orders):
                grown = np.empty((2 * count + instruments, words.COLUMNS), np.int64)
                grown[:count] = orders[:count]
                orders = grown
            if _aim(weights, change, equity, held, last, target, delta, filters, terms):
                count = _decide(
                    i,
                    worth,
                    equity,
                    opens,
                    capacity,
                    held,
                    last,
                    target,
                    delta,
                    cost,
                    purse,
                    orders,
                    count,
                    filters,
                    terms,
                )
        i += 1
        if instruments == 1:
            until = rows[change + 1] if change + 1 < len(rows) else candles
            low, high = span(last[0], purse[_CASH], held[0], weights[change, 0], one)
            while i < until and low <= closes[i, 0] <= high:
                last[0] = closes[i, 0] if closes[i, 0] > 0 else last[0]
                i += 1
    return orders[:count], -1
