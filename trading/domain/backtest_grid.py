"""The whole numbers of a backtest: prices in ticks, quantities in atoms, money in units.

An atom is the smallest quantity in base that a fill or its fee can leave, a unit the smallest amount in quote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest_terms import MOST_UNITS, WHOLE
from trading.domain.market import Instrument
from trading.domain.matching import VolumeShareModel
from trading.domain.money import price_from_candle
from trading.errors import ConfigurationError, DataError

_MOST_TICKS: Final = 4 * 10**10
#: Decimals of so many digits have float64s of their own.
_EXACT_DIGITS: Final = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The steps of one backtest."""

    atom: Decimal
    unit: Decimal
    fee_atoms: int  # the step of fees in base
    fee_units: int  # and in quote

    @property
    def most(self) -> Decimal:
        """More money than this cannot be counted."""
        return self.unit * MOST_UNITS

    def atoms(self, quantity: Decimal) -> int:
        """A quantity on the grid as a whole number."""
        return int(quantity / self.atom)

    def units(self, money: Decimal | int) -> int:
        """An amount as a whole number, rounded up to the grid. Raises DataError beyond 64 bits."""
        if abs(Decimal(money)) > self.most:
            raise DataError(f"{money} is too much to count in 64 bits: expected at most {self.most}")
        return -int(-Decimal(money) // self.unit)

    def value(self, instrument: Instrument) -> int:
        """Units that an atom is worth at a price of one tick."""
        return int(instrument.tick_size * self.atom / self.unit)

    def ticks(self, prices: NDArray[np.float64], instruments: Sequence[Instrument]) -> NDArray[np.int64]:
        """Prices as `price_from_candle` makes them, in ticks; 0 where there is none. Raises DataError for too many."""
        from trading.domain.backtest_numbers import ticks_of, unsure_ticks  # noqa: PLC0415 - numba, only where a backtest is run

        result = np.zeros(prices.shape, dtype=np.int64)
        for column, instrument in enumerate(instruments):
            values = prices[:, column]
            tick = float(instrument.tick_size)
            beyond, unsure = ticks_of(values, tick, float(_MOST_TICKS), result[:, column])
            if beyond:
                raise DataError(f"{instrument.symbol}: a price of {np.nanmax(values)} has too many ticks")
            for row in unsure_ticks(values, tick).tolist() if unsure else ():
                price = price_from_candle(float(values[row]), instrument.tick_size)
                result[row, column] = int(price / instrument.tick_size)
        return result

    def capacity(
        self, volume: NDArray[np.float64], instruments: Sequence[Instrument], share: VolumeShareModel
    ) -> NDArray[np.int64]:
        """Atoms that takers may have of each candle, by the volume of the candle before it; 0 without one."""
        result = np.zeros(volume.shape, dtype=np.int64)
        for column, instrument in enumerate(instruments):
            lot = self.atoms(instrument.lot_step)
            lots = result[1:, column]
            _set_whole_lots(lots, volume[:-1, column], instrument.lot_step, share)
            np.minimum(lots, MOST_UNITS // lot, out=lots)
            lots *= lot
        return result


def _set_whole_lots(
    lots: NDArray[np.int64], volume: NDArray[np.float64], lot_step: Decimal, share: VolumeShareModel
) -> None:
    """Set `lots` to the whole lots in the share of each volume's exact decimal.

    A volume holds n lots where it is at least n * step / share. That boundary's nearest float64 tells, since a
    float64's shortest text is at or above a decimal of 15 digits exactly where it is; for others Decimal decides.
    """
    from trading.domain.backtest_numbers import even_lots, lots_of  # noqa: PLC0415 - numba, only where a backtest is run

    if not share.share:
        return
    each = Fraction(lot_step) / Fraction(share.share)
    step = (float(each.numerator), float(each.denominator))
    most = lots_of(volume, *step, lots)
    places = next((n for n in range(16) if 10**n % each.denominator == 0), None)
    longest = most * each.numerator * (10**places / each.denominator) if places is not None else np.inf
    if longest >= 10**_EXACT_DIGITS:
        for row in even_lots(volume, *step).tolist():
            lots[row] = int(share.capacity(Decimal(repr(float(volume[row]))), lot_step) / lot_step)


def grid_of(instruments: Sequence[Instrument], fee_places: int) -> Grid:
    """The coarsest steps that hold every lot, fee and product exactly. Raises ConfigurationError where none can."""
    for one in instruments:
        if one.tick_size <= 0 or one.lot_step <= 0:
            raise ConfigurationError(
                f"{one.symbol}: a backtest counts in whole ticks and lots, expected both steps > 0, got tick"
                f" {one.tick_size} and lot {one.lot_step}"
            )
    base = max(fee_places, *(_places(one.lot_step) for one in instruments))
    quote = max(fee_places, *(base + _places(one.tick_size) for one in instruments))
    return Grid(
        atom=Decimal(1).scaleb(-base),
        unit=Decimal(1).scaleb(-quote),
        fee_atoms=10 ** (base - fee_places),
        fee_units=10 ** (quote - fee_places),
    )


def share_of_whole(bps: Decimal | int, name: str) -> int:
    """A share in 1/100 % as a whole number of 1e-8. Raises ConfigurationError where it is finer than that."""
    share = Decimal(bps) * 10_000
    if share != int(share) or not 0 <= share <= 100 * WHOLE:
        raise ConfigurationError(f"{name} is {bps}: expected 0 to 1,000,000 bps in steps of 0.0001")
    return int(share)


def _places(step: Decimal) -> int:
    """Decimals that a step has."""
    return max(0, -int(step.normalize().as_tuple().exponent))
