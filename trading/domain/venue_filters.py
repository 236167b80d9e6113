"""A venue's own rules for what an order may look like, as Binance states and checks them. A limit of 0 is unset."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from trading.domain.money import EXACT, ZERO, amount, on_step
from trading.domain.order import Side
from trading.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueRules:
    """The filters of one instrument. Prices in quote, quantities in base."""

    symbol: str  # the venue's own: BTCUSDT
    base: str
    quote: str
    trading: bool
    order_types: tuple[str, ...]
    min_price: Decimal = ZERO
    max_price: Decimal = ZERO
    tick_size: Decimal = ZERO
    min_quantity: Decimal = ZERO
    max_quantity: Decimal = ZERO
    lot_step: Decimal = ZERO
    market_min_quantity: Decimal = ZERO
    market_max_quantity: Decimal = ZERO
    market_lot_step: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_notional: Decimal = ZERO
    min_notional_for_market: bool = False
    max_notional_for_market: bool = False
    bid_multiplier_up: Decimal = ZERO
    bid_multiplier_down: Decimal = ZERO
    ask_multiplier_up: Decimal = ZERO
    ask_multiplier_down: Decimal = ZERO
    average_price_minutes: int = 0
    max_open_orders: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderShape:
    """What the filters look at. `price` is None for a market order, which `reference_price` stands in for."""

    side: Side
    quantity: Decimal
    price: Decimal | None


def failed_filter(
    shape: OrderShape, rules: VenueRules, *, reference_price: Decimal, open_orders: int, rests: bool = True
) -> str | None:
    """The name of the first filter that refuses the order, or None.

    `reference_price` is the average price of the venue's last minutes; `open_orders` counts those of the account on
    this instrument. An order that cannot rest (market) is not counted against MAX_NUM_ORDERS.
    """
    price, quantity, market = shape.price, shape.quantity, shape.price is None
    in_lots = _quantity_fits(quantity, rules.min_quantity, rules.max_quantity, rules.lot_step)
    in_market_lots = _quantity_fits(
        quantity, rules.market_min_quantity, rules.market_max_quantity, rules.market_lot_step
    )
    checks = (
        ("PRICE_FILTER", price is None or _price_fits(price, rules)),
        ("PERCENT_PRICE_BY_SIDE", price is None or _near(shape.side, price, reference_price, rules)),
        ("LOT_SIZE", in_lots),
        ("MARKET_LOT_SIZE", not market or in_market_lots),
        ("NOTIONAL", _notional_fits(shape, reference_price, rules)),
        ("MAX_NUM_ORDERS", not rests or rules.max_open_orders == 0 or open_orders < rules.max_open_orders),
    )
    return next((name for name, fits in checks if not fits), None)


def _price_fits(price: Decimal, rules: VenueRules) -> bool:
    above = price >= rules.min_price
    below = rules.max_price == 0 or price <= rules.max_price
    return above and below and on_step(price, rules.tick_size)


def _near(side: Side, price: Decimal, reference: Decimal, rules: VenueRules) -> bool:
    buys = side is Side.BUY
    up = rules.bid_multiplier_up if buys else rules.ask_multiplier_up
    down = rules.bid_multiplier_down if buys else rules.ask_multiplier_down
    with localcontext(EXACT):
        return (up == 0 or price <= reference * up) and price >= reference * down


def _quantity_fits(quantity: Decimal, smallest: Decimal, largest: Decimal, step: Decimal) -> bool:
    return quantity >= smallest and (largest == 0 or quantity <= largest) and on_step(quantity, step)


def _notional_fits(shape: OrderShape, reference: Decimal, rules: VenueRules) -> bool:
    market = shape.price is None
    with localcontext(EXACT):
        notional = (reference if shape.price is None else shape.price) * shape.quantity
    big_enough = notional >= rules.min_notional or (market and not rules.min_notional_for_market)
    limited = rules.max_notional > 0 and (not market or rules.max_notional_for_market)
    return big_enough and not (limited and notional > rules.max_notional)


def venue_rules(symbol: Mapping[str, Any]) -> VenueRules:
    """The rules in one entry of `exchangeInfo`'s `symbols`, in today's shape of filters or in that of 2021."""
    filters = {entry["filterType"]: entry for entry in symbol["filters"]}
    name = symbol["symbol"]
    try:
        price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    except KeyError as missing:
        raise ConfigurationError(f"exchangeInfo of {name}: expected the filter {missing}, it is not there") from None
    market_lot = filters.get("MARKET_LOT_SIZE", {})
    return VenueRules(
        symbol=name,
        base=symbol["baseAsset"],
        quote=symbol["quoteAsset"],
        trading=symbol["status"] == "TRADING",
        order_types=tuple(symbol["orderTypes"]),
        min_price=amount(price["minPrice"]),
        max_price=amount(price["maxPrice"]),
        tick_size=amount(price["tickSize"]),
        min_quantity=amount(lot["minQty"]),
        max_quantity=amount(lot["maxQty"]),
        lot_step=amount(lot["stepSize"]),
        market_min_quantity=amount(market_lot.get("minQty", "0")),
        market_max_quantity=amount(market_lot.get("maxQty", "0")),
        market_lot_step=amount(market_lot.get("stepSize", "0")),
        max_open_orders=int(filters.get("MAX_NUM_ORDERS", {}).get("maxNumOrders", 0)),
        **_notional_limits(filters),
        **_price_multipliers(filters),
    )


def _notional_limits(filters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    today, before = filters.get("NOTIONAL"), filters.get("MIN_NOTIONAL", {})
    if today is None:
        return {
            "min_notional": amount(before.get("minNotional", "0")),
            "min_notional_for_market": bool(before.get("applyToMarket", False)),
        }
    return {
        "min_notional": amount(today["minNotional"]),
        "max_notional": amount(today.get("maxNotional", "0")),
        "min_notional_for_market": bool(today.get("applyMinToMarket", False)),
        "max_notional_for_market": bool(today.get("applyMaxToMarket", False)),
    }


def _price_multipliers(filters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    today, before = filters.get("PERCENT_PRICE_BY_SIDE"), filters.get("PERCENT_PRICE")
    entry = today or before or {}
    up, down = amount(entry.get("multiplierUp", "0")), amount(entry.get("multiplierDown", "0"))
    return {
        "bid_multiplier_up": amount(entry.get("bidMultiplierUp", up)),
        "bid_multiplier_down": amount(entry.get("bidMultiplierDown", down)),
        "ask_multiplier_up": amount(entry.get("askMultiplierUp", up)),
        "ask_multiplier_down": amount(entry.get("askMultiplierDown", down)),
        "average_price_minutes": int(entry.get("avgPriceMins", 0)),
    }
