"""Whether a venue does what our orders rest on: what was tested, and what has to be passed before any may go there."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Final

from trading.domain.market import Instrument
from trading.domain.money import EXACT, ONE, round_to_step
from trading.errors import ConfigurationError, DataError

#: The test's order rests this far below the market, or as far as the venue's own limits allow.
_FAR: Final = Decimal("0.5")
#: Of the way from the venue's lowest price to the market: its reference price is not quite the one that we see.
_MARGIN: Final = Decimal("0.25")


class Target(StrEnum):
    """Where a conformance test may run: never where orders cost money."""

    PAPER = "paper"
    SANDBOX = "sandbox"


class StepVerdict(StrEnum):
    """What became of one step; skipped where one that it needs failed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class ConformanceStep:
    """One step of the test, and what was seen."""

    name: str
    verdict: StepVerdict
    seen: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conformance:
    """One test of one venue, as it is kept."""

    venue: str
    target: Target
    address: str
    at: datetime
    code_version: str
    ccxt_version: str
    steps: tuple[ConformanceStep, ...]

    @property
    def passed(self) -> bool:
        """Whether every step was."""
        return bool(self.steps) and all(step.verdict is StepVerdict.PASSED for step in self.steps)

    @property
    def failed(self) -> list[str]:
        """The names of the steps that failed."""
        return [step.name for step in self.steps if step.verdict is StepVerdict.FAILED]

    @property
    def counts(self) -> dict[str, int]:
        """Steps by verdict."""
        return {verdict.value: sum(step.verdict is verdict for step in self.steps) for verdict in StepVerdict}


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusalCodes:
    """The venue's own codes for the refusals that our orders rest on."""

    too_late: str  # of a request that arrives after its recvWindow
    duplicate: str  # of an id that an open order bears already
    nothing_to_cancel: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What is examined, and what the venue is expected to say. Times as their names say."""

    venue: str
    target: Target
    address: str
    instrument: str
    code_version: str
    ccxt_version: str
    recv_window_ms: int
    max_clock_skew_ms: int
    visibility_lag_s: float
    codes: RefusalCodes


@dataclass(frozen=True, kw_only=True, slots=True)
class ConformanceRequired:
    """What has to be passed before an order may go to this venue in this mode."""

    venue: str
    mode: str
    ccxt_version: str

    def check(self, newest: Conformance | None) -> str:
        """When it was passed, in words. Raises ConfigurationError where the newest test on the sandbox does not do."""
        if newest is not None and newest.passed and newest.ccxt_version == self.ccxt_version:
            return f"{self.venue} passed with ccxt {self.ccxt_version} at {newest.at:%Y-%m-%d %H:%M:%SZ}"
        if newest is None:
            why = "was never tested on its sandbox"
        elif not newest.passed:
            why = f"failed its newest test at {newest.at:%Y-%m-%d %H:%M:%SZ} ({', '.join(newest.failed)})"
        else:
            why = f"was tested with ccxt {newest.ccxt_version}, this is {self.ccxt_version}"
        raise ConfigurationError(
            f"no order may go to {self.venue} in mode {self.mode}, since it {why}: expected a passed"
            f" `TRADING_MODE=sandbox trading doctor --venue {self.venue}` in this database"
        )


def far_below(instrument: Instrument, bid: Decimal) -> tuple[Decimal, Decimal]:
    """Price and quantity of the smallest buy that rests far below the market. Raises DataError where none fits."""
    lowest = instrument.price_multiplier_down
    factor = max(_FAR, lowest + (ONE - lowest) * _MARGIN)
    price = round_to_step(EXACT.multiply(bid, factor), instrument.tick_size, up=True)
    lots = EXACT.divide(EXACT.divide(instrument.min_notional, price), instrument.lot_step)
    quantity = max(EXACT.multiply(lots.to_integral_value(ROUND_CEILING), instrument.lot_step), instrument.min_quantity)
    if not 0 < price < bid or quantity <= 0 or quantity > (instrument.max_quantity or quantity):
        raise DataError(f"{instrument.symbol}: expected room for a small order below {bid}, got {quantity} at {price}")
    return price, quantity
