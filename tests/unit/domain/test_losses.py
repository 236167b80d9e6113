"""Losses are measured by what one unit of money has become: deposits are no profit, withdrawals no loss."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import MINUTE, T0
from trading.domain.losses import EquityMark, breaches, first_mark, next_mark

FIRST = first_mark("account:replay", equity=Decimal(1_000), at=T0, position=0)


def later(before: EquityMark, equity: object, *, flow: object = 0, after: timedelta = MINUTE) -> EquityMark:
    return next_mark(before, equity=Decimal(str(equity)), flow=Decimal(str(flow)), at=before.at + after, position=1)


def test_a_loss_is_in_hundredths_of_a_percent_of_the_day_and_of_the_best() -> None:
    """1,000 → 1,250 → 1,125: 10 % below the best, and still above the day's start."""
    mark = later(later(FIRST, 1_250), 1_125)
    assert (mark.drawdown_bps, mark.daily_loss_bps) == (Decimal(1_000), 0)


def test_a_day_begins_where_the_last_one_ended() -> None:
    """The best outlives midnight UTC, the day's loss does not."""
    tomorrow = later(later(FIRST, 800), 760, after=timedelta(hours=12))
    assert tomorrow.day > FIRST.day
    assert (tomorrow.daily_loss_bps, tomorrow.drawdown_bps) == (Decimal(500), Decimal(2_400))


def test_money_paid_in_or_out_is_neither_profit_nor_loss() -> None:
    """A deposit hides no loss of before, and a withdrawal makes none."""
    lost = later(FIRST, 900)
    assert later(lost, 100_900, flow=100_000).daily_loss_bps == Decimal(1_000)
    assert later(lost, 1, flow=-899).daily_loss_bps == Decimal(1_000)


def test_a_remainder_that_is_filled_up_makes_no_loss_of_fees() -> None:
    """Half a cent, an allocation of 6,000 and a fee of 6 within one interval are a loss of 10 bps, no more."""
    mark = later(replace(FIRST, equity=Decimal("0.005")), "5994.005", flow=6_000)
    assert Decimal(9) < mark.daily_loss_bps < Decimal(11)


def test_a_total_loss_is_all_of_it_and_an_empty_scope_stands_still() -> None:
    assert later(FIRST, 0).drawdown_bps == Decimal(10_000)
    assert later(replace(FIRST, equity=Decimal(0)), 0).drawdown_bps == 0


def test_an_earlier_instant_changes_nothing() -> None:
    """Two machines whose clocks differ do not begin a day anew."""
    assert later(FIRST, 1, after=-MINUTE) is FIRST


def test_a_limit_includes_its_own_figure() -> None:
    mark = later(FIRST, 900)
    assert breaches(mark, max_daily_loss_bps=Decimal(1_000), max_drawdown_bps=Decimal(1_000)) == {}
    assert breaches(mark, max_daily_loss_bps=Decimal(999), max_drawdown_bps=Decimal(1_000)) == {
        "max_daily_loss": Decimal(1_000)
    }


amounts = st.decimals(1, 1_000_000, places=2)


@given(st.lists(st.tuples(amounts, st.decimals(-1_000, 1_000, places=2)), max_size=20))
def test_whatever_moves_only_losses_count(steps: list[tuple[Decimal, Decimal]]) -> None:
    """However money comes and goes: no gain is ever a drawdown, and a loss is between nothing and everything."""
    mark = FIRST
    for equity, flow in steps:
        before, mark = mark, later(mark, equity, flow=flow)
        assert 0 <= mark.drawdown_bps <= 10_000
        assert mark.drawdown_bps >= mark.daily_loss_bps - Decimal("0.0001")
        if equity >= before.equity + flow:
            assert mark.index >= before.index
