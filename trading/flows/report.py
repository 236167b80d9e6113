"""Report: where the account stands. Reads only."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from trading.domain.kill_switch import Halt, TradingState, trading_state
from trading.domain.money import ZERO
from trading.domain.portfolio import Portfolio
from trading.domain.position import Position
from trading.flows.market_view import last_prices
from trading.ports.ledger import Books, Ledger

_RUNS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The account at one instant. `flow_counts` sums the counts of the newest runs by flow."""

    state: TradingState
    halts: tuple[Halt, ...]
    lease_expires_at: datetime | None
    newest_clean_at: datetime | None
    candles: int
    open_orders: int
    unknown_orders: int
    discrepancies: int
    equity: Decimal
    positions: dict[tuple[str, str], Position]
    prices: dict[str, Decimal]
    strategy_equity: dict[str, Decimal]
    flow_counts: dict[str, Counter[str]]

    def count(self, name: str, *flows: str) -> int:
        """The sum of one count over the runs of these flows."""
        return sum(self.flow_counts[flow][name] for flow in flows if flow in self.flow_counts)


class Report:
    """Say where the account stands."""

    def __init__(self, ledger: Ledger, *, account: str, portfolio: Portfolio) -> None:
        self._ledger = ledger
        self._account = account
        self._portfolio = portfolio

    def standing(self, since: datetime | None = None) -> Standing:
        """The account now; flow counts of the runs that started at or after `since`."""
        with self._ledger.transaction() as books:
            prices = last_prices(books, books.instruments.all(), self._portfolio)
            balances = books.entries.balances(self._account)
            orders = books.orders.sent_open(self._account)
            halts = books.control.halts(self._account)
            lease = books.control.lease_expires_at(self._account)
            worth = self._worth(books, balances, prices)
            return Standing(
                state=trading_state(halts, lease_expires_at=lease, at=books.now(), account=self._account),
                halts=halts,
                lease_expires_at=lease,
                newest_clean_at=books.reconciliations.newest_clean_at(self._account),
                candles=books.candles.count(),
                open_orders=len(orders),
                unknown_orders=sum(1 for order in orders if order.is_unresolved),
                discrepancies=len(books.reconciliations.open_discrepancies(self._account)),
                equity=sum(worth.values(), ZERO),
                positions=books.fills.positions(self._account),
                prices=prices,
                strategy_equity=worth,
                flow_counts=_flow_counts(books, since),
            )

    def _worth(
        self, books: Books, balances: dict[tuple[str, str], Decimal], prices: dict[str, Decimal]
    ) -> dict[str, Decimal]:
        """Equity by sub-account, in the portfolio's currency."""
        instruments = books.instruments.all()
        price_of = {instruments[symbol].base: price for symbol, price in prices.items()}
        price_of[self._portfolio.currency] = Decimal(1)
        totals: dict[str, Decimal] = {}
        for (sub_account, currency), amount in balances.items():
            totals[sub_account] = totals.get(sub_account, ZERO) + amount * price_of.get(currency, ZERO)
        return totals


def _flow_counts(books: Books, since: datetime | None) -> dict[str, Counter[str]]:
    """Counts of recent runs, summed by flow."""
    sums: dict[str, Counter[str]] = {}
    for record in books.runs.recent(None, _RUNS):
        if since is None or record.started_at >= since:
            sums.setdefault(record.flow, Counter()).update(dict(record.counts))
    return sums
