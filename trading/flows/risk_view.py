"""Risk view: each limit and how near it is, and what would be denied now. Reads only, sends nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.clock import Clock
from trading.domain.ids import client_order_id
from trading.domain.kill_switch import LatchState
from trading.domain.limit_use import LimitUse, Usage, uses
from trading.domain.limits import Limits
from trading.domain.money import quantise
from trading.domain.order import OrderIntent, OrderState, OrderType, Purpose, Side
from trading.domain.portfolio import Portfolio
from trading.domain.position import Position
from trading.domain.risk import CheckedOrder, check_order
from trading.domain.versions import Versions
from trading.errors import ConfigurationError
from trading.flows.apply_limits import ApplyLimits
from trading.flows.limits_in_force import unapplied
from trading.flows.market_view import MarketView, newest_closes, view_market
from trading.flows.risk_snapshot import Conditions, currency_prices, exposures_of, snapshot, traffic_question, worth
from trading.flows.send import PauseFlag
from trading.flows.strategy_switch import EnableStrategy
from trading.ports.ledger import Books, Ledger
from trading.ports.market import MarketData


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskView:
    """The limits in force and where they come from; `problem` says why the file's own are not."""

    uses: tuple[LimitUse, ...]
    limits_hash: str
    applied_by: str
    applied_at: datetime | None
    problem: str
    disabled: dict[str, str]
    versions: Versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """An order that somebody thinks of. `limit_price` in quote; a market order without one."""

    strategy: str
    instrument: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None = None


class Risk:
    """An account's limits: `show` and `test` only look; `apply` and `enable` are a person's."""

    def __init__(self, ledger: Ledger, market: MarketData, clock: Clock, *, account: str, portfolio: Portfolio) -> None:
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._account = account
        self._portfolio = portfolio
        self.apply = ApplyLimits(ledger, clock, account=account, portfolio=portfolio)
        self.enable = EnableStrategy(ledger, clock, account=account)

    def show(self) -> RiskView:
        """Each limit, and what is used of it now."""
        with self._ledger.transaction() as books:
            applied, standing = books.risk.limits(self._account), books.risk.standing(self._account)
            limits = applied.limits if applied else self._portfolio.limits
            used = uses(limits, self._usage(books, limits))
        return RiskView(
            uses=tuple(used),
            limits_hash=limits.content_hash,
            applied_by=applied.author if applied else "",
            applied_at=applied.at if applied else None,
            problem=unapplied(applied, self._portfolio)
            if applied
            else "nothing was applied yet: placing does it first",
            disabled=dict(standing.disabled),
            versions=standing.versions,
        )

    def test(self, wishes: Sequence[Wish] = ()) -> list[tuple[OrderIntent, CheckedOrder]]:
        """What the checks say now of these orders; without any, of all that are planned and not sent."""
        view = view_market(self._ledger, self._market, self._clock, self._portfolio)
        at = self._clock.now()
        with self._ledger.transaction() as books:
            applied = books.risk.limits(self._account)
            latched = books.control.latch() is LatchState.ARMED
            conditions = Conditions(
                account=self._account,
                portfolio=self._portfolio,
                limits=applied.limits if applied else self._portfolio.limits,
                view=view,
                pause=PauseFlag(None).verdict(latched=latched),
            )
            pending = [o.intent for o in books.orders.open(self._account) if o.state is OrderState.PLANNED]
            tried = [self._intent(books, wish, view, at) for wish in wishes] if wishes else pending

            def checked(intent: OrderIntent) -> CheckedOrder:
                question = traffic_question(intent, conditions.limits, at)
                return check_order(snapshot(books, intent, conditions, question, at=at))

            return [(intent, checked(intent)) for intent in tried]

    def _intent(self, books: Books, wish: Wish, view: MarketView, at: datetime) -> OrderIntent:
        """The wish as if a decision of this moment had led to exactly it."""
        strategy = next((plan for plan in self._portfolio.strategies if plan.name == wish.strategy), None)
        if strategy is None:
            names = ", ".join(plan.name for plan in self._portfolio.strategies)
            raise ConfigurationError(f"unknown strategy {wish.strategy!r}: expected one of {names}")
        price = view.prices.get(wish.instrument)
        if price is None:
            raise ConfigurationError(
                f"no candle of {wish.instrument!r} is stored: expected one of {', '.join(view.prices)}"
            )
        held = books.fills.positions(self._account).get((wish.strategy, wish.instrument), Position()).quantity
        name = client_order_id(
            account=self._account,
            incarnation=0,  # of no order that is ever sent
            strategy=wish.strategy,
            instrument=wish.instrument,
            timeframe=strategy.timeframe,
            as_of=at,
            purpose=Purpose.REBALANCE,
            generation=0,
        )
        return OrderIntent(
            client_order_id=name,
            account=self._account,
            incarnation=0,
            strategy=wish.strategy,
            instrument=wish.instrument,
            timeframe=strategy.timeframe,
            as_of=at,
            purpose=Purpose.REBALANCE,
            generation=0,
            side=wish.side,
            order_type=OrderType.MARKET if wish.limit_price is None else OrderType.LIMIT,
            quantity=wish.quantity,
            reference_price=price,
            target_quantity=held + wish.side.sign * wish.quantity,
            planned_at=at,
            expires_at=at + timedelta(minutes=1),
            limit_price=wish.limit_price,
        )

    def _usage(self, books: Books, limits: Limits) -> Usage:
        account, at = self._account, books.now()
        instruments = {s: i for s, i in books.instruments.all().items() if i.quote == self._portfolio.currency}
        closes = newest_closes(books, instruments, self._portfolio)
        prices = {symbol: price for symbol, (_, price) in closes.items()}
        price_of = currency_prices(instruments, prices)
        positions, balances = books.fills.positions(account), books.entries.balances(account)
        others = books.orders.sent_open(account)
        names = ["", *(plan.name for plan in self._portfolio.strategies)]
        window = timedelta(seconds=max(limits.repeated_order_window_s, 60))
        signed = [(o.signed_at, o.intent) for o in books.orders.submitted_since(account, at - window) if o.signed_at]
        traded = [close_at for symbol, (close_at, _) in closes.items() if symbol in self._portfolio.instruments]
        clean_at = books.reconciliations.newest_clean_at(account)
        since = {"max_candle_age_s": min(traded, default=None), "max_reconciliation_age_s": clean_at}
        return Usage(
            at=at,
            account=account,
            exposures={n: exposures_of(positions, others, prices, strategy=n or None) for n in names},
            equity={n: worth({k: a for k, a in balances.items() if n in ("", k[0])}, price_of) for n in names},
            signed=signed,
            cancels=books.risk.cancels_since(account, at - timedelta(minutes=1)),
            ages_s={n: quantise(Decimal((at - when).total_seconds()), 1) for n, when in since.items() if when},
            marks=books.risk.standing(account).marks,
        )
