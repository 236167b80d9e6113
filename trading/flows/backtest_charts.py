"""The charts of a backtest's page, as plotly takes them: thinned to what a screen can show."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest_terms import FILLED, INSTRUMENT, PRICE, QUANTITY, ROW
from trading.domain.market import TIMEFRAMES, CandleSeries, timeframe_s
from trading.domain.performance import drawdowns
from trading.domain.resampling import aggregated
from trading.flows.backtest import Study
from trading.flows.backtest_summary import Trial

#: Points of a line, candles of a chart, marks of fills.
_POINTS: Final = 1_500
_CANDLES: Final = 700
_MARKS: Final = 1_000
_BINS: Final = 60
_LOSS_TO_GAIN: Final = ((0, "#d92d20"), (0.5, "#f9fafb"), (1, "#067647"))
_DAY_MS: Final = 86_400_000


def charts(study: Study) -> dict[str, Any]:
    """By the id of its place on the page."""
    found = {"equity": _equity(study), "exposure": _exposure(study), "distribution": _distribution(study)}
    for column in range(len(study.candles.panel.instruments)):
        found[f"candles{column}"] = _candles(study, column)
    return found


def heat_map(trials: Sequence[Trial], names: Sequence[str]) -> dict[str, Any]:
    """Sharpe ratios by the first two swept parameters (the best of any others), or a line over the only one."""
    best: dict[tuple[float, ...], float] = {}
    for trial in trials:
        key = tuple(getattr(trial.parameters, name) for name in names[:2])
        best[key] = max(best.get(key, -np.inf), trial.figures.sharpe or 0.0)
    if len(names) == 1:
        values = sorted(best)
        line = {"x": [key[0] for key in values], "y": [best[key] for key in values], "mode": "lines+markers"}
        return {
            "data": [line],
            "layout": {"xaxis": {"title": {"text": names[0]}}, "yaxis": {"title": {"text": "Sharpe"}}},
        }
    across, down = (sorted({key[part] for key in best}) for part in range(2))
    cells = [[best.get((x, y)) for x in across] for y in down]
    data = {"type": "heatmap", "x": across, "y": down, "z": cells, "colorscale": _LOSS_TO_GAIN, "zmid": 0}
    axes = {
        "xaxis": {"title": {"text": names[0]}, "type": "category"},
        "yaxis": {"title": {"text": names[1]}, "type": "category"},
    }
    return {"data": [data], "layout": axes | {"hovermode": "closest"}}


def _equity(study: Study) -> dict[str, Any]:
    rows = _thinned(study.equity)
    at = _times(study.close_ms[rows])
    below = drawdowns(study.equity)[rows]
    return {
        "data": [
            {"x": at, "y": study.equity[rows], "name": study.strategy, "line": {"width": 1.6, "color": "#155eef"}},
            {"x": at, "y": study.held[rows], "name": "held", "line": {"width": 1, "color": "#98a2b3"}},
            {
                "x": at,
                "y": below,
                "name": "drawdown",
                "yaxis": "y2",
                "fill": "tozeroy",
                "line": {"width": 0.8, "color": "#b42318"},
            },
        ],
        "layout": {
            "yaxis": {"domain": [0.32, 1]},
            "yaxis2": {"domain": [0, 0.26], "tickformat": ".0%"},
            "xaxis": {"anchor": "y2"},
        },
    }


def _exposure(study: Study) -> dict[str, Any]:
    """The mean of each stretch."""
    exposure = study.backtest.exposure[study.first :]
    starts = np.arange(0, len(exposure), -(-len(exposure) // _CANDLES))
    means = np.add.reduceat(exposure, starts) / np.diff(np.append(starts, len(exposure)))
    line = {"x": _times(study.close_ms[starts]), "y": means, "fill": "tozeroy", "line": {"width": 0.8}}
    return {"data": [line], "layout": {"yaxis": {"tickformat": ".0%", "rangemode": "tozero"}}}


def _distribution(study: Study) -> dict[str, Any]:
    """Of UTC days, or of candles where they are no shorter."""
    day = (study.close_ms - 1) // _DAY_MS
    last = np.append(np.flatnonzero(day[1:] != day[:-1]), len(day) - 1)
    equity = study.equity[last]
    counts, edges = np.histogram(equity[1:] / equity[:-1] - 1, bins=_BINS)
    bars = {"type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": counts, "width": edges[1:] - edges[:-1]}
    return {"data": [bars], "layout": {"xaxis": {"tickformat": ".1%"}, "yaxis": {"title": {"text": "days"}}}}


def _candles(study: Study, column: int) -> dict[str, Any]:
    panel, first = study.candles.panel, study.first
    columns = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    series = CandleSeries(panel.open_ms[first:], *(values[first:, column] for values in columns))
    series = aggregated(series.take(np.isfinite(series.close)), _coarse(panel.timeframe, len(panel) - first))
    shown = {"open": series.open, "high": series.high, "low": series.low, "close": series.close}
    rows = study.backtest.rows
    fills = rows[(rows[:, INSTRUMENT] == column) & (rows[:, FILLED] > 0)]
    marks = [_fills(study, column, fills[fills[:, QUANTITY] * sign > 0], sign) for sign in (1, -1)]
    candles = {"type": "candlestick", "x": _times(series.open_ms), "name": panel.instruments[column], **shown}
    layout = {"xaxis": {"rangeslider": {"visible": False}}, "hovermode": "closest"}
    return {"data": [candles, *marks], "layout": layout}


def _fills(study: Study, column: int, fills: NDArray[np.int64], sign: int) -> dict[str, Any]:
    kept = fills[np.unique(np.linspace(0, len(fills) - 1, _MARKS).astype(int))] if len(fills) > _MARKS else fills
    panel = study.candles.panel
    step_ms = timeframe_s(panel.timeframe) * 1000
    colour, shape, name = ("#067647", "triangle-up", "buys") if sign > 0 else ("#b42318", "triangle-down", "sales")
    return {
        "x": _times(panel.open_ms[kept[:, ROW]] + step_ms),
        "y": kept[:, PRICE] * float(study.backtest.instruments[column].tick_size),
        "mode": "markers",
        "name": name if len(kept) == len(fills) else f"{name} ({len(kept):,} of {len(fills):,})",
        "marker": {"size": 7, "color": colour, "symbol": shape},
    }


def _coarse(timeframe: str, candles: int) -> str:
    """The finest timeframe of which a chart can show so many candles' time."""
    seconds = timeframe_s(timeframe)
    fitting = [
        name for name, length in TIMEFRAMES.items() if length >= seconds and candles * seconds / length <= _CANDLES
    ]
    return fitting[0] if fitting else list(TIMEFRAMES)[-1]


def _thinned(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows that keep the shape of a long line: the lowest and highest of each stretch, and both ends."""
    if len(values) <= 2 * _POINTS:
        return np.arange(len(values))
    size = -(-len(values) // _POINTS)
    whole = values[: len(values) // size * size].reshape(-1, size)
    starts = np.arange(len(whole)) * size
    rows = [starts + whole.argmin(axis=1), starts + whole.argmax(axis=1), np.array([0, len(values) - 1])]
    return np.unique(np.concatenate(rows))


def _times(milliseconds: NDArray[np.int64]) -> list[str]:
    return [str(at) for at in milliseconds.astype("datetime64[ms]")]
