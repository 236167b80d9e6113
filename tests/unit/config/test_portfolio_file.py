"""portfolio.toml: exact numbers, known keys, and complaints that name file, table, key, value and choices."""

import dataclasses
import hashlib
import pickle
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from trading.config.portfolio import load_portfolio
from trading.config.portfolio_tables import LimitsTable
from trading.domain.limits import Limits, ScopedLimits
from trading.domain.portfolio import Parameters
from trading.domain.resting import RestPolicy, WhenRested
from trading.errors import ConfigurationError

SHIPPED = Path(__file__).parents[3] / "portfolio.toml"


def changed(tmp_path: Path, old: str, new: str) -> str:
    """The complaint about the shipped file after one change."""
    text = SHIPPED.read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_portfolio(path, functions=("inverse_volatility", "sma_crossover"))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_the_shipped_portfolio_trades_three_instruments_with_two_strategies() -> None:
    portfolio = load_portfolio(SHIPPED, functions=("inverse_volatility", "sma_crossover"))
    assert portfolio.instruments == ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    assert [plan.name for plan in portfolio.strategies] == ["inverse_volatility", "sma_crossover"]
    assert [plan.instruments for plan in portfolio.strategies] == [portfolio.instruments] * 2
    assert portfolio.content_hash == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()


def test_the_shipped_limits_leave_room_for_the_shipped_allocations() -> None:
    """An account of 100,000 fully invested as allocated touches no limit."""
    portfolio = load_portfolio(SHIPPED)
    equity = Decimal(100_000)
    allocated = sum(plan.allocation for plan in portfolio.strategies)
    assert allocated * 10_000 < portfolio.limits.max_gross_exposure_bps
    assert allocated * equity / 2 < portfolio.limits.max_position_notional
    assert len(portfolio.strategies) * len(portfolio.instruments) < portfolio.limits.max_orders_per_minute


def test_numbers_are_exact() -> None:
    plan = load_portfolio(SHIPPED).strategies[0]
    assert plan.allocation == Decimal("0.20")
    assert isinstance(plan.allocation, Decimal)
    assert plan.parameters["window"] == 60


def test_what_follows_a_rested_order_is_each_strategys_own(tmp_path: Path) -> None:
    """Nothing is said of the first: re-priced three times. The second crosses, by at most 12.5 bps."""
    path = tmp_path / "mine.toml"
    crossing = 'when_rested = "cross"\nmax_slippage_bps = 12.5\ngrace_s = 20 '
    path.write_text(SHIPPED.read_text().replace("grace_s = 20 ", crossing, 1))
    first, second = (plan.resting for plan in load_portfolio(path).strategies)
    assert (first.when_rested, first.reprice_times, first.replacements) == (WhenRested.REPRICE, 3, 3)
    assert (second.when_rested, second.max_slippage_bps) == (WhenRested.CROSS, Decimal("12.5"))


def test_what_the_shipped_file_says_of_rested_orders_is_what_holds_without_it(tmp_path: Path) -> None:
    """The commented keys are valid where they are put in, and their values are the defaults."""
    text = re.sub("^# (when_rested|reprice_times) =", r"\1 =", SHIPPED.read_text(), flags=re.MULTILINE)
    (tmp_path / "mine.toml").write_text(text)
    assert text.count("\nwhen_rested =") == text.count("\nreprice_times =") == 1
    assert load_portfolio(tmp_path / "mine.toml").strategies == load_portfolio(SHIPPED).strategies
    assert f"# max_slippage_bps = {RestPolicy().max_slippage_bps} " in text


def test_the_table_of_limits_has_the_fields_of_the_domain_s() -> None:
    assert list(LimitsTable.model_fields) == [field.name for field in dataclasses.fields(Limits)]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("allocation = 0.20 ", "allocation = 1.5 ", ("[[strategies]] inverse_volatility", "allocation", "1.5")),
        ("allocation = 0.20 ", "allocation = nan ", ("allocation", "NaN", "finite")),
        ("allocation = 0.20 ", 'allocation = "0.2" ', ("allocation", "number")),
        ("allocation = 0.20 ", "allocation = 0.96 ", ("add up to 1.02", "0.99")),
        ("allocation = 0.20 ", "", ("[[strategies]] inverse_volatility", "'allocation' is missing")),
        ("allocation = 0.20 ", "alocation = 0.20 ", ("unknown key 'alocation'", "rebalance_threshold_bps")),
        ('function = "sma_', 'function = "ema_', ("sma_crossover", "'ema_crossover'", "inverse_volatility")),
        ('timeframe = "1m"', 'timeframe = "7m"', ("inverse_volatility", "'7m'", "1m, 3m, 5m")),
        ('name = "sma_crossover"', 'name = "inverse_volatility"', ("'inverse_volatility'", "twice")),
        ('"SOL/USDT"', '"SOL/EUR"', ("'SOL/EUR'", "BTC/USDT")),
        ('"SOL/USDT"', '"SOLUSDT"', ("instruments", "'SOLUSDT'")),
        ('"SOL/USDT"', '"ETH/USDT"', ("'ETH/USDT'", "twice")),
        ('order_type = "market"', 'order_type = "stop"', ("order_type", "'stop'", "'market' or 'limit'")),
        ("window = 60", "window = true", ("parameters.window", "True", "whole number")),
        ("window = 60", "window = [1]", ("parameters.window", "whole number")),
        ("max_order_notional = 10_000", "max_order_notional = 0", ("[limits] max_order_notional", "'0'", "greater")),
        ("max_orders_per_minute = 20", "max_orders_per_minute = 20.5", ("max_orders_per_minute", "20.5")),
        ("max_drawdown_bps = 3_000", "max_draw_bps = 3_000", ("[limits]", "'max_draw_bps'", "max_drawdown_bps")),
        (
            "grace_s = 20 ",
            'when_rested = "retry"\ngrace_s = 20 ',
            ("[[strategies]] sma_crossover: when_rested", "'retry'", "'give_up', 'reprice' or 'cross'"),
        ),
        ("grace_s = 20 ", "reprice_times = 0\ngrace_s = 20 ", ("sma_crossover: reprice_times", "'0'", "greater")),
        ("grace_s = 20 ", "reprice_times = 10\ngrace_s = 20 ", ("reprice_times", "less than or equal to 9")),
        ("grace_s = 20 ", "max_slippage_bps = 20\ngrace_s = 20 ", ("max_slippage_bps", '"cross"', "'reprice'")),
        (
            "grace_s = 20 ",
            'when_rested = "give_up"\nreprice_times = 2\ngrace_s = 20 ',
            ("sma_crossover: reprice_times", '"reprice"', "'give_up'"),
        ),
        (
            "grace_s = 20 ",
            'when_rested = "cross"\nmax_slippage_bps = 151\ngrace_s = 20 ',
            ("sma_crossover: max_slippage_bps is 151", "at most price_collar_bps, 150"),
        ),
        ("grace_s = 20 ", 'instruments = ["XRP/USDT"]\ngrace_s = 20 ', ("'XRP/USDT'", "BTC/USDT, ETH/USDT")),
        ("[limits]", "[limits", ("not valid TOML", "line")),
        ("currency = ", "currency = 1\ncurrency = ", ("not valid TOML",)),
    ],
)
def test_a_mistake_is_named_with_its_place_value_and_choices(
    tmp_path: Path, old: str, new: str, parts: tuple[str, ...]
) -> None:
    message = changed(tmp_path, old, new)
    assert [part for part in parts if part not in message] == []


def test_a_policy_that_could_never_speak_is_named(tmp_path: Path) -> None:
    """Orders that rest for a minute outlive each decision on 1m candles: only giving up is the same then."""

    def loaded(when_rested: str, rest_s: int) -> None:
        text = SHIPPED.read_text().replace('order_type = "market"', 'order_type = "limit"', 1)
        text = text.replace("rest_s = 60", f"rest_s = {rest_s}", 1)
        (tmp_path / "mine.toml").write_text(
            text.replace("grace_s = 20 ", f'when_rested = "{when_rested}"\ngrace_s = 20 ')
        )
        load_portfolio(tmp_path / "mine.toml")

    for fine in (("cross", 59), ("reprice", 59), ("give_up", 60)):
        loaded(*fine)
    with pytest.raises(ConfigurationError, match=r"sma_crossover: when_rested is 'cross': expected a rest_s below 60"):
        loaded("cross", 60)


def with_scopes(tmp_path: Path, scopes: str) -> Path:
    """The shipped file with more tables at its end."""
    path = tmp_path / "mine.toml"
    path.write_text(f"{SHIPPED.read_text()}\n{scopes}\n")
    return path


def test_strategies_and_instruments_have_limits_of_their_own(tmp_path: Path) -> None:
    scopes = '[limits.strategy.sma_crossover]\nmax_drawdown_bps = 12.5\n[limits.instrument."SOL/USDT"]\n'
    limits = load_portfolio(with_scopes(tmp_path, f"{scopes}max_orders_per_minute = 2")).limits
    assert limits.strategy == {"sma_crossover": ScopedLimits(max_drawdown_bps=Decimal("12.5"))}
    assert limits.instrument == {"SOL/USDT": ScopedLimits(max_orders_per_minute=2)}


def test_the_shipped_comments_on_limits_of_scopes_are_valid(tmp_path: Path) -> None:
    """They may be put in as they stand."""
    lines = SHIPPED.read_text().splitlines()
    begin = lines.index("# [limits.strategy.sma_crossover]")
    scopes = [line.removeprefix("# ") for line in lines[begin:] if re.match(r"# (\[|max_\w+ =)", line)]
    limits = load_portfolio(with_scopes(tmp_path, "\n".join(scopes))).limits
    assert set(limits.strategy) | set(limits.instrument) == {"sma_crossover", "SOL/USDT"}


@pytest.mark.parametrize(
    ("scopes", "below", "parts"),
    [
        ("[limits.strategy.ghost]\nmax_drawdown_bps = 1", 0, ("[limits.strategy] names 'ghost'", "sma_crossover")),
        ('[limits.instrument."XRP/USDT"]', 0, ("names 'XRP/USDT'", "BTC/USDT")),
        ("[limits.strategy.sma_crossover]\nmax_daily_loss = 9", 1, ("'max_daily_loss'", "unit", "max_daily_loss_bps")),
        ("[limits.strategy.sma_crossover]\nmax_order_notional = -5", 1, ("'-5'", "greater than 0")),
        ('[limits.instrument."BTC/USDT"]\nmax_drawdown_bps = 5', 1, ("[limits.instrument.BTC/USDT] unknown", "max_")),
        ('[limits.strategy.sma_crossover]\nmax_order_notional = "5"', 1, ("expected a number",)),
        ('[limits.strategy."No Name"]', 0, ("No Name",)),
    ],
)
def test_refused_limits_name_line_and_reason_and_the_recorded_ones_stay(
    tmp_path: Path, scopes: str, below: int, parts: tuple[str, ...]
) -> None:
    """A file whose limits alone are wrong goes on with what is in force; without a record it is refused as a whole."""
    path = with_scopes(tmp_path, scopes)
    line = path.read_text().splitlines().index(scopes.splitlines()[0]) + 1 + below
    with pytest.raises(ConfigurationError) as caught:
        load_portfolio(path)
    assert [part for part in (f"{path}:{line}: ", *parts) if part not in str(caught.value)] == []
    recorded = replace(load_portfolio(SHIPPED).limits, strategy={"gone": ScopedLimits(max_drawdown_bps=Decimal(7))})
    kept = load_portfolio(path, recorded=lambda: recorded)
    assert (kept.limits, kept.limits_problem) == (recorded, str(caught.value))
    assert len(kept.strategies) == 2
    with pytest.raises(ConfigurationError):
        load_portfolio(path, recorded=lambda: None)


def test_a_file_that_is_wrong_elsewhere_too_is_refused_whatever_is_recorded(tmp_path: Path) -> None:
    path = with_scopes(tmp_path, "[limits.strategy.ghost]")
    path.write_text(path.read_text().replace("allocation = 0.20", "allocation = 2"))
    with pytest.raises(ConfigurationError, match="allocation"):
        load_portfolio(path, recorded=lambda: load_portfolio(SHIPPED).limits)


def test_a_file_that_cannot_be_read_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TRADING_PORTFOLIO"):
        load_portfolio(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_portfolio(tmp_path / "binary.toml")


def test_parameters_are_values() -> None:
    """Plans travel to other processes and serve as keys, and nobody changes them on the way."""
    parameters = Parameters({"fast": 10, "share": Decimal("0.5")})
    assert pickle.loads(pickle.dumps(parameters)) == parameters  # noqa: S301 - our own
    assert hash(parameters) == hash(Parameters({"share": Decimal("0.5"), "fast": 10}))
    with pytest.raises(TypeError):
        parameters["fast"] = 1  # type: ignore[index]
