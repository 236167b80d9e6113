"""A parity report as one HTML page, in the dress of a backtest's."""

from html import escape

from trading.domain.money import plain, quantise
from trading.domain.parity import ParityLine
from trading.flows.backtest_page import filled_page, section, table
from trading.flows.parity import ParityReport


def page(report: ParityReport) -> str:
    """The whole page: sums by cause, then the orders, the newest first."""
    subtitle = f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC · {report.closes:,} closes"
    told = {
        "Orders": f"{len(report.lines):,}",
        "Equal to the last digit": f"{report.equal:,}",
        "What the differences cost": plain(quantise(report.cost, 4)),
        "Closes without weights": ", ".join(f"{why} {count}" for why, count in report.undecided.items()) or "none",
    }
    figures = "".join(
        f'<div class="figure"><span>{name}</span><b>{escape(value)}</b></div>' for name, value in told.items()
    )
    causes = [
        f"<tr><td>{escape(cause)}</td><td>{count:,}</td><td>{plain(quantise(cost, 4))}</td></tr>"
        for cause, (count, cost) in report.by_cause.items()
    ]
    columns = (
        "Decided at",
        "Instrument",
        "Side",
        "Ordered",
        "Live",
        "Backtest",
        "Live price",
        "Backtest",
        "Cost",
        "Why",
    )
    sections = [
        section("Live against backtest", f'<div class="figures">{figures}</div>'),
        section("By cause", table(("Cause", "Orders", "Cost, in quote"), causes)),
        section("Orders", table(columns, [_row(line) for line in reversed(report.lines)], tall=True)),
    ]
    return filled_page(f"Parity of {report.strategy}", subtitle, sections, charts={})


def _row(line: ParityLine) -> str:
    cells = [
        f"{line.as_of:%Y-%m-%d %H:%M}",
        line.instrument,
        str(line.side),
        plain(line.ordered),
        plain(line.live_filled),
        plain(line.backtest_filled),
        plain(quantise(line.live_price, 8)),
        plain(line.backtest_price),
        plain(quantise(line.cost, 4)),
        "; ".join(line.causes) or "equal",
    ]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
