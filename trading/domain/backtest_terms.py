"""What the compiled backtest is given and gives back: the words for its whole numbers.

numba takes its machine code for new where backtest_kernel.py has changed, not where this file has: touch that one too.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class Terms(NamedTuple):
    """One strategy's terms. Arrays are by instrument; quantities in atoms, amounts in units, shares of WHOLE."""

    value: NDArray[np.int64]  # units that an atom is worth at a price of one tick
    lot: NDArray[np.int64]
    market_lot: NDArray[np.int64]
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    least_notional: NDArray[np.int64]
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
