"""What portfolio.toml may hold: its tables, keys and their bounds."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt

from trading.domain.planning import MAX_GENERATIONS
from trading.domain.resting import RestPolicy


def _exact(value: object) -> object:
    if isinstance(value, bool | str | float):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic reports only ValueError
    return value


_Number = Annotated[Decimal, BeforeValidator(_exact)]
_Bps = Annotated[_Number, Field(ge=0, le=1_000_000)]
_Seconds = Annotated[StrictInt, Field(ge=1, le=86_400)]
_Amount = Annotated[_Number, Field(gt=0)]
_Rate = Annotated[StrictInt, Field(ge=1, le=6_000)]
_Repeats = Annotated[StrictInt, Field(ge=2, le=1_000)]
_Loss = Annotated[_Number, Field(gt=0, le=10_000)]
_Age = Annotated[StrictInt, Field(ge=1, le=604_800)]
_Name = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Symbol = Annotated[str, Field(strict=True, pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}$")]


class Table(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StrategyTable(Table):
    """One of [[strategies]]."""

    name: _Name
    function: _Name
    timeframe: Annotated[str, Field(strict=True)]
    instruments: list[_Symbol] | None = None
    allocation: Annotated[_Number, Field(gt=0, le=1)]
    rebalance_threshold_bps: Annotated[_Number, Field(ge=0, le=10_000)] = Decimal(0)
    grace_s: Annotated[StrictInt, Field(ge=0, le=3_600)] = 20
    max_missing_candles: Annotated[StrictInt, Field(ge=0, le=1_000)] = 0
    when_rested: Literal["give_up", "reprice", "cross"] = RestPolicy().when_rested.value
    reprice_times: Annotated[StrictInt, Field(ge=1, le=MAX_GENERATIONS - 1)] = RestPolicy().reprice_times
    max_slippage_bps: Annotated[_Number, Field(gt=0, le=1_000)] = RestPolicy().max_slippage_bps
    parameters: dict[_Name, Any] = {}
    enabled: StrictBool = True


class InstrumentLimitsTable(Table):
    """Fields of `ScopedLimits`, with the same bounds as in [limits]; a test holds them equal."""

    max_order_notional: _Amount | None = None
    max_order_quantity: _Amount | None = None
    max_position_notional: _Amount | None = None
    price_collar_bps: _Bps | None = None
    max_orders_per_minute: _Rate | None = None
    repeated_order_count: _Repeats | None = None
    max_candle_age_s: _Age | None = None


class StrategyLimitsTable(Table):
    """Fields of `ScopedLimits`, with the same bounds as in [limits]; a test holds them equal."""

    max_order_notional: _Amount | None = None
    max_order_quantity: _Amount | None = None
    max_position_notional: _Amount | None = None
    max_gross_exposure_bps: _Bps | None = None
    price_collar_bps: _Bps | None = None
    max_orders_per_minute: _Rate | None = None
    repeated_order_count: _Repeats | None = None
    max_daily_loss_bps: _Loss | None = None
    max_drawdown_bps: _Loss | None = None


class LimitsTable(Table):
    """The fields of `Limits`, each with its bounds; a test holds the two equal."""

    max_order_notional: _Amount
    max_position_notional: _Amount
    max_gross_exposure_bps: _Bps
    price_collar_bps: _Bps
    max_orders_per_minute: _Rate
    max_messages_per_minute: _Rate
    repeated_order_count: _Repeats
    repeated_order_window_s: _Seconds
    max_daily_loss_bps: _Loss
    max_drawdown_bps: _Loss
    max_candle_age_s: _Age
    max_decision_age_s: _Seconds
    max_reconciliation_age_s: _Seconds
    max_clock_skew_ms: Annotated[StrictInt, Field(ge=1, le=60_000)]
    reserved_cancels_per_minute: Annotated[StrictInt, Field(ge=0, le=6_000)] = 10
    max_order_quantity: _Amount | None = None
    strategy: dict[_Name, StrategyLimitsTable] = {}
    instrument: dict[_Symbol, InstrumentLimitsTable] = {}


class PortfolioFile(Table):
    """The whole file."""

    currency: Annotated[str, Field(strict=True, pattern=r"^[A-Z0-9]{2,10}$")] = "USDT"
    cash_buffer_bps: Annotated[_Number, Field(ge=0, le=10_000)]
    instruments: Annotated[list[_Symbol], Field(min_length=1, max_length=200)]
    order_type: Literal["market", "limit"] = "market"
    rest_s: _Seconds = 60
    protective_on_halt: Literal["keep", "cancel"] = "keep"
    strategies: Annotated[list[StrategyTable], Field(min_length=1, max_length=100)]
    limits: LimitsTable
