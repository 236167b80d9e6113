"""The venue's filters, with the values that are shipped."""

import json
from decimal import Decimal
from typing import Any

import pytest

from trading.domain.order import Side
from trading.domain.venue_filters import OrderShape, VenueRules, failed_filter, venue_rules
from trading.errors import ConfigurationError
from trading.paper.opening import SAMPLE

D = Decimal


def shipped(symbol: str = "BTCUSDT") -> dict[str, Any]:
    info = json.loads((SAMPLE / "exchange_info.json").read_text(encoding="utf-8"))
    return next(entry for entry in info["symbols"] if entry["symbol"] == symbol)  # type: ignore[no-any-return]


def check(quantity: str, price: str | None, side: Side = Side.BUY, reference: str = "50000", **how: Any) -> str | None:
    shape = OrderShape(side=side, quantity=D(quantity), price=D(price) if price else None)
    values = {"open_orders": 0, **how}
    return failed_filter(shape, values.pop("rules", venue_rules(shipped())), reference_price=D(reference), **values)


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        ("0.001", "50000", None),
        ("0.001", "50000.01", None),
        ("0.001", "50000.001", "PRICE_FILTER"),
        ("0.001", "0.001", "PRICE_FILTER"),
        ("0.001", "1000000.01", "PRICE_FILTER"),
        ("0.001", "250000", None),
        ("0.001", "250000.01", "PERCENT_PRICE_BY_SIDE"),
        ("0.01", "9999.99", "PERCENT_PRICE_BY_SIDE"),
        ("0.000001", "50000", "LOT_SIZE"),
        ("0.001005", "50000", "LOT_SIZE"),
        ("9000.00001", "50000", "LOT_SIZE"),
        ("0.00019", "50000", "NOTIONAL"),  # 9.50 < 10
        ("0.0002", "50000", None),
        ("200", "50000", "NOTIONAL"),  # 10,000,000 > 9,000,000
        ("0.0002", None, None),
        ("0.00019", None, "NOTIONAL"),  # at the average price
        ("119.59195", None, "MARKET_LOT_SIZE"),  # the maximum is 119.59194335
        ("119", None, None),  # NOTIONAL's maximum is not for market orders; a step of 0 is unset
    ],
)
def test_each_filter_refuses_just_beyond_its_limit(quantity: str, price: str | None, expected: str | None) -> None:
    assert check(quantity, price) == expected


@pytest.mark.parametrize(("rests", "expected"), [(True, "MAX_NUM_ORDERS"), (False, None)])
def test_the_number_of_open_orders_is_limited_for_those_that_rest(rests: bool, expected: str | None) -> None:
    assert check("0.001", "50000", open_orders=200, rests=rests) == expected
    assert check("0.001", "50000", open_orders=199, rests=rests) is None


def test_buys_and_sells_have_price_limits_of_their_own() -> None:
    entry = shipped()
    by_side = next(item for item in entry["filters"] if item["filterType"] == "PERCENT_PRICE_BY_SIDE")
    by_side |= {"bidMultiplierUp": "1.2", "askMultiplierDown": "0.8"}
    rules = venue_rules(entry)
    assert check("0.01", "60000.01", Side.BUY, rules=rules) == "PERCENT_PRICE_BY_SIDE"
    assert check("0.01", "60000.01", Side.SELL, rules=rules) is None
    assert check("0.01", "39999.99", Side.SELL, rules=rules) == "PERCENT_PRICE_BY_SIDE"
    assert check("0.01", "39999.99", Side.BUY, rules=rules) is None


def test_the_filters_of_2021_mean_the_same_as_todays() -> None:
    today = shipped("SOLUSDT")
    old = {**today, "filters": [dict(item) for item in today["filters"]]}
    for item in old["filters"]:
        if item["filterType"] == "NOTIONAL":
            item |= {"filterType": "MIN_NOTIONAL", "applyToMarket": True}
        if item["filterType"] == "PERCENT_PRICE_BY_SIDE":
            item.clear()
            item |= {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2", "avgPriceMins": 5}
    expected = venue_rules(today)
    assert venue_rules(old) == VenueRules(
        **{name: getattr(expected, name) for name in VenueRules.__slots__ if name != "max_notional"}, max_notional=D(0)
    )


def test_an_instrument_without_a_price_filter_is_refused_by_name() -> None:
    entry = shipped()
    entry["filters"] = [item for item in entry["filters"] if item["filterType"] != "PRICE_FILTER"]
    with pytest.raises(ConfigurationError, match=r"BTCUSDT.*PRICE_FILTER"):
        venue_rules(entry)
