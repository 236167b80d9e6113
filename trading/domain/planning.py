"""From a decision to order intents: sizing, rounding, and what is already on its way. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from trading.domain.decision import Decision, DecisionStatus
from trading.domain.ids import client_order_id
from trading.domain.market import Instrument, timeframe_s
from trading.domain.money import BPS, EXACT, ONE, ZERO, floor_to_step, plain, quantise, round_to_step
from trading.domain.order import Order, OrderIntent, OrderState, OrderType, Purpose, Side
from trading.domain.plan import Plan, PlanLine, SizingRules, StrategyBook
from trading.domain.resting import Attempt, next_attempt

#: One decision may be carried on, re-priced or replaced this often at most.
MAX_GENERATIONS: Final = 10
#: A market buy is sized as if it cost this much more, so that its slippage and fee are covered.
COST_SLACK: Final = 100 * BPS
_FINAL_NO: Final = frozenset({OrderState.DENIED, OrderState.REJECTED})


def strategy_equity(book: StrategyBook, prices: Mapping[str, Decimal]) -> Decimal:
    """Free quote and what the positions are worth, in quote."""
    return book.free_quote + sum((quantity * prices[symbol] for symbol, quantity in book.held.items()), ZERO)


def actionable_until(decision: Decision) -> datetime:
    """A decision serves until the next one is due."""
    return decision.as_of + timedelta(seconds=timeframe_s(decision.timeframe))


def plan_orders(
    book: StrategyBook,
    instruments: Mapping[str, Instrument],
    prices: Mapping[str, Decimal],
    *,
    at: datetime,
    rules: SizingRules,
) -> Plan:
    """What to send for one strategy's newest decision, sells before buys, buys within its free quote.

    `prices` are reference prices in quote for every instrument that the strategy holds or names.
    """
    decision = book.decision
    superseded = tuple(o for o in book.open_orders if _is_older_wish(o, decision))
    refusal = _refusal(decision, at)
    if decision is None or refusal:
        as_of = decision.as_of if decision else None
        nothing = PlanLine(strategy=book.plan.name, instrument="", as_of=as_of, outcome=refusal)
        lines = []
        for symbol in dict.fromkeys((*book.plan.instruments, *book.held)):
            held = book.held.get(symbol, ZERO)
            closed = _not_traded(instruments[symbol], held)
            lines.append(replace(nothing, instrument=symbol, held=held, outcome=closed or refusal))
        return Plan(intents=(), superseded=superseded, lines=tuple(lines))
    alive = [order for order in book.open_orders if order not in superseded]
    sizing = _Sizing(book, decision, alive, instruments, prices, at, rules)
    intents, lines = sizing.plan()
    return Plan(intents=tuple(intents), superseded=superseded, lines=tuple(lines))


def _not_traded(instrument: Instrument, held: Decimal) -> str:
    """What is held of an instrument that the venue does not trade, and what to do; empty where it trades."""
    if instrument.trading:
        return ""
    return (
        f"the venue does not trade it now (halted or delisted): {plain(held)} {instrument.base} stay as they are, other"
        " instruments go on; where it is delisted, take it out of the portfolio file, sell or withdraw it at the venue"
        " by hand and adopt that"
    )


def _is_older_wish(order: Order, decision: Decision | None) -> bool:
    """An unsent intent that serves an older decision than the newest one."""
    return order.state is OrderState.PLANNED and decision is not None and order.intent.as_of < decision.as_of


def _side(line: PlanLine) -> Side:
    return Side.BUY if line.delta > 0 else Side.SELL


def _is_enough(instrument: Instrument, quantity: Decimal, price: Decimal) -> bool:
    """Whether the venue takes an order as small as this."""
    return quantity > 0 and quantity >= instrument.min_quantity and quantity * price >= instrument.min_notional


def _refusal(decision: Decision | None, at: datetime) -> str:
    """Why the decision leads to nothing at all; empty where it may."""
    if decision is None:
        return "no_decision"
    if decision.status is not DecisionStatus.DECIDED:
        return f"{decision.status}: {decision.reason}"
    return "decision_too_old" if at >= actionable_until(decision) else ""


@dataclass(frozen=True, slots=True)
class _Sizing:
    """One strategy's decision being turned into orders; `alive` are its open orders that are not superseded."""

    book: StrategyBook
    decision: Decision
    alive: Sequence[Order]
    instruments: Mapping[str, Instrument]
    prices: Mapping[str, Decimal]
    at: datetime
    rules: SizingRules

    def plan(self) -> tuple[list[OrderIntent], list[PlanLine]]:
        """Intents and a line for each instrument, sells first, buys within what is free."""
        equity = strategy_equity(self.book, self.prices)
        investable = equity * (ONE - self.rules.cash_buffer_bps * BPS)
        spendable = self.book.free_quote - self._reserved()
        intents: list[OrderIntent] = []
        lines: list[PlanLine] = []
        for line in sorted((self._line(s, investable) for s in self.decision.weights), key=lambda line: line.delta):
            attempt = self._attempt(line.instrument)
            limit = self._limit(line, attempt)
            quantity = self._quantity(line, limit, spendable)
            why_not = self._held_back(line, equity) or self._too_small(line, quantity, limit, equity)
            if why_not or attempt is None:
                lines.append(replace(line, outcome=why_not or self._given_up()))
                continue
            intent = self._intent(line, quantity, limit)
            if intent.side is Side.BUY:
                spendable -= intent.notional * (ONE + COST_SLACK)
            intents.append(intent)
            outcome = f"planned: {attempt.said}" if attempt.said else "planned"
            lines.append(replace(line, outcome=outcome, client_order_id=intent.client_order_id))
        return intents, lines

    def _reserved(self) -> Decimal:
        """Quote that buys on their way may still take."""
        buys = [order for order in self.alive if order.intent.side is Side.BUY]
        # An instrument that left the portfolio has no price here any more, but its order may still take quote.
        prices = [o.intent.limit_price or self.prices.get(o.intent.instrument, o.intent.reference_price) for o in buys]
        return sum((o.signed_remainder * price for o, price in zip(buys, prices, strict=True)), ZERO)

    def _line(self, symbol: str, investable: Decimal) -> PlanLine:
        """Delta = target - (held + signed remainder of every order that is not terminal)."""
        weight = self.decision.weights[symbol]
        step = self.instruments[symbol].lot_step
        target = floor_to_step(EXACT.divide(investable * weight, self.prices[symbol]), step)
        held = self.book.held.get(symbol, ZERO)
        on_its_way = sum((o.signed_remainder for o in self.alive if o.intent.instrument == symbol), ZERO)
        return PlanLine(
            strategy=self.book.plan.name,
            instrument=symbol,
            as_of=self.decision.as_of,
            outcome="",
            weight=weight,
            target_quantity=target,
            held=held,
            on_its_way=on_its_way,
            delta=target - held - on_its_way,
        )

    def _served(self, symbol: str) -> list[Order]:
        return [order for order in self.book.served if order.intent.instrument == symbol]

    def _attempt(self, symbol: str) -> Attempt | None:
        """How the next order is to be priced; None where the decision is given up. Market orders never rest."""
        if self.rules.order_type is OrderType.MARKET:
            return Attempt()
        return next_attempt(self._served(symbol), self.book.plan.resting)

    def _limit(self, line: PlanLine, attempt: Attempt | None) -> Decimal | None:
        """A buy is rounded down and a sale up: rounding never pays more than the reference, or the allowed slippage."""
        if self.rules.order_type is OrderType.MARKET:
            return None
        side = _side(line)
        worst = ONE + side.sign * (attempt.slippage_bps if attempt else ZERO) * BPS
        tick = self.instruments[line.instrument].tick_size
        return round_to_step(self.prices[line.instrument] * worst, tick, up=side is Side.SELL)

    def _quantity(self, line: PlanLine, limit: Decimal | None, spendable: Decimal) -> Decimal:
        """What to send: no more than is held, or than free quote buys, in whole lots."""
        if line.delta < 0:
            return self._lots(line.instrument, min(-line.delta, line.held))
        # What a unit may cost, slippage and fee included.
        cost = max(self.prices[line.instrument], limit or ZERO) * (ONE + COST_SLACK)
        return self._lots(line.instrument, min(line.delta, EXACT.divide(max(spendable, ZERO), cost)))

    def _lots(self, symbol: str, quantity: Decimal) -> Decimal:
        """Rounded to the lot, never up."""
        instrument = self.instruments[symbol]
        market = self.rules.order_type is OrderType.MARKET
        # A market order's own lot, where it has one, is a multiple of the ordinary lot.
        return floor_to_step(quantity, (instrument.market_lot_step if market else ZERO) or instrument.lot_step)

    def _held_back(self, line: PlanLine, equity: Decimal) -> str:
        """Why nothing may be planned now, whatever its size; empty where it may."""
        closed = _not_traded(self.instruments[line.instrument], line.held)
        if closed:
            return closed
        if equity <= 0:
            return "no equity yet: the share of the account is allocated after its first reconciliation"
        served = self._served(line.instrument)
        refused = next((order for order in served if order.state in _FINAL_NO), None)
        if refused is not None:
            return f"{refused.state} before, for this decision: {refused.reason}"
        if any(order.is_open for order in served) or line.on_its_way:
            return "an order is on its way"
        if len(served) >= MAX_GENERATIONS:
            return f"carried on {len(served)} times already"
        return ""

    def _given_up(self) -> str:
        policy = self.book.plan.resting
        return f"given up until the next decision: {policy.when_rested}, replacements allowed: {policy.replacements}"

    def _too_small(self, line: PlanLine, quantity: Decimal, limit: Decimal | None, equity: Decimal) -> str:
        """Why the change is not worth an order, or the venue would not take one; empty where it is."""
        instrument, price = self.instruments[line.instrument], self.prices[line.instrument]
        leaves = line.target_quantity == 0 and line.held > 0
        threshold = equity * self.book.plan.rebalance_threshold_bps * BPS
        if abs(line.delta) * price < threshold and not leaves:
            return f"below the rebalance threshold of {plain(quantise(threshold, 2))}"
        if line.delta == 0:
            return "on target"
        if _is_enough(instrument, quantity, limit or price):
            return ""
        least = (
            f"the minimum notional of {plain(instrument.min_notional)} or quantity of {plain(instrument.min_quantity)}"
        )
        if _is_enough(instrument, self._lots(line.instrument, abs(line.delta)), limit or price):
            return f"no free quote for {least}"
        return f"dust: below {least}, it stays as it is"

    def _intent(self, line: PlanLine, quantity: Decimal, limit: Decimal | None) -> OrderIntent:
        """The durable wish, named after its facts."""
        decision, rules, price = self.decision, self.rules, self.prices[line.instrument]
        facts: dict[str, Any] = {
            "account": rules.account,
            "incarnation": rules.incarnation,
            "strategy": self.book.plan.name,
            "instrument": line.instrument,
            "timeframe": decision.timeframe,
            "as_of": decision.as_of,
            "purpose": Purpose.ENTRY if line.delta > 0 and line.held == 0 else Purpose.REBALANCE,
            # Over all purposes: what carries an entry on is a new generation, whatever it is called by then.
            "generation": len(self._served(line.instrument)),
        }
        window = timedelta(seconds=min(timeframe_s(decision.timeframe), rules.max_decision_age_s))
        return OrderIntent(
            client_order_id=client_order_id(**facts),
            **facts,
            side=_side(line),
            order_type=rules.order_type,
            quantity=quantity,
            limit_price=limit,
            reference_price=price,
            target_quantity=line.target_quantity,
            planned_at=self.at,
            expires_at=min(actionable_until(decision), self.at + window),
        )
