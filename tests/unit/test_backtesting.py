"""A backtest in parts, as the DAG runs it over stored candles."""

from pathlib import Path
from typing import Any

import pytest

from tests.desk import Desk
from trading.backtesting import Question, split, try_part, write_page
from trading.errors import ConfigurationError

FORM: dict[str, Any] = {
    "strategy": "sma_crossover",
    "parameters": {},
    "sweep": {"fast": [2, 3, 9], "slow": [5, 8]},
    "instruments": [],
    "timeframe": "1m",
    "since": "",
    "until": "",
    "fee_bps": 10,
    "slippage_bps": 2.5,
}


class StandIn:
    """What the parts need of a manager."""

    def __init__(self, home: Path) -> None:
        self.ledger = Desk().open().ledger
        self.config = type("Config", (), {"home": home, "strategies_path": ()})


def test_the_parts_come_to_one_report(tmp_path: Path) -> None:
    """Four combinations are valid, in two parts; the page holds all of them."""
    manager: Any = StandIn(tmp_path)
    with manager.ledger.transaction() as books:
        assert books.candles.count()
    question = Question.from_form(FORM | {"sweep": {"fast": [2, 3, 9], "slow": [4, 5]}})
    parts = split(manager, question, 3)
    assert [len(part) for part in parts] == [3, 1]
    results = [one for part in parts for one in try_part(manager, question, part)]
    told = write_page(manager, question, results, "manual__2026-03-02T12:00:00+00:00")
    alone = [one for part in split(manager, question, 1) for one in try_part(manager, question, part)]
    assert alone == results  # measured over the same candles, whoever tried them beside which others
    assert told["combinations"] == 4
    assert told["report"].endswith("backtests/manual__2026-03-02T12-00-00-00-00.html")
    assert "4 combinations were tried" in Path(told["report"]).read_text()


def test_a_form_that_makes_no_sense_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="the form's values cannot be read"):
        Question.from_form(FORM | {"since": "yesterday"})
    with pytest.raises(ConfigurationError, match="the form's values cannot be read"):
        Question.from_form(FORM | {"sweep": {"fast": ["many"]}})
