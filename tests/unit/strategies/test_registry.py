"""The registry: what exists, and one sentence for what does not or is out of bounds."""

import re
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from trading.errors import ConfigurationError
from trading.strategies import registry
from trading.strategies.inverse_volatility import InverseVolatility
from trading.strategies.parameters import Parameters
from trading.strategies.sma_crossover import SmaCrossover, sma_crossover

SHIPPED = (
    "bollinger_reversion",
    "buy_and_hold",
    "cross_sectional_momentum",
    "donchian_breakout",
    "inverse_volatility",
    "rsi_reversion",
    "sma_crossover",
    "time_series_momentum",
)


def test_the_shipped_strategies_are_found_without_being_imported_by_name() -> None:
    """A file beside the others is enough."""
    assert registry.names() == SHIPPED
    assert registry.get("sma_crossover").compute is sma_crossover


def test_an_unknown_strategy_names_those_that_exist() -> None:
    """So that a typing mistake is seen at once."""
    with pytest.raises(ConfigurationError, match=f"'sma': expected one of {', '.join(SHIPPED)}"):
        registry.get("sma")


def test_parameters_have_defaults_and_take_text() -> None:
    """A file gives numbers, a command line text."""
    assert registry.parameters("sma_crossover", {}) == SmaCrossover(fast=10, slow=30)
    assert registry.parameters("sma_crossover", {"fast": "3", "slow": 9}) == SmaCrossover(fast=3, slow=9)
    assert registry.parameters("inverse_volatility", {"window": 5}) == InverseVolatility(window=5)
    exact = registry.parameters("bollinger_reversion", {"deviations": Decimal("1.5")})  # as the portfolio file gives it
    assert exact == registry.parameters("bollinger_reversion", {"deviations": "1.5"})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"fast": 0}, "parameter fast is 0: expected a whole number from 1 to 4999"),
        ({"slow": 5001}, "parameter slow is 5001: expected a whole number from 2 to 5000"),
        ({"fast": "many"}, "parameter fast is 'many': expected a whole number"),
        ({"fast": 2.0}, "parameter fast is 2.0: expected a whole number"),
        ({"fast": True}, "parameter fast is True: expected a whole number"),
        ({"fast": None}, "parameter fast is None: expected a whole number"),
        ({"fast": float("nan")}, "parameter fast is nan: expected a whole number"),
        ({"fast": 30, "slow": 30}, "parameter fast is 30: expected less than slow, which is 30"),
        ({"medium": 5}, "parameter medium is unknown: expected one of fast, slow"),
    ],
)
def test_a_bad_parameter_names_strategy_parameter_value_and_what_is_allowed(
    values: dict[str, object], told: str
) -> None:
    """In one sentence."""
    with pytest.raises(ConfigurationError, match=re.escape(f"strategy sma_crossover: {told}")):
        registry.parameters("sma_crossover", values)


def test_parameters_are_checked_however_they_are_made() -> None:
    """A strategy can rely on its bounds; and they do not change afterwards."""
    with pytest.raises(ConfigurationError, match="window is 1: expected a whole number from 2 to 5000"):
        InverseVolatility(window=1)
    with pytest.raises(AttributeError):
        SmaCrossover().fast = 3  # type: ignore[misc]


def test_a_strategy_without_parameters_takes_none() -> None:
    """And says so."""
    assert isinstance(registry.parameters("buy_and_hold", {}), Parameters)
    with pytest.raises(
        ConfigurationError, match=r"strategy buy_and_hold: parameter x is unknown.*it has no parameters"
    ):
        registry.parameters("buy_and_hold", {"x": 1})


def test_a_name_is_taken_once() -> None:
    """A second strategy of one name would replace the first without a word."""
    decorate = registry.strategy(parameters=SmaCrossover, warmup=lambda _: 1)
    with pytest.raises(ConfigurationError, match="registered twice"):
        decorate(sma_crossover)


def test_warm_up_follows_the_parameters() -> None:
    """The number of candles that one row needs, its own included."""
    needed = {name: registry.get(name).warmup(registry.parameters(name, {})) for name in registry.names()}
    assert needed == {
        "bollinger_reversion": 119,
        "buy_and_hold": 1,
        "cross_sectional_momentum": 170,
        "donchian_breakout": 220,
        "inverse_volatility": 61,
        "rsi_reversion": 240,
        "sma_crossover": 30,
        "time_series_momentum": 169,
    }


OWN = """
from dataclasses import dataclass
import numpy as np
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy

@dataclass(frozen=True)
class Idea(Parameters):
    window: int = bounded(3, minimum=1, maximum=9)

@strategy(parameters=Idea, warmup=lambda p: p.window, timeframe="4h")
def my_idea(panel, parameters):
    return np.zeros(panel.close.shape)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A user's folder of strategies."""
    registry.look_in([tmp_path])
    yield tmp_path
    registry.look_in([])


def test_a_file_in_the_users_folder_is_a_strategy(folder: Path) -> None:
    """Under the file's name; a test beside it is none."""
    (folder / "my_idea.py").write_text(OWN)
    (folder / "test_my_idea.py").write_text("raise ValueError")
    assert registry.names() == tuple(sorted((*SHIPPED, "my_idea")))
    found = registry.get("my_idea")
    assert (found.timeframe, found.instruments, found.warmup(registry.parameters("my_idea", {}))) == ("4h", (), 3)
    assert registry.file_of("my_idea") == folder / "my_idea.py"


def test_listing_names_runs_no_code_of_users(folder: Path) -> None:
    """Whoever places orders reads names alone."""
    (folder / "my_idea.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n{OWN}")
    assert "my_idea" in registry.names()
    assert not (folder / "ran").exists()
    registry.get("my_idea")
    assert (folder / "ran").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def my_idea(:", "line 1, raised SyntaxError"),
        ("\nimport nothing_like_it", "line 2, raised ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("x = 1", "to hold a function my_idea decorated"),
        (OWN.replace("def my_idea", "def another"), "to hold a function my_idea decorated"),
        (OWN.replace("def my_idea", "def buy_and_hold"), "buy_and_hold is registered twice"),
    ],
)
def test_a_file_that_is_no_strategy_is_named_and_harms_no_other(folder: Path, source: str, told: str) -> None:
    """With the line of the user's own file."""
    (folder / "my_idea.py").write_text(source)
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        registry.get("my_idea")
    assert registry.get("sma_crossover").compute is sma_crossover


def test_a_users_file_may_not_have_a_shipped_name(folder: Path) -> None:
    """Nobody could say which of them trades."""
    (folder / "sma_crossover.py").write_text(OWN)
    with pytest.raises(ConfigurationError, match="has the name of a shipped strategy"):
        registry.names()


def test_an_installed_package_may_bring_a_strategy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """By an entry point, loaded when it is asked for."""
    (folder / "_package.py").write_text(OWN.replace("my_idea", "installed_idea"))
    monkeypatch.syspath_prepend(str(folder))
    point = EntryPoint("installed_idea", "_package:installed_idea", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "installed_idea" in registry.names()
    assert registry.get("installed_idea").timeframe == "4h"
    del registry._REGISTERED["installed_idea"]
