"""Parity: what live or paper did against what the backtest says for the same candles, order by order, with causes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from trading.domain.decision import Decision, DecisionStatus
from trading.domain.ledger import Fill
from trading.domain.market import Instrument, Panel, floor_to_timeframe, timeframe_s
from trading.domain.matching import FeeModel, MatchingRules, SlippageModel, VolumeShareModel
from trading.domain.money import ZERO, price_from_candle
from trading.domain.order import Order
from trading.domain.parity import ParityLine, Quote, compared
from trading.domain.portfolio import StrategyPlan
from trading.errors import DataError
from trading.ports.ledger import Ledger

#: Orders that one report looks at.
MOST_ORDERS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityReport:
    """The orders of one strategy, both ways, and the closes that were not decided."""

    strategy: str
    since: datetime
    until: datetime
    closes: int
    undecided: dict[str, int]  # why, and how often
    lines: tuple[ParityLine, ...]

    @property
    def equal(self) -> int:
        """Orders that agree to the last digit."""
        return sum(1 for line in self.lines if not line.causes)

    @property
    def by_cause(self) -> dict[str, tuple[int, Decimal]]:
        """How many orders each cause concerns first, and what that cost in quote."""
        found: defaultdict[str, list[Decimal]] = defaultdict(list)
        for line in self.lines:
            if line.causes:
                found[line.causes[0].partition(":")[0]].append(line.cost)
        return {cause: (len(costs), sum(costs, ZERO)) for cause, costs in sorted(found.items())}

    @property
    def cost(self) -> Decimal:
        """What all differences cost, in quote; less than zero: live did better."""
        return sum((line.cost for line in self.lines), ZERO)


class Parity:
    """Compare one account's orders with the rules of the backtest. Reads only."""

    def __init__(
        self, ledger: Ledger, *, account: str, fees: FeeModel, slippage: SlippageModel, share: VolumeShareModel
    ) -> None:
        self._ledger = ledger
        self._account = account
        self._models = {"fees": fees, "slippage": slippage, "volume_share": share}

    def run(self, plan: StrategyPlan, *, since: datetime, until: datetime) -> ParityReport:
        """Every order that serves a decision with since < as_of ≤ until. Raises DataError where there is none."""
        step = timedelta(seconds=timeframe_s(plan.timeframe))
        last = floor_to_timeframe(until, plan.timeframe)
        closes = (last - floor_to_timeframe(since, plan.timeframe)) // step
        with self._ledger.transaction() as books:
            decisions = books.decisions.between(plan.name, since=since, until=last)
            recent = books.orders.recent(self._account, MOST_ORDERS)
            fills = books.fills.since(self._account, since)
            instruments = books.instruments.all()
            panel = books.candles.panel(plan.instruments, plan.timeframe, until=last + step, candles=closes + 2)
        if not decisions:
            raise DataError(
                f"{plan.name} decided nothing from {since.isoformat()} to {last.isoformat()}: choose another stretch"
            )
        orders = [o for o in reversed(recent) if o.intent.strategy == plan.name and since < o.intent.as_of <= last]
        return ParityReport(
            strategy=plan.name,
            since=since,
            until=last,
            closes=closes,
            undecided=_undecided(decisions, closes),
            lines=tuple(self._lines(orders, fills, instruments, panel, step)),
        )

    def _lines(
        self,
        orders: Sequence[Order],
        fills: Sequence[Fill],
        instruments: dict[str, Instrument],
        panel: Panel,
        step: timedelta,
    ) -> list[ParityLine]:
        of_order: defaultdict[str, list[Fill]] = defaultdict(list)
        for fill in fills:
            of_order[fill.client_order_id].append(fill)
        lines = []
        for order in orders:
            one = instruments[order.intent.instrument]
            rules = MatchingRules(
                base=one.base,
                quote=one.quote,
                tick_size=one.tick_size,
                lot_step=one.lot_step,
                **self._models,  # type: ignore[arg-type]
            )
            quote = _quote(panel, order, one)
            lines.append(compared(order, of_order[order.client_order_id], quote, rules, step))
        return lines


def _quote(panel: Panel, order: Order, instrument: Instrument) -> Quote | None:
    """The candle that opened at the decision's as_of."""
    closes = [panel.close_time(row) for row in range(len(panel))]
    if order.intent.as_of not in closes[:-1] or instrument.symbol not in panel.instruments:
        return None
    row, column = closes.index(order.intent.as_of), panel.instruments.index(instrument.symbol)
    opened, volume = float(panel.open[row + 1, column]), float(panel.volume[row, column])
    if not np.isfinite(opened):
        return None
    previous = Decimal(repr(volume)) if np.isfinite(volume) else ZERO
    return Quote(open=price_from_candle(opened, instrument.tick_size), previous_volume=previous)


def _undecided(decisions: Sequence[Decision], closes: int) -> dict[str, int]:
    """Why closes led to no weights."""
    found = Counter(str(one.status) for one in decisions if one.status is not DecisionStatus.DECIDED)
    without = closes - len(decisions)
    return dict(found) | ({"no decision stored": without} if without > 0 else {})
