"""What the compiled backtest is given and gives back: the words for its whole numbers.

numba takes its machine code for new where backtest_kernel.py has changed, not where this file has: touch that one too.
"""

from typing import Final, NamedTuple

#: Shares (of fees, slippage, buffer, limits) are whole numbers of 1e-8; weights of 1e-6.
WHOLE: Final = 100_000_000
WHOLE_WEIGHT: Final = 1_000_000
#: More equity than this cannot be counted in 64 bits.
MOST_UNITS: Final = 2**62
#: A limit that is not set.
UNSET: Final = -1

#: What became of an order; the rest are codes of `trading.domain.risk`, and the venue's own refusals.
OUTCOMES: Final = (
    "filled",
    "partially_filled",
    "expired",
    "max_quantity",
    "min_notional",
    "max_order_notional",
    "price_collar",
    "max_position",
    "max_gross_exposure",
    "insufficient_funds",
    "rejected: NOTIONAL",
    "rejected: insufficient balance",
)

#: Columns of an order: the row that decided it, instrument, signed quantity and target in atoms, outcome, filled atoms,
#: price in ticks, fee in atoms (buys) or units (sales), result of a sale in units against its average cost.
ROW, INSTRUMENT, QUANTITY, TARGET, OUTCOME, FILLED, PRICE, FEE, RESULT = range(9)
COLUMNS: Final = 9

#: Sums over a curve: the first and last equity, all of them, invested shares, returns, their squares and those of the
#: negative ones, the lowest share of the best so far, the most candles without a best; over trades: notionals, fees,
#: sales, those that gained, what they gained and what the others lost. In units, shares and candles.
FIRST, LAST, TOTAL, EXPOSURE, RETURNS, SQUARES, LOSSES, DEEPEST, LONGEST = range(9)
TRADED, FEES, SALES, HITS, GAINED, LOST = range(9, 15)
SUMS: Final = 15


class Filters(NamedTuple):
    """One instrument's, in the order of a row of filters: quantities in atoms, the notional in units."""

    value: int  # units that an atom is worth at a price of one tick
    lot: int
    market_lot: int
    least: int
    most: int
    least_notional: int


class Terms(NamedTuple):
    """One strategy's terms: amounts in units, shares of WHOLE."""

    cash: int
    outside: int  # the account's other quote: it counts for the account's limits and the venue's balance
    fee: int
    fee_base_step: int
    fee_quote_step: int
    slippage: int
    investable: int
    threshold: int
    collar: int
    most_order: int
    most_position: int
    most_gross: int
