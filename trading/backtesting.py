"""A backtest spread over tasks: the question as a form gives it, its combinations, and what each came to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading.domain.backtest import BacktestRules
from trading.domain.market import timeframe_s
from trading.domain.matching import FeeModel, SlippageModel
from trading.domain.performance import Performance
from trading.errors import ConfigurationError
from trading.flows.backtest import Candles, combinations, study, sweep
from trading.flows.backtest_page import Tried, page
from trading.flows.backtest_summary import Trial, best_of, luck_of, parameters_of, trial_of
from trading.flows.stored_candles import stored_candles
from trading.manager import TradingManager
from trading.strategies import registry
from trading.strategies.parameters import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is to be tried, over stored candles."""

    strategy: str
    parameters: Mapping[str, object]
    swept: Mapping[str, Sequence[Decimal]]
    instruments: Sequence[str]
    timeframe: str
    since: datetime | None
    until: datetime | None
    rules: BacktestRules

    @classmethod
    def from_form(cls, form: Mapping[str, Any]) -> "Question":
        """What a DAG's form holds. Raises ConfigurationError for a value that is none."""
        try:
            return cls(
                strategy=form["strategy"],
                parameters=dict(form["parameters"]),
                swept={name: [Decimal(str(one)) for one in values] for name, values in form["sweep"].items()},
                instruments=list(form["instruments"]),
                timeframe=form["timeframe"],
                since=_instant(form["since"]),
                until=_instant(form["until"]),
                rules=BacktestRules(
                    fees=FeeModel(taker_bps=Decimal(str(form["fee_bps"]))),
                    slippage=SlippageModel(bps=Decimal(str(form["slippage_bps"]))),
                ),
            )
        except (ValueError, ArithmeticError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"the form's values cannot be read: {error}") from None


def split(manager: TradingManager, question: Question, size: int) -> list[list[dict[str, Any]]]:
    """The combinations in parts of `size`, one for each task."""
    grid = [parameters_of(one) for one in _grid(manager, question)]
    return [grid[start : start + size] for start in range(0, len(grid), size)]


def try_part(manager: TradingManager, question: Question, part: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each combination of a part came to: plain figures, which a task can hand on."""
    grid = _grid(manager, question)
    candles = _candles(manager, question, grid)
    mine = [registry.parameters(question.strategy, one) for one in part]
    studies = sweep(question.strategy, mine, candles, question.rules, since=question.since, among=grid)
    trials = [trial_of(one) for one in studies]
    return [
        {
            "parameters": parameters_of(one.parameters),
            "figures": one.figures.as_dict(),
            "sharpe_per_candle": one.sharpe_per_candle,
        }
        for one in trials
    ]


def write_page(
    manager: TradingManager, question: Question, results: Sequence[Mapping[str, Any]], run_id: str
) -> dict[str, Any]:
    """The report of the best in $TRADING_HOME/backtests/, with all that were tried; its path and main figures."""
    candles = _candles(manager, question, _grid(manager, question))
    trials = [
        Trial(
            parameters=registry.parameters(question.strategy, one["parameters"]),
            figures=Performance(**one["figures"]),
            sharpe_per_candle=one["sharpe_per_candle"],
        )
        for one in results
    ]
    found = study(question.strategy, best_of(trials).parameters, candles, question.rules, since=question.since)
    names = tuple(question.swept)
    tried = Tried(trials=trials, names=names, luck=luck_of(trials, found)) if names else Tried()
    path = manager.config.home / "backtests" / f"{re.sub(r'[^A-Za-z0-9_.-]', '-', run_id)}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(found, tried), encoding="utf-8")
    return {"report": str(path), "combinations": len(trials), "sharpe": found.figures.sharpe}


def _grid(manager: TradingManager, question: Question) -> list[Parameters]:
    registry.look_in(manager.config.strategies_path)
    return combinations(question.strategy, question.parameters, question.swept)[0]


def _candles(manager: TradingManager, question: Question, grid: Sequence[Parameters]) -> Candles:
    """Stored ones, with the longest warm-up before the first decision."""
    registered = registry.get(question.strategy)
    timeframe = question.timeframe or registered.timeframe
    history = timedelta(seconds=timeframe_s(timeframe)) * (max(registered.warmup(one) for one in grid) - 1)
    since = question.since - history if question.since else None
    names = question.instruments or registered.instruments
    return stored_candles(manager.ledger, names, timeframe, since, question.until)


def _instant(text: str | None) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
