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
        result = np.zeros(prices.shape, dtype=np.int64)
        for column, instrument in enumerate(instruments):
            values = prices[:, column]
            known = np.isfinite(values)
            scaled = np.where(known, values, 0.0) / float(instrument.tick_size)
            if len(scaled) and scaled.max() > _MOST_TICKS:
                raise DataError(f"{instrument.symbol}: a price of {values[int(scaled.argmax())]} has too many ticks")
            below = np.floor(scaled)
            result[:, column] = below + (scaled - below >= 0.5)  # noqa: PLR2004 - half up
            unsure = np.abs(scaled - below - 0.5) < _doubt(scaled)
            for row in np.flatnonzero(unsure & known).tolist():
                price = price_from_candle(float(values[row]), instrument.tick_size)
                result[row, column] = int(price / instrument.tick_size)
        return result

    def capacity(
        self, volume: NDArray[np.float64], instruments: Sequence[Instrument], share: VolumeShareModel
    ) -> NDArray[np.int64]:
        """Atoms that takers may have of each candle, by the volume of the candle before it; 0 without one."""
        result = np.zeros(volume.shape, dtype=np.int64)
        for column, instrument in enumerate(instruments):
            before = np.nan_to_num(volume[:-1, column], nan=0.0, posinf=0.0)
            lot = self.atoms(instrument.lot_step)
            lots = _whole_lots(before, instrument.lot_step, share)
            result[1:, column] = np.minimum(lots, MOST_UNITS // lot) * lot
        return result


def _whole_lots(volume: NDArray[np.float64], lot_step: Decimal, share: VolumeShareModel) -> NDArray[np.int64]:
    """Whole lots in the share of each volume's exact decimal.

    A volume holds n lots where it is at least n * step / share. That boundary's nearest float64 tells, since a
    float64's shortest text is at or above a decimal of 15 digits exactly where it is; for others Decimal decides.
    """
    if not share.share:
        return np.zeros(len(volume), dtype=np.int64)
    each = Fraction(lot_step) / Fraction(share.share)
    near = np.rint(volume * (each.denominator / each.numerator))
    boundary = near * each.numerator / each.denominator
    lots: NDArray[np.int64] = (near - (volume < boundary)).clip(0, 2.0**62).astype(np.int64)
    places = next((n for n in range(16) if 10**n % each.denominator == 0), None)
    longest = near.max(initial=0) * each.numerator * (10**places / each.denominator) if places is not None else np.inf
    if longest >= 10**_EXACT_DIGITS:
        for row in np.flatnonzero((volume == boundary) & (near > 0)).tolist():
            lots[row] = int(share.capacity(Decimal(repr(float(volume[row]))), lot_step) / lot_step)
    return lots


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


def _doubt(quotient: NDArray[np.float64]) -> NDArray[np.float64]:
    """How near to a boundary between two whole numbers a float's quotient may not decide: the exact decimal does."""
    return quotient * 1e-14 + 1e-9


def _places(step: Decimal) -> int:
    """Decimals that a step has."""
    return max(0, -int(step.normalize().as_tuple().exponent))
