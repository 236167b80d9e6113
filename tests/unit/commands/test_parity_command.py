"""`trading parity`: a table, JSON and a page."""

import json
from pathlib import Path

from tests.desk import Desk
from tests.unit.commands.conftest import Trading

SINCE = ("--since", "2026-03-02T11:59")


def test_it_tells_orders_and_causes(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    desk.cycle()
    desk.next_minute()
    desk.ingest()
    report = tmp_path / "p.html"
    said = trading(
        "parity", "--strategy", "sma", *SINCE, "--until", "2026-03-02T12:00", "--report", str(report), "--json"
    )
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["orders"]
    assert found["equal"] == len(found["orders"])
    assert "Live against backtest" in report.read_text()
    dearer = trading("parity", "--strategy", "sma", *SINCE, "--until", "2026-03-02T12:00", "--slippage-bps", "0")
    assert "price path" in dearer.out
    assert trading("parity", "--strategy", "x", *SINCE).code == 78
