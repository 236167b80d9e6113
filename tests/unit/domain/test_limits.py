"""Limits by scope: the tightest binds, a document gives back exactly what it was made of, differences are named."""

from dataclasses import fields, replace
from decimal import Decimal

import pytest

from tests.desk import LIMITS
from trading.config.portfolio_tables import InstrumentLimitsTable, LimitsTable, StrategyLimitsTable
from trading.domain.limits import (
    INSTRUMENT_ONLY,
    STRATEGY_ONLY,
    Bound,
    LimitChange,
    Limits,
    ScopedLimits,
    limit_changes,
    loss_limit,
    table_of,
)
from trading.errors import InvariantViolation

SCOPED = replace(
    LIMITS,
    strategy={"sma": ScopedLimits(max_order_notional=Decimal("12.50"), max_daily_loss_bps=Decimal(50))},
    instrument={"BTC/USDT": ScopedLimits(max_order_notional=Decimal(99), max_orders_per_minute=3)},
)


def test_the_tightest_of_account_strategy_and_instrument_binds() -> None:
    def bound(strategy: str, instrument: str) -> Bound | None:
        return SCOPED.tightest("max_order_notional", strategy=strategy, instrument=instrument)

    assert bound("sma", "BTC/USDT") == Bound(limit=Decimal("12.50"), scope="strategy:sma")
    assert bound("other", "BTC/USDT") == Bound(limit=Decimal(99), scope="instrument:BTC/USDT")
    assert bound("other", "ETH/USDT") == Bound(limit=LIMITS.max_order_notional, scope="account")
    assert SCOPED.tightest("max_order_quantity", strategy="sma") is None


def test_a_strategy_s_loss_limit_is_never_wider_than_the_account_s() -> None:
    wide = replace(LIMITS, max_drawdown_bps=Decimal(5), strategy={"sma": ScopedLimits(max_drawdown_bps=Decimal(9))})
    assert loss_limit(wide, "max_drawdown_bps", "strategy:sma") == 5
    assert loss_limit(SCOPED, "max_daily_loss_bps", "strategy:sma") == 50
    assert loss_limit(SCOPED, "max_daily_loss_bps", "account:sma") == LIMITS.max_daily_loss_bps


def test_a_document_gives_back_the_limits_and_their_hash() -> None:
    """Exact to the digit, and the same whatever the order of its keys."""
    again = Limits.from_document(SCOPED.document)
    assert again == SCOPED
    assert again.content_hash == SCOPED.content_hash != LIMITS.content_hash


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"strategy": {}, "instrument": {}, "max_order_notional": "x"}'])
def test_a_document_that_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(InvariantViolation, match="recorded limits"):
        Limits.from_document(text)


def test_differences_name_scope_limit_before_and_after() -> None:
    after = replace(SCOPED, max_candle_age_s=7, instrument={})
    assert limit_changes(SCOPED, after) == [
        LimitChange(scope="account", name="max_candle_age_s", before="180", after="7"),
        LimitChange(scope="instrument:BTC/USDT", name="max_order_notional", before="99", after=""),
        LimitChange(scope="instrument:BTC/USDT", name="max_orders_per_minute", before="3", after=""),
    ]
    assert limit_changes(SCOPED, SCOPED) == []
    assert len(limit_changes(None, LIMITS)) == len(table_of(LIMITS)) - 2


def test_each_scoped_limit_is_one_of_the_account_s_with_the_same_bounds() -> None:
    """The tables of the file hold what the domain knows, and nothing else."""
    names = {one.name for one in fields(ScopedLimits)}
    assert set(StrategyLimitsTable.model_fields) == names - INSTRUMENT_ONLY
    assert set(InstrumentLimitsTable.model_fields) == names - STRATEGY_ONLY
    for table in (StrategyLimitsTable, InstrumentLimitsTable):
        for name, own in table.model_fields.items():
            whole = LimitsTable.model_fields[name]
            bounds = whole.metadata or [whole.annotation]
            assert all(str(bound) in str(own.annotation) for bound in bounds), name
