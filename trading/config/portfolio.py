"""Reads portfolio.toml: every number exact, every key known, every complaint with line, table, value and choices."""

import hashlib
import tomllib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from trading.config.complaints import Source, complaint
from trading.config.portfolio_tables import LimitsTable, PortfolioFile, StrategyTable
from trading.domain.limits import Limits, ScopedLimits, table_of
from trading.domain.market import TIMEFRAMES
from trading.domain.portfolio import Parameters, Portfolio, StrategyPlan
from trading.domain.resting import RestPolicy, WhenRested
from trading.errors import ConfigurationError

MAX_BYTES: Final = 1024 * 1024


class _LimitsRefused(ConfigurationError):
    """Nothing is wrong with the file but its limits."""


def load_portfolio(
    path: Path, *, functions: Collection[str] | None = None, recorded: Callable[[], Limits | None] | None = None
) -> Portfolio:
    """The portfolio in `path`. Raises ConfigurationError naming file, line, key, value and what is allowed.

    `functions` are the registered strategies' names; None leaves that check to whoever knows them. Where nothing but
    the limits is wrong, and `recorded` tells some, those stay in force; `limits_problem` says why.
    """
    content = _read(path)
    try:
        document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
    source = Source(path, content.decode("utf-8"), document)
    content_hash = hashlib.sha256(content).hexdigest()
    try:
        parsed = _checked(source, functions)
    except _LimitsRefused as refused:
        limits = recorded() if recorded is not None else None
        if limits is None:
            raise
        # What was in force may name a strategy that is gone: it binds nothing.
        parsed = _checked(Source(path, source.text, {**document, "limits": table_of(limits)}), functions, limits=False)
        return replace(_portfolio(parsed, content_hash), limits=limits, limits_problem=str(refused))
    return _portfolio(parsed, content_hash)


def _checked(source: Source, functions: Collection[str] | None, *, limits: bool = True) -> PortfolioFile:
    """The file's content where all of it makes sense. Raises _LimitsRefused where only its limits do not."""
    try:
        parsed = PortfolioFile.model_validate(source.document)
    except ValidationError as error:
        found = error.errors()
        refused = _LimitsRefused if all(item["loc"][:1] == ("limits",) for item in found) else ConfigurationError
        raise refused("; ".join(complaint(source, item) for item in found)) from None
    problems = [*_portfolio_problems(parsed), *_strategy_problems(parsed, functions)]
    if problems:
        raise ConfigurationError("; ".join(f"{source.path}: {problem}" for problem in problems))
    if limits and (refusals := _limits_problems(source, parsed)):
        raise _LimitsRefused("; ".join(refusals))
    return parsed


def _limits_problems(source: Source, parsed: PortfolioFile) -> list[str]:
    """What no single key can know: who has limits of their own, and that orders keep a part of the messages."""
    limits = parsed.limits
    names: dict[str, tuple[list[str], Collection[str], str]] = {
        "strategy": ([plan.name for plan in parsed.strategies], limits.strategy, "the [[strategies]]"),
        "instrument": (parsed.instruments, limits.instrument, "the instruments"),
    }
    problems = [
        f"{source.at('limits', kind, name)}: [limits.{kind}] names {name!r}: expected one of {whose}, {_list(known)}"
        for kind, (known, own, whose) in names.items()
        for name in own
        if name not in known
    ]
    if limits.reserved_cancels_per_minute >= limits.max_messages_per_minute:
        problems.append(
            f"{source.at('limits', 'reserved_cancels_per_minute')}: [limits] reserved_cancels_per_minute is"
            f" {limits.reserved_cancels_per_minute}: expected less than max_messages_per_minute,"
            f" {limits.max_messages_per_minute}, or no order could be sent"
        )
    return problems


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


def _portfolio(parsed: PortfolioFile, content_hash: str) -> Portfolio:
    plans = tuple(
        StrategyPlan(
            name=strategy.name,
            function=strategy.function,
            timeframe=strategy.timeframe,
            instruments=tuple(parsed.instruments if strategy.instruments is None else strategy.instruments),
            allocation=strategy.allocation,
            rebalance_threshold_bps=strategy.rebalance_threshold_bps,
            grace_s=strategy.grace_s,
            max_missing_candles=strategy.max_missing_candles,
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
        limits=_limits(parsed.limits),
        order_type=parsed.order_type,
        rest_s=parsed.rest_s,
        protective_on_halt=parsed.protective_on_halt,
        content_hash=content_hash,
    )


def _limits(parsed: LimitsTable) -> Limits:
    facts = dict(parsed)
    for kind in ("strategy", "instrument"):
        facts[kind] = {name: ScopedLimits(**dict(own)) for name, own in facts[kind].items()}
    return Limits(**facts)


def _portfolio_problems(parsed: PortfolioFile) -> list[str]:
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


def _strategy_problems(parsed: PortfolioFile, functions: Collection[str] | None) -> list[str]:
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


def _resting_problems(strategy: StrategyTable, parsed: PortfolioFile) -> list[str]:
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
