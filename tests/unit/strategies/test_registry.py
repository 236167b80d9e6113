"""The registry: what exists, and one sentence for what does not or is out of bounds."""

import re

import pytest

from trading.errors import ConfigurationError
from trading.strategies import registry
from trading.strategies.inverse_volatility import InverseVolatility
from trading.strategies.parameters import Parameters
from trading.strategies.sma_crossover import SmaCrossover, sma_crossover


def test_the_shipped_strategies_are_found_without_being_imported_by_name() -> None:
    """A file beside the others is enough."""
    assert registry.names() == ("buy_and_hold", "inverse_volatility", "sma_crossover")
    assert registry.get("sma_crossover").compute is sma_crossover


def test_an_unknown_strategy_names_those_that_exist() -> None:
    """So that a typing mistake is seen at once."""
    with pytest.raises(
        ConfigurationError, match="'sma': expected one of buy_and_hold, inverse_volatility, sma_crossover"
    ):
        registry.get("sma")


def test_parameters_have_defaults_and_take_text() -> None:
    """A file gives numbers, a command line text."""
    assert registry.parameters("sma_crossover", {}) == SmaCrossover(fast=10, slow=30)
    assert registry.parameters("sma_crossover", {"fast": "3", "slow": 9}) == SmaCrossover(fast=3, slow=9)
    assert registry.parameters("inverse_volatility", {"window": 5}) == InverseVolatility(window=5)


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
    decorate = registry.strategy(name="sma_crossover", parameters=SmaCrossover, warmup=lambda _: 1)
    with pytest.raises(ConfigurationError, match="registered twice"):
        decorate(sma_crossover)


def test_warm_up_follows_the_parameters() -> None:
    """The number of candles that one row needs, its own included."""
    needed = {name: registry.get(name).warmup(registry.parameters(name, {})) for name in registry.names()}
    assert needed == {"buy_and_hold": 1, "inverse_volatility": 61, "sma_crossover": 30}
