"""The portfolio's strategies, bound to their checked parameters, and the history that they need."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel, timeframe_s
from trading.domain.portfolio import Portfolio, StrategyPlan
from trading.errors import ConfigurationError, DataError
from trading.flows.evaluate import Strategy
from trading.flows.ingest import IngestRequest
from trading.strategies import registry

#: Spare candles, so that a strategy's window is full even where the newest few are late.
_SPARE_CANDLES: Final = 60


def bound_strategies(portfolio: Portfolio) -> list[Strategy]:
    """Those that are enabled. Raises ConfigurationError that names what is wrong."""
    return [_bound(plan) for plan in portfolio.strategies if plan.enabled]


def chosen_strategies(portfolio: Portfolio, names: Sequence[str] | None, *, named_in: str) -> list[Strategy]:
    """Those of them with these names; all where none is named. Raises ConfigurationError for a name that none has."""
    strategies = bound_strategies(portfolio)
    known = [s.plan.name for s in strategies]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ConfigurationError(
            f"unknown strategy {unknown[0]}: expected one of {', '.join(known)} ([[strategies]] in {named_in})"
        )
    return [s for s in strategies if not names or s.plan.name in names]


def ingest_requests(
    portfolio: Portfolio,
    timeframes: Sequence[str] | None,
    *,
    named_in: str,
    instruments: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[IngestRequest]:
    """One request a timeframe of the portfolio, with as much history as its longest warm-up needs.

    Raises ConfigurationError for an instrument that the portfolio, which is `named_in` a file, does not trade.
    """
    strategies = bound_strategies(portfolio)
    chosen = tuple(instruments or portfolio.instruments)
    unknown = [symbol for symbol in chosen if symbol not in portfolio.instruments]
    if unknown:
        raise ConfigurationError(
            f"unknown instrument {unknown[0]}: expected one of {', '.join(portfolio.instruments)} (instruments in"
            f" {named_in})"
        )
    requests = []
    for timeframe in timeframes or sorted({s.plan.timeframe for s in strategies}):
        candles = max((s.warmup for s in strategies if s.plan.timeframe == timeframe), default=1) + _SPARE_CANDLES
        history = timedelta(seconds=timeframe_s(timeframe) * candles)
        requests.append(
            IngestRequest(instruments=chosen, timeframe=timeframe, history=history, since=since, until=until)
        )
    return requests


def _bound(plan: StrategyPlan) -> Strategy:
    """The plan's strategy with its parameters checked. Raises ConfigurationError that names what is wrong.

    One whose own code cannot be loaded is bound all the same, and fails alone when it is evaluated.
    """
    try:
        registered = registry.get(plan.function)
    except ConfigurationError as error:
        return _failing(plan, str(error))
    parameters = registry.parameters(plan.function, plan.parameters)

    def weights(panel: Panel) -> NDArray[np.float64]:
        return registered.compute(panel, parameters)

    return Strategy(plan=plan, warmup=registered.warmup(parameters), weights=weights)


def _failing(plan: StrategyPlan, reason: str) -> Strategy:
    def weights(_panel: Panel) -> NDArray[np.float64]:
        raise DataError(reason)

    return Strategy(plan=plan, warmup=1, weights=weights, problem=reason)
