"""How much an account says to its venue: what the rate limits and the repeated-order breaker count."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.domain.order import Side


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficQuestion:
    """What to count: messages at or after `since`, and orders like this one at or after `alike_since`."""

    account: str
    strategy: str
    instrument: str
    side: Side
    quantity: Decimal  # base
    since: datetime
    alike_since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """Signed orders and cancels of the account. `alike`: of the same strategy, instrument, side and quantity.

    A person who enables a strategy again lets `alike` begin at nothing.
    """

    orders: int = 0
    of_strategy: int = 0
    of_instrument: int = 0
    cancels: int = 0
    alike: int = 0

    @property
    def messages(self) -> int:
        """Everything that the venue was asked to do."""
        return self.orders + self.cancels
