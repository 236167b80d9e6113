"""A backtest in figures: what `--json`, the table for people and the report's head say of it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from trading.domain.backtest_terms import OUTCOME, OUTCOMES
from trading.domain.market import Panel, from_ms, timeframe_s
from trading.domain.overfitting import deflated_sharpe, moments
from trading.domain.performance import Performance
from trading.flows.backtest import Round, Study
from trading.strategies import registry
from trading.strategies.parameters import Parameters

#: Gaps that are named one by one.
_NAMED_GAPS: Final = 20
_PROJECT: Final = "airflow-crypto-trading"
#: Figures that are fractions, and those that buying and holding does not have.
SHARES: Final = ("total_return", "cagr", "volatility", "max_drawdown", "exposure", "hit_rate")
TRADED: Final = ("turnover", "sales", "hit_rate", "profit_factor", "fees")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One combination of a sweep."""

    parameters: Parameters
    figures: Performance
    sharpe_per_candle: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Luck:
    """How likely it is that the best of a sweep is better than chance."""

    trials: int
    deflated_sharpe: float


def summary(study: Study) -> dict[str, Any]:
    """Everything about one backtest that is not a curve."""
    panel, rules = study.candles.panel, study.backtest.rules
    codes = Counter(study.backtest.rows[:, OUTCOME].tolist())
    return {
        "strategy": study.strategy,
        "parameters": parameters_of(study.parameters),
        "code": code_of(study.strategy),
        "data": {
            "source": study.candles.source,
            "instruments": list(panel.instruments),
            "timeframe": panel.timeframe,
            "candles": len(panel),
            "first_decision": panel.close_time(study.first),
            "last_close": panel.close_time(len(panel) - 1),
            "warmup": study.warmup,
            "missing": missing(panel),
            "gaps": gaps(panel),
        },
        "rules": {
            "cash": rules.cash,
            "fee_bps": rules.fees.taker_bps,
            "slippage_bps": rules.slippage.bps,
            "volume_share": rules.volume_share.share,
            "cash_buffer_bps": rules.cash_buffer_bps,
            "rebalance_threshold_bps": rules.rebalance_threshold_bps,
        },
        "equity": study.backtest.equity_at(-1),
        "figures": study.figures.as_dict(),
        "buy_and_hold": study.held_figures.as_dict(),
        "orders": {OUTCOMES[code]: count for code, count in sorted(codes.items())},
        "months": dict(study.returns_by("M")),
        "years": dict(study.returns_by("Y")),
    }


def parameters_of(parameters: Parameters) -> dict[str, float | int]:
    """By name."""
    return {name: getattr(parameters, name) for name in parameters.__dataclass_fields__}


def code_of(strategy: str) -> str:
    """The version that ran: of this project, and the start of the strategy file's hash."""
    path = registry.file_of(strategy) or Path(registry.__file__).with_name(f"{strategy}.py")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "installed"
    return f"{version(_PROJECT)}, {path.name} {digest}"


def missing(panel: Panel) -> dict[str, int]:
    """How many candles each instrument lacks; those that lack none are left out."""
    lacking = np.isnan(panel.close).sum(axis=0).tolist()
    return {symbol: count for symbol, count in zip(panel.instruments, lacking, strict=True) if count}


def gaps(panel: Panel) -> list[dict[str, Any]]:
    """The first stretches in which some instrument has no candle."""
    holes = np.isnan(panel.close).any(axis=1)
    edges = np.flatnonzero(np.diff(holes.astype(np.int8), prepend=0, append=0))
    step_ms = timeframe_s(panel.timeframe) * 1000
    first_ms = int(panel.open_ms[0]) if len(panel) else 0
    return [
        {"since": from_ms(first_ms + start * step_ms), "candles": stop - start}
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ][:_NAMED_GAPS]


def trial_of(study: Study) -> Trial:
    """A combination without its curve."""
    sums = study.backtest.sums(study.first)
    per_candle = sums.mean_return / sums.deviation if sums.deviation > 0 else 0.0
    return Trial(parameters=study.parameters, figures=study.figures, sharpe_per_candle=per_candle)


def best_of(trials: Sequence[Trial]) -> Trial:
    """The highest Sharpe ratio; the first of equal ones."""
    return max(trials, key=lambda trial: trial.sharpe_per_candle)


def luck_of(trials: Sequence[Trial], best: Study) -> Luck:
    """What the best is worth, given how many were tried."""
    returns = best.equity[1:] / best.equity[:-1] - 1
    sharpes = [trial.sharpe_per_candle for trial in trials]
    probability = deflated_sharpe(max(sharpes), sharpes, len(returns), *moments(returns))
    return Luck(trials=len(trials), deflated_sharpe=probability)


def made_by(rounds: Sequence[Round]) -> float:
    """The return of all rounds, one after the other."""
    return float(np.prod([1 + one.made for one in rounds]) - 1)


def round_fields(one: Round) -> dict[str, Any]:
    """One round as `--json` shows it."""
    return {
        "parameters": parameters_of(one.parameters),
        "chosen_from": one.start,
        "judged_from": one.split,
        "judged_to": one.end,
        "sharpe_when_chosen": one.chosen_on,
        "made": one.made,
    }


def spoken(fields: dict[str, Any]) -> dict[str, object]:
    """A summary for people: figures beside those of buying and holding, the parts that are long left out."""
    data = fields["data"]
    told: dict[str, object] = {
        "strategy": fields["strategy"],
        "parameters": fields["parameters"] or "none",
        "candles": f"{data['candles']} of {', '.join(data['instruments'])} {data['timeframe']}, from {data['source']}",
        "decided": f"{data['first_decision']:%Y-%m-%d %H:%M} to {data['last_close']:%Y-%m-%d %H:%M} UTC",
        "missing": data["missing"] or "none",
        "orders": fields["orders"] or "none",
    }
    for name, value in fields["figures"].items():
        beside = fields["buy_and_hold"][name]
        held = "" if name in TRADED else f"   (held: {spoken_figure(name, beside)})"
        told[name] = f"{spoken_figure(name, value)}{held}"
    if "sweep" in fields:
        told["deflated_sharpe"] = f"{fields['sweep']['deflated_sharpe']:.1%}   (below 95 % it is no evidence)"
    if "walk_forward" in fields:
        told["walk_forward"] = f"{fields['walk_forward']['made']:.1%} in {len(fields['walk_forward']['rounds'])} rounds"
    return told


def spoken_figure(name: str, value: float | None) -> str:
    """A figure with its unit."""
    if value is None:
        return "-"
    if name in SHARES:
        return f"{value:,.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
