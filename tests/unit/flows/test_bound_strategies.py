"""Strategies bound to their parameters: one whose file is broken fails alone."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.desk import Desk, plan, portfolio
from trading.errors import ConfigurationError
from trading.flows.bound_strategies import bound_strategies
from trading.flows.evaluate import Evaluate
from trading.strategies import registry


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    registry.look_in([tmp_path])
    yield tmp_path
    registry.look_in([])


def test_a_file_that_cannot_be_loaded_stops_no_other_strategy(folder: Path) -> None:
    """It is named with its line; the other one decides."""
    (folder / "my_idea.py").write_text("import nothing_like_it")
    broken = plan("broken", function="my_idea", allocation=Decimal("0.4"))
    desk = Desk(portfolio_=portfolio(plan("sound", function="buy_and_hold", allocation=Decimal("0.4")), broken))
    desk.ingest()
    report = Evaluate(desk.ledger, desk.clock, bound_strategies(desk.portfolio)).run(desk.run_of("evaluate"))
    assert [decision.strategy for decision in report.decisions] == ["sound"]
    assert "my_idea.py, line 1, raised ModuleNotFoundError" in report.failed["broken"]


def test_a_bad_parameter_is_a_fault_of_the_portfolio_file() -> None:
    """Nothing runs until it is mended."""
    with pytest.raises(ConfigurationError, match="strategy buy_and_hold: parameter x is unknown"):
        bound_strategies(portfolio(plan(function="buy_and_hold", parameters={"x": 1})))
