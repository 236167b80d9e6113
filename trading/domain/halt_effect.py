"""What a halt does to orders and positions: which orders it cancels, and what it leaves as it is. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeVar

from trading.domain.kill_switch import Halt, HaltLevel
from trading.domain.money import plain
from trading.domain.order import Order, OrderState, Purpose, Side

#: What `portfolio.toml` says of protective orders during a halt.
ProtectiveOnHalt = Literal["keep", "cancel"]
#: How many things a line for people names; the rest is a number.
_NAMED: Final = 8
T = TypeVar("T")


def is_cancelled(order: Order, halts: Iterable[Halt], *, account: str, protective_on_halt: ProtectiveOnHalt) -> bool:
    """Whether these halts want an order of ours gone from the venue.

    A halt takes entries and rebalances; a pause of entries only what buys. Closing orders stay: they go out under an
    override of their own.
    """
    of_order = {"account": account, "strategy": order.intent.strategy, "instrument": order.intent.instrument}
    levels = {halt.level for halt in halts if halt.covers(**of_order)}
    purpose = order.intent.purpose
    if purpose is Purpose.PROTECTIVE:
        return HaltLevel.HALT in levels and protective_on_halt == "cancel"
    if purpose is Purpose.FLATTEN or not levels:
        return False
    return HaltLevel.HALT in levels or order.intent.side is Side.BUY


@dataclass(frozen=True, kw_only=True, slots=True)
class HaltEffect:
    """What a halt would do now, by what the ledger knows. `positions` are quantities in base that it leaves alone."""

    halt: Halt
    cancelled: tuple[Order, ...]
    kept: tuple[Order, ...]  # sent and not over, and not cancelled
    held_back: tuple[Order, ...]  # planned and not sent yet
    positions: Mapping[tuple[str, str], Decimal]
    protective_on_halt: ProtectiveOnHalt

    def lines(self) -> list[str]:
        """One line for each kind of thing, with counts and names: what happens to entries, protection, positions."""
        protective = [o for o in (*self.cancelled, *self.kept) if o.intent.purpose is Purpose.PROTECTIVE]
        others = [o for o in self.kept if o.intent.purpose is not Purpose.PROTECTIVE]
        entries = [o for o in self.cancelled if o.intent.purpose is not Purpose.PROTECTIVE]
        pauses = self.halt.level is HaltLevel.PAUSE_ENTRIES
        stays = pauses or self.protective_on_halt == "keep"
        forbidden = (
            "no order that could raise exposure is sent; sales of what is held go on"
            if pauses
            else "no order is sent, but protective ones for what is held"
        )
        return [
            f"{self.halt.level}, scope {self.halt.scope}: {forbidden}",
            f"open orders: {_named(entries, _order_name)} cancelled; {_named(others, _order_name)} left at the venue;"
            f" {_named(self.held_back, _order_name)} held back",
            f"protective orders: {_named(protective, _order_name)} {'stay at the venue' if stays else 'cancelled'}"
            + ("" if pauses else f' (protective_on_halt = "{self.protective_on_halt}")'),
            f"positions: {_named(list(self.positions.items()), _position_name)} stay open, and nothing closes them"
            + ("" if pauses else " but `trading flatten`"),
        ]


def halt_effect(
    halt: Halt,
    orders: Sequence[Order],
    positions: Mapping[tuple[str, str], Decimal],
    *,
    account: str,
    protective_on_halt: ProtectiveOnHalt,
) -> HaltEffect:
    """What `halt` does to the account's open orders and to its positions by (strategy, instrument)."""
    inside = [
        o
        for o in orders
        if halt.covers(account=account, strategy=o.intent.strategy, instrument=o.intent.instrument) and o.is_open
    ]
    sent = [order for order in inside if order.state is not OrderState.PLANNED]
    gone = [o for o in sent if is_cancelled(o, (halt,), account=account, protective_on_halt=protective_on_halt)]
    return HaltEffect(
        halt=halt,
        cancelled=tuple(gone),
        kept=tuple(order for order in sent if order not in gone),
        held_back=tuple(order for order in inside if order.state is OrderState.PLANNED),
        positions={
            (strategy, instrument): quantity
            for (strategy, instrument), quantity in positions.items()
            if quantity and halt.covers(account=account, strategy=strategy, instrument=instrument)
        },
        protective_on_halt=protective_on_halt,
    )


def _named(things: Sequence[T], name: Callable[[T], str]) -> str:
    """How many, and which: "2 (sma buy 0.5 BTC/USDT, …)"."""
    if not things:
        return "0"
    more = len(things) - _NAMED
    names = ", ".join(name(thing) for thing in things[:_NAMED])
    return f"{len(things)} ({names}{f' and {more} more' if more > 0 else ''})"


def _order_name(order: Order) -> str:
    intent = order.intent
    return f"{intent.strategy} {intent.side} {plain(intent.quantity)} {intent.instrument}"


def _position_name(position: tuple[tuple[str, str], Decimal]) -> str:
    (strategy, instrument), quantity = position
    return f"{strategy} {plain(quantity)} {instrument}"
