"""Reads portfolio.toml: every number exact, every key known, every complaint with its table, value and choices."""

import hashlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from trading.domain.market import TIMEFRAMES
from trading.domain.planning import MAX_GENERATIONS
from trading.domain.portfolio import Parameters, Portfolio, StrategyPlan
from trading.domain.resting import RestPolicy, WhenRested
from trading.domain.risk import Limits
from trading.errors import ConfigurationError

MAX_BYTES: Final = 1024 * 1024


def _exact(value: object) -> object:
    if isinstance(value, bool | str | float):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic reports only ValueError
    return value


_Number = Annotated[Decimal, BeforeValidator(_exact)]
_Bps = Annotated[_Number, Field(ge=0, le=1_000_000)]
_Seconds = Annotated[StrictInt, Field(ge=1, le=86_400)]
_Name = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Symbol = Annotated[str, Field(strict=True, pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Strategy(_Table):
    name: _Name
    function: _Name
    timeframe: Annotated[str, Field(strict=True)]
    instruments: list[_Symbol] | None = None
    allocation: Annotated[_Number, Field(gt=0, le=1)]
    rebalance_threshold_bps: Annotated[_Number, Field(ge=0, le=10_000)] = Decimal(0)
    grace_s: Annotated[StrictInt, Field(ge=0, le=3_600)] = 20
    when_rested: Literal["give_up", "reprice", "cross"] = RestPolicy().when_rested.value
    reprice_times: Annotated[StrictInt, Field(ge=1, le=MAX_GENERATIONS - 1)] = RestPolicy().reprice_times
    max_slippage_bps: Annotated[_Number, Field(gt=0, le=1_000)] = RestPolicy().max_slippage_bps
    parameters: dict[_Name, Any] = {}
    enabled: StrictBool = True


class _Limits(_Table):
    """The fields of `Limits`, each with its bounds; a test holds the two equal."""

    max_order_notional: Annotated[_Number, Field(gt=0)]
    max_position_notional: Annotated[_Number, Field(gt=0)]
    max_gross_exposure_bps: _Bps
    price_collar_bps: _Bps
    max_orders_per_minute: Annotated[StrictInt, Field(ge=1, le=6_000)]
    max_messages_per_minute: Annotated[StrictInt, Field(ge=1, le=6_000)]
    repeated_order_count: Annotated[StrictInt, Field(ge=2, le=1_000)]
    repeated_order_window_s: _Seconds
    max_daily_loss_bps: Annotated[_Number, Field(gt=0, le=10_000)]
    max_drawdown_bps: Annotated[_Number, Field(gt=0, le=10_000)]
    max_candle_age_s: Annotated[StrictInt, Field(ge=1, le=604_800)]
    max_decision_age_s: _Seconds
    max_reconciliation_age_s: _Seconds
    max_clock_skew_ms: Annotated[StrictInt, Field(ge=1, le=60_000)]
    max_order_quantity: Annotated[_Number, Field(gt=0)] | None = None


class _File(_Table):
    currency: Annotated[str, Field(strict=True, pattern=r"^[A-Z0-9]{2,10}$")] = "USDT"
    cash_buffer_bps: Annotated[_Number, Field(ge=0, le=10_000)]
    instruments: Annotated[list[_Symbol], Field(min_length=1, max_length=200)]
    order_type: Literal["market", "limit"] = "market"
    rest_s: _Seconds = 60
    protective_on_halt: Literal["keep", "cancel"] = "keep"
    strategies: Annotated[list[_Strategy], Field(min_length=1, max_length=100)]
    limits: _Limits


def load_portfolio(path: Path, *, functions: Collection[str] | None = None) -> Portfolio:
    """The portfolio in `path`. Raises ConfigurationError naming file, key, value and what is allowed.

    `functions` are the registered strategies' names; None leaves that check to whoever knows them.
    """
    content = _read(path)
    try:
        document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
    try:
        parsed = _File.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_complaint(path, document, item) for item in error.errors())) from None
    problems = [*_portfolio_problems(parsed), *_strategy_problems(parsed, functions)]
    if problems:
        raise ConfigurationError("; ".join(f"{path}: {problem}" for problem in problems))
    return _portfolio(parsed, hashlib.sha256(content).hexdigest())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the portfolio file {path} cannot be read ({error.strerror}): create it, or name another one in"
            " TRADING_PORTFOLIO"
        ) from None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"the portfolio file {path} is too large: expected at most {MAX_BYTES} bytes")
    return content


def _portfolio(parsed: _File, content_hash: str) -> Portfolio:
    plans = tuple(
        StrategyPlan(
            name=strategy.name,
            function=strategy.function,
            timeframe=strategy.timeframe,
            instruments=tuple(parsed.instruments if strategy.instruments is None else strategy.instruments),
            allocation=strategy.allocation,
            rebalance_threshold_bps=strategy.rebalance_threshold_bps,
            grace_s=strategy.grace_s,
            resting=RestPolicy(
                when_rested=WhenRested(strategy.when_rested),
                reprice_times=strategy.reprice_times,
                max_slippage_bps=strategy.max_slippage_bps,
            ),
            parameters=Parameters(strategy.parameters),
            enabled=strategy.enabled,
        )
        for strategy in parsed.strategies
    )
    return Portfolio(
        currency=parsed.currency,
        cash_buffer_bps=parsed.cash_buffer_bps,
        instruments=tuple(parsed.instruments),
        strategies=plans,
        limits=Limits(**dict(parsed.limits)),
        order_type=parsed.order_type,
        rest_s=parsed.rest_s,
        protective_on_halt=parsed.protective_on_halt,
        content_hash=content_hash,
    )


def _portfolio_problems(parsed: _File) -> list[str]:
    problems = [
        f"instruments names {symbol!r}: expected one quoted in the portfolio's currency, like BTC/{parsed.currency}"
        for symbol in parsed.instruments
        if not symbol.endswith(f"/{parsed.currency}")
    ]
    problems += [f"instruments names {symbol!r} twice" for symbol in _doubled(parsed.instruments)]
    names = [strategy.name for strategy in parsed.strategies]
    problems += [f"[[strategies]] name {name!r} is used twice: expected a name of its own" for name in _doubled(names)]
    allocated = sum((strategy.allocation for strategy in parsed.strategies), Decimal(0))
    free = 1 - parsed.cash_buffer_bps / 10_000
    if allocated > free:
        problems.append(
            f"the allocations of [[strategies]] add up to {allocated}: expected at most {free} (1 less cash_buffer_bps)"
        )
    return problems


def _strategy_problems(parsed: _File, functions: Collection[str] | None) -> list[str]:
    problems = []
    for strategy in parsed.strategies:
        where = f"[[strategies]] {strategy.name}:"
        if functions is not None and strategy.function not in functions:
            problems.append(f"{where} function is {strategy.function!r}: expected one of {_list(sorted(functions))}")
        if strategy.timeframe not in TIMEFRAMES:
            problems.append(f"{where} timeframe is {strategy.timeframe!r}: expected one of {_list(TIMEFRAMES)}")
        if strategy.instruments is not None and not strategy.instruments:
            problems.append(f"{where} instruments is empty: leave the key out for all, or name some")
        problems += [f"{where} {problem}" for problem in _resting_problems(strategy, parsed)]
        problems += [f"{where} instruments names {symbol!r} twice" for symbol in _doubled(strategy.instruments or ())]
        problems += [
            f"{where} instruments names {symbol!r}: expected some of the portfolio's {_list(parsed.instruments)}"
            for symbol in strategy.instruments or ()
            if symbol not in parsed.instruments
        ]
        problems += [
            f"{where} parameters.{key} is {value!r}: expected a whole number, a finite decimal or text"
            for key, value in strategy.parameters.items()
            if isinstance(value, bool)
            or not isinstance(value, int | Decimal | str)
            or (isinstance(value, Decimal) and not value.is_finite())
        ]
    return problems


def _resting_problems(strategy: _Strategy, parsed: _File) -> list[str]:
    """A key that its policy does not read is a misunderstanding; beyond the collar every order would be denied."""
    problems = [
        f'{key} is set: expected it with when_rested = "{policy}" only, which is {strategy.when_rested!r}'
        for key, policy in (("reprice_times", "reprice"), ("max_slippage_bps", "cross"))
        if key in strategy.model_fields_set and strategy.when_rested != policy
    ]
    collar = parsed.limits.price_collar_bps
    if strategy.when_rested == "cross" and strategy.max_slippage_bps > collar:
        problems.append(f"max_slippage_bps is {strategy.max_slippage_bps}: expected at most price_collar_bps, {collar}")
    longest = TIMEFRAMES.get(strategy.timeframe, parsed.rest_s + 1)
    asked = "when_rested" in strategy.model_fields_set and strategy.when_rested != "give_up"
    if parsed.order_type == "limit" and asked and parsed.rest_s >= longest:
        problems.append(
            f"when_rested is {strategy.when_rested!r}: expected a rest_s below {longest}, the seconds of its timeframe;"
            f" it is {parsed.rest_s}, so that the next decision always comes first"
        )
    return problems


def _doubled(items: Sequence[str]) -> list[str]:
    return sorted({item for item in items if items.count(item) > 1})


def _list(items: Collection[str]) -> str:
    return ", ".join(items)


def _complaint(path: Path, document: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    """One of pydantic's errors in this project's words: file, table, key, value, what was expected."""
    *tables, key = item["loc"] or ("",)
    where = _table_name(document, tables)
    value = str(item["input"])[:100]
    match item["type"]:
        case "extra_forbidden":
            return f"{path}: {where}unknown key {key!r}: expected one of {_list(_allowed_keys(tables))}"
        case "missing":
            return f"{path}: {where}the key {key!r} is missing"
        case _:
            expected = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
            return f"{path}: {where}{key} is {value!r}: expected {expected.removeprefix('expected ')}"


def _table_name(document: Mapping[str, Any], tables: Sequence[Any]) -> str:
    if not tables:
        return ""
    if tables[0] != "strategies":
        return f"[{tables[0]}] "
    entry = document["strategies"][tables[1]] if len(tables) > 1 else {}
    name = entry.get("name") if isinstance(entry, dict) else None
    below = "".join(f"{table}." for table in tables[2:])
    return f"[[strategies]] {name or 'number ' + str(tables[1] + 1 if len(tables) > 1 else 1)}: {below}"


def _allowed_keys(tables: Sequence[Any]) -> list[str]:
    models: dict[str, type[_Table]] = {"strategies": _Strategy, "limits": _Limits}
    return list(models.get(tables[0] if tables else "", _File).model_fields)
