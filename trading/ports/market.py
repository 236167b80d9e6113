"""The outside world: a venue's market data, and its order desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.domain.ledger import Balance, Fill
from trading.domain.market import CandleSeries, Instrument
from trading.domain.order import OrderRequest
from trading.domain.venue_order import VenueOrder


@dataclass(frozen=True, kw_only=True, slots=True)
class BestPrices:
    """The best bid and ask, in quote."""

    bid: Decimal
    ask: Decimal


class MarketData(Protocol):
    """Public reads. Each may raise ExchangeUnavailable (worth a retry) or DataError (this instrument is not)."""

    def server_time(self) -> datetime:
        """The venue's own clock, aware UTC."""
        ...

    def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """The named instruments with today's filters. Raises ConfigurationError for a symbol that the venue lacks."""
        ...

    def candles(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        """Candles with since_ms ≤ open_ms < until_ms, ascending, as the venue gives them: the last one may be open."""
        ...

    def best_prices(self, symbols: Sequence[str]) -> dict[str, BestPrices]:
        """Bid and ask now, by symbol."""
        ...


class Venue(Protocol):
    """The order desk of one account. Reads may raise ExchangeUnavailable."""

    def submit(self, request: OrderRequest) -> VenueOrder:
        """One POST, signed with exactly `request.signed_at`, never repeated.

        Raises OrderRejected for a definite no, OutcomeUnknown for everything else that is not a clear yes.
        """
        ...

    def cancel(self, instrument: str, client_order_id: str) -> None:
        """Ask for a cancel. Raises OrderRejected where the venue says that there is nothing to cancel."""
        ...

    def order(self, instrument: str, client_order_id: str) -> VenueOrder | None:
        """The newest order of that name; None where the venue says that it knows none (which may lag the truth)."""
        ...

    def open_orders(self) -> list[VenueOrder]:
        """Everything that rests there, ours or not."""
        ...

    def order_history(self, instrument: str, *, since: datetime, until: datetime) -> list[VenueOrder]:
        """Orders of any state and anybody with since ≤ created_at < until, each once, ascending."""
        ...

    def fills(self, instrument: str, *, since: datetime, until: datetime) -> list[Fill]:
        """Executions with since ≤ filled_at < until, each once, ascending.

        `client_order_id` is empty: the venue names its own order id, which the ledger maps.
        """
        ...

    def balances(self) -> dict[str, Balance]:
        """What the account holds, by currency; zeros left out."""
        ...
