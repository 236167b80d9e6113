"""What the desk wants to run: strategies with their shares of the account, and the limits around them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from trading.domain.limits import Limits
from trading.domain.resting import RestPolicy

#: What one strategy parameter may be.
ParameterValue = int | Decimal | str


class Parameters(Mapping[str, ParameterValue]):
    """A strategy's parameters: read-only, ordered, hashable, and picklable for sweeps in other processes."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, ParameterValue] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> ParameterValue:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"Parameters({self._items!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyPlan:
    """One strategy as the portfolio file asks for it."""

    name: str  # of its sub-account
    function: str  # the registered strategy that computes its weights
    timeframe: str
    instruments: tuple[str, ...]
    allocation: Decimal  # share of the account's equity, 0 … 1
    rebalance_threshold_bps: Decimal = Decimal(0)  # of the strategy's own equity; smaller changes are left alone
    grace_s: int = 20  # after the close: how long a late candle is waited for
    max_missing_candles: int = 0  # of one instrument, in its window: beyond that a gap gives no signal
    resting: RestPolicy = field(default_factory=RestPolicy)  # how it goes on where limit orders rested too long
    parameters: Parameters = field(default_factory=Parameters)
    enabled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Portfolio:
    """The portfolio file. Notionals in `currency`; the limits bind every strategy and none can alter them."""

    currency: str
    cash_buffer_bps: Decimal  # of the account's equity, never allocated
    instruments: tuple[str, ...]
    strategies: tuple[StrategyPlan, ...]
    limits: Limits
    order_type: Literal["market", "limit"] = "market"
    rest_s: int = 60  # how long a limit order rests before it is withdrawn
    protective_on_halt: Literal["keep", "cancel"] = "keep"
    content_hash: str  # SHA-256 of the file, hex
    limits_problem: str = ""  # why the file's own limits were refused; `limits` are the recorded ones then
