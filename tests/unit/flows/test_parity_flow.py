"""Parity: orders that the backtest's rules explain are equal, and each difference has its cause."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import Desk
from tests.examples import BTC, MINUTE, RUN, T0, fill, intent
from trading.domain.market import CandleSeries, to_ms
from trading.domain.matching import FeeModel, MatchingRules, SlippageModel, VolumeShareModel
from trading.domain.order import Order, OrderState
from trading.domain.parity import ParityLine, Quote, compared
from trading.errors import DataError
from trading.flows.parity import Parity, ParityReport
from trading.flows.parity_page import page

RULES = MatchingRules(base="BTC", quote="USDT", tick_size=BTC.tick_size, lot_step=BTC.lot_step)
QUOTE = Quote(open=Decimal(70_000), previous_volume=Decimal(100))


def report_of(desk: Desk, minutes: int) -> ParityReport:
    flow = Parity(desk.ledger, account="replay", fees=FeeModel(), slippage=SlippageModel(), share=VolumeShareModel())
    return flow.run(desk.portfolio.strategies[0], since=T0 - MINUTE, until=T0 + minutes * MINUTE)


def test_what_the_paper_exchange_did_is_what_the_backtest_says() -> None:
    """Orders of three minutes, filled whole and in part; the newest meets a candle that is stored a minute later."""
    desk = Desk(volume=500.0).open()
    for weights in ((0.5, 0.3), (0.1, 0.6), (0.0, 0.0)):
        desk.decide(sma=weights)
        desk.cycle()
        desk.next_minute()
    desk.ingest()
    report = report_of(desk, 2)
    assert [line.causes for line in report.lines] == [()] * len(report.lines)
    assert (report.equal, report.cost, report.closes, report.undecided) == (len(report.lines), 0, 3, {})
    assert any(line.live_filled < line.ordered for line in report.lines)
    assert "equal" in page(report)


def test_a_denied_order_and_a_missed_close_are_told() -> None:
    """With the check that denied it, and how many closes led to nothing."""
    desk = Desk().open()
    desk.limit(max_order_notional=Decimal(100))
    desk.cycle()
    for _ in range(3):
        desk.next_minute()
    desk.ingest()
    desk.evaluate()
    report = report_of(desk, 3)
    assert {line.causes[0].split(" ")[1] for line in report.lines} == {"max_order_notional"}
    assert list(report.by_cause) == ["denied"]
    assert report.undecided == {"missed": 2}
    with pytest.raises(DataError, match="sma decided nothing"):
        Parity(desk.ledger, account="replay", fees=FeeModel(), slippage=SlippageModel(), share=VolumeShareModel()).run(
            desk.portfolio.strategies[0], since=T0 - 9 * MINUTE, until=T0 - 5 * MINUTE
        )


def test_a_candle_that_shows_another_open_is_another_price() -> None:
    """What it cost is signed: live bought dearer."""
    desk = Desk().open()
    desk.cycle()
    desk.next_minute()
    desk.ingest()
    series = CandleSeries.from_rows([(to_ms(T0), 99.0, 101.0, 98.0, 100.0, 10_000.0)])
    with desk.store.transaction() as books:
        books.candles.upsert(BTC.symbol, "1m", series, at=desk.clock.now(), run=RUN)
    dearer = next(line for line in report_of(desk, 0).lines if line.instrument == BTC.symbol)
    assert dearer.causes[0].startswith("price path")
    assert dearer.cost > 0


def test_a_missing_candle_is_a_gap() -> None:
    """Nothing can be said of a price that nobody stored."""
    desk = Desk().open()
    desk.cycle()
    assert {line.causes for line in report_of(desk, 0).lines} == {("gap: the candle after the decision is missing",)}


def line_of(*fills: Any, **changes: Any) -> ParityLine:
    order = Order(
        intent=intent(quantity=Decimal("0.2")), state=OrderState.FILLED, sequence=3, changed_at=T0, signed_at=T0
    )
    return compared(replace(order, **changes), list(fills), QUOTE, RULES, MINUTE)


PRICE = Decimal("70014.00")


def test_causes_of_one_order() -> None:
    """Equal; late; another fee; not all of it; never accepted."""
    exact = fill(price=PRICE, fee=Decimal("0.0002"), filled_at=T0 + timedelta(seconds=3))
    assert line_of(exact).causes == ()
    assert line_of(exact).cost == 0
    late = line_of(replace(exact, price=Decimal(70_100), filled_at=T0 + timedelta(seconds=95)))
    assert late.causes == ("latency: filled 95 s after the close, in a later candle",)
    assert late.cost == Decimal("0.2") * 86 + Decimal("0.0002") * 86
    (cause,) = line_of(replace(exact, fee=Decimal("0.0001"))).causes
    assert cause.startswith("fee")
    (cause,) = line_of(replace(exact, quantity=Decimal("0.1"), fee=Decimal("0.0001"))).causes
    assert cause.startswith("partial fill")
    (cause,) = line_of(state=OrderState.NEVER_ACCEPTED).causes
    assert cause.startswith("never reached the venue")
