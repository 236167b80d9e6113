"""A backtest as one HTML page that needs nothing else, readable on a phone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson

from trading.domain.money import plain
from trading.domain.performance import Performance
from trading.flows.backtest import Round, Study
from trading.flows.backtest_charts import charts, heat_map
from trading.flows.backtest_summary import TRADED, Luck, Trial, made_by, parameters_of, spoken_figure, summary

_TEMPLATE: Final = Path(__file__).with_suffix(".html")
#: Rows of the list of orders and of a sweep: a page that a phone can open.
_MOST_ROWS: Final = 1_000

_NAMES: Final = {
    "total_return": "Return",
    "cagr": "Growth a year",
    "volatility": "Volatility a year",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "max_drawdown": "Deepest drawdown",
    "longest_drawdown_days": "Longest drawdown, days",
    "exposure": "Exposure",
    "turnover": "Turnover a year",
    "sales": "Sales",
    "hit_rate": "Sales that gained",
    "profit_factor": "Profit factor",
    "fees": "Fees paid",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What a sweep tried, and what walking forward over it made; empty where there was none."""

    trials: Sequence[Trial] = ()
    names: Sequence[str] = ()  # of the swept parameters
    luck: Luck | None = None
    rounds: Sequence[Round] = ()


def page(study: Study, tried: Tried) -> str:
    """The whole page."""
    told = summary(study)
    figures = charts(study) | ({"heat": heat_map(tried.trials, tried.names)} if tried.trials else {})
    data = told["data"]
    subtitle = (
        f"{', '.join(data['instruments'])} · {data['timeframe']} · {data['first_decision']:%Y-%m-%d %H:%M} to"
        f" {data['last_close']:%Y-%m-%d %H:%M} UTC · {data['source']}"
    )
    title = f"{study.strategy} {_listed(told['parameters'])}".strip()
    return filled_page(title, subtitle, list(_sections(study, told, tried)), charts=figures)


def filled_page(title: str, subtitle: str, sections: Sequence[str], *, charts: Mapping[str, Any]) -> str:
    """One page of these sections, with plotly's own script where it has charts."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - only reports need it

    filled = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "sections": "\n".join(sections),
        "charts": orjson.dumps(charts, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace("</", "<\\/"),
        "plotly": get_plotlyjs() if charts else "",
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, content in filled.items():
        text = text.replace("{{" + name + "}}", content)
    return text


def _sections(study: Study, told: Mapping[str, Any], tried: Tried) -> Iterable[str]:
    yield section("Figures", _figures(study.figures, study.held_figures))
    yield section(
        "Equity, against buying and holding, and drawdown", '<div id="equity" class="chart tall-chart"></div>'
    )
    if tried.trials:
        yield section("Sweep", _luck(tried) + '<div id="heat" class="chart"></div>' + _trials(tried))
    if tried.rounds:
        yield section("Walking forward", _rounds(tried.rounds))
    for number, symbol in enumerate(study.candles.panel.instruments):
        yield section(f"{escape(symbol)}, with fills", f'<div id="candles{number}" class="chart tall-chart"></div>')
    yield section("Months", _months(told["months"], told["years"]))
    yield section("Returns of days", '<div id="distribution" class="chart"></div>')
    yield section("Exposure", '<div id="exposure" class="chart"></div>')
    yield section("Orders", _orders(study))
    yield section("What it ran on", _facts(told))


def section(title: str, content: str) -> str:
    """A box with a heading."""
    return f"<section><h2>{title}</h2>{content}</section>"


def _figures(ours: Performance, held: Performance) -> str:
    cells = []
    for name, title in _NAMES.items():
        value, other = getattr(ours, name), getattr(held, name)
        beside = "" if name in TRADED else f"<i>held: {spoken_figure(name, other)}</i>"
        cells.append(f'<div class="figure"><span>{title}</span><b>{spoken_figure(name, value)}</b>{beside}</div>')
    return f'<div class="figures">{"".join(cells)}</div>'


def _months(months: Mapping[str, float], years: Mapping[str, float]) -> str:
    rows = []
    for year, whole in years.items():
        cells = "".join(_share(months.get(f"{year}-{month:02}")) for month in range(1, 13))
        rows.append(f"<tr><td>{year}</td>{cells}{_share(whole)}</tr>")
    return table(("Year", *(f"{month:02}" for month in range(1, 13)), "All"), rows)


def _share(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    return f'<td class="{"good" if value >= 0 else "bad"}">{value:.1%}</td>'


def _orders(study: Study) -> str:
    total = len(study.backtest.rows)
    shown = list(study.backtest.orders(last=_MOST_ROWS))
    rows = [
        f"<tr><td>{order.as_of:%Y-%m-%d %H:%M}</td><td>{escape(order.instrument)}</td><td>{order.side}</td>"
        f"<td>{plain(order.quantity)}</td><td>{plain(order.filled)}</td><td>{plain(order.price)}</td>"
        f"<td>{order.notional:,.2f}</td><td>{plain(order.fee)} {escape(order.fee_currency)}</td>"
        f"<td>{f'{order.result:,.2f}' if order.result else ''}</td><td>{escape(order.outcome)}</td></tr>"
        for order in shown
    ]
    columns = (
        "Decided at",
        "Instrument",
        "Side",
        "Ordered",
        "Filled",
        "Price",
        "Notional",
        "Fee",
        "Result",
        "Outcome",
    )
    note = f"<p>{total:,} orders{f', the newest {_MOST_ROWS:,} of them' if total > _MOST_ROWS else ''}.</p>"
    return note + table(columns, rows, tall=True)


def _luck(tried: Tried) -> str:
    if tried.luck is None:
        return ""
    return (
        f"<p>{tried.luck.trials:,} combinations were tried. The chance that the best one's true Sharpe ratio is above"
        f" 0, given that it is the best of so many (deflated Sharpe ratio): <b>{tried.luck.deflated_sharpe:.1%}</b>."
        " Below 95 % it is no evidence.</p>"
    )


def _trials(tried: Tried) -> str:
    ranked = sorted(tried.trials, key=lambda trial: -trial.sharpe_per_candle)[:_MOST_ROWS]
    shown = ("total_return", "cagr", "sharpe", "max_drawdown", "turnover", "sales")
    rows = [
        f"<tr><td>{escape(_listed(parameters_of(trial.parameters)))}</td>"
        + "".join(f"<td>{spoken_figure(name, getattr(trial.figures, name))}</td>" for name in shown)
        + "</tr>"
        for trial in ranked
    ]
    return table(("Parameters", *(_NAMES[name] for name in shown)), rows, tall=True)


def _rounds(rounds: Sequence[Round]) -> str:
    rows = []
    for one in rounds:
        rows.append(
            f"<tr><td>{one.start:%Y-%m-%d}</td><td>{one.split:%Y-%m-%d}</td><td>{one.end:%Y-%m-%d}</td>"
            f"<td>{escape(_listed(parameters_of(one.parameters)))}</td>"
            f"<td>{spoken_figure('sharpe', one.chosen_on)}</td>{_share(one.made)}</tr>"
        )
    columns = ("Chosen from", "to", "Judged to", "Chosen", "Sharpe then", "Made")
    told = f"<p>On candles that nothing was chosen on: <b>{made_by(rounds):.1%}</b>.</p>"
    return told + table(columns, rows, tall=True)


def _facts(told: Mapping[str, Any]) -> str:
    data = told["data"]
    rows = {
        "Strategy": told["strategy"],
        "Parameters": _listed(told["parameters"]) or "none",
        "Code": told["code"],
        "Candles": f"{data['candles']:,}, the first {data['warmup']:,} of them to warm up",
        "Missing candles": _listed(data["missing"]) or "none",
        "First gaps": "; ".join(f"{gap['since']:%Y-%m-%d %H:%M} ({gap['candles']})" for gap in data["gaps"]) or "none",
        "Orders": _listed(told["orders"]) or "none",
        "Rules": _listed(told["rules"]),
    }
    lines = "".join(
        f'<tr><td>{name}</td><td style="white-space: normal; text-align: left">{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f'<div class="wide"><table>{lines}</table></div>'


def table(columns: Iterable[str], rows: Sequence[str], *, tall: bool = False) -> str:
    """A table that scrolls in its own box; `rows` are HTML, the columns' names plain."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide{" tall" if tall else ""}">{inner}</div>'


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
