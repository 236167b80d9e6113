"""What both ledgers promise of instruments, candles and decisions."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.examples import BTC, ETH, MINUTE, RUN, T0, candles, decision
from trading.domain.candles import RejectedCandle
from trading.domain.decision import Decision, DecisionStatus, Recorded
from trading.domain.ids import Run
from trading.domain.market import CandleSeries, to_ms
from trading.domain.replay import judged
from trading.errors import InvariantViolation
from trading.ports.candles import CandleChange
from trading.ports.ledger import Ledger

START = to_ms(T0)
LATER = Run(run_id="ingest_candles__2", dag_id="ingest_candles")


def store(ledger: Ledger, series: CandleSeries, symbol: str = BTC.symbol, timeframe: str = "1m") -> CandleChange:
    with ledger.transaction() as books:
        return books.candles.upsert(symbol, timeframe, series, at=T0, run=RUN)


def test_only_what_changed_becomes_a_new_version_of_an_instrument(ledger: Ledger) -> None:
    finer = replace(BTC, tick_size=Decimal("0.001"), trading=False, max_open_orders=200)
    with ledger.transaction() as books:
        assert books.instruments.all() == {}
        assert books.instruments.save([BTC, ETH], at=T0, run=RUN) == 2
        assert books.instruments.save([BTC, ETH], at=T0 + MINUTE, run=RUN) == 0
        assert books.instruments.save([replace(BTC, tick_size=Decimal("0.010"))], at=T0 + MINUTE, run=RUN) == 0
        assert books.instruments.save([finer, ETH], at=T0 + MINUTE, run=LATER) == 1
        assert books.instruments.save([finer], at=T0 + MINUTE, run=LATER) == 0
    with ledger.transaction() as books:
        assert books.instruments.all() == {BTC.symbol: finer, ETH.symbol: ETH}


def test_an_instrument_that_comes_back_to_what_it_was_is_a_version_again(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        for number, one in enumerate((BTC, replace(BTC, trading=False), BTC)):
            assert books.instruments.save([one], at=T0 + number * MINUTE, run=RUN) == 1
        assert books.instruments.all() == {BTC.symbol: BTC}


def test_candles_are_inserted_restated_or_left_alone(ledger: Ledger) -> None:
    assert store(ledger, candles(START, [10.0, 11.0, 12.0])) == CandleChange(inserted=3, revised=0)
    assert store(ledger, candles(START, [10.0, 11.0, 12.0])) == CandleChange(inserted=0, revised=0)
    restated = candles(START, [10.0, 11.5, 12.0, 13.0])
    assert store(ledger, restated) == CandleChange(inserted=1, revised=1)
    with ledger.transaction() as books:
        panel = books.candles.panel([BTC.symbol], "1m", until=T0 + 4 * MINUTE, candles=4)
        assert books.candles.count() == 4
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(panel, name)[:, 0].tolist() == getattr(restated, name).tolist()


def test_an_empty_series_changes_nothing(ledger: Ledger) -> None:
    assert store(ledger, CandleSeries.from_rows([])) == CandleChange(inserted=0, revised=0)
    with ledger.transaction() as books:
        assert books.candles.count() == 0


def test_every_bit_of_a_float_survives(ledger: Ledger) -> None:
    close = float(np.nextafter(0.1, 1))
    store(ledger, CandleSeries.from_rows([(START, 0.1, 1e300, 5e-324, close, 0.0)]))
    with ledger.transaction() as books:
        panel = books.candles.panel([BTC.symbol], "1m", until=T0 + MINUTE, candles=1)
    assert (panel.high[0, 0], panel.low[0, 0], panel.close[0, 0]) == (1e300, 5e-324, close)


@pytest.mark.parametrize(
    "row",
    [
        (10.0, 12.0, 9.0, float("nan"), 1.0),
        (10.0, float("inf"), 9.0, 10.0, 1.0),
        (10.0, 12.0, 0.0, 10.0, 1.0),
        (10.0, 12.0, 9.0, 10.0, -1.0),
        (10.0, 9.5, 9.0, 10.0, 1.0),
        (10.0, 12.0, 10.5, 11.0, 1.0),
        (10.0, 12.0, 9.0, 10.0, float("nan")),
    ],
    ids=["nan", "infinite", "zero", "negative volume", "high below open", "low above open", "nan volume"],
)
def test_an_insane_candle_is_refused_with_its_whole_series(ledger: Ledger, row: tuple[float, ...]) -> None:
    good = (START, 10.0, 12.0, 9.0, 10.0, 1.0)
    with pytest.raises(InvariantViolation):
        store(ledger, CandleSeries.from_rows([good, (START + 60_000, *row)]))  # type: ignore[list-item]
    with ledger.transaction() as books:
        assert books.candles.count() == 0


def test_a_series_that_names_one_period_twice_is_refused(ledger: Ledger) -> None:
    store(ledger, candles(START, [10.0]))
    with pytest.raises(InvariantViolation):
        store(ledger, CandleSeries.from_rows([(START, 10.0, 12.0, 9.0, 11.0, 1.0), (START, 10.0, 12.0, 9.0, 9.5, 1.0)]))


def test_the_newest_open_is_by_instrument_and_timeframe(ledger: Ledger) -> None:
    store(ledger, candles(START + 120_000, [10.0]))
    store(ledger, candles(START, [10.0]))
    store(ledger, candles(START, [20.0]), symbol=ETH.symbol)
    store(ledger, candles(START, [20.0]), timeframe="1h")
    with ledger.transaction() as books:
        newest = books.candles.newest_open_ms([ETH.symbol, "SOL/USDT", BTC.symbol], "1m")
        assert newest == {BTC.symbol: START + 120_000, ETH.symbol: START}
        assert books.candles.newest_open_ms([], "1m") == {}


def test_a_panel_lies_on_the_grid_with_nan_where_nothing_is_stored(ledger: Ledger) -> None:
    store(ledger, candles(START, [10.0, 11.0, 12.0, 13.0]).take(np.array([0, 2, 3])))
    store(ledger, candles(START + 60_000, [20.0]), symbol=ETH.symbol)
    with ledger.transaction() as books:
        panel = books.candles.panel(
            [ETH.symbol, "SOL/USDT", BTC.symbol], "1m", until=T0 + 3 * MINUTE + timedelta(seconds=59), candles=4
        )
    nan = float("nan")
    assert (panel.instruments, panel.timeframe) == ((ETH.symbol, "SOL/USDT", BTC.symbol), "1m")
    assert panel.open_ms.tolist() == [START - 60_000, START, START + 60_000, START + 120_000]
    expected = [[nan, nan, nan], [nan, nan, 10.0], [20.0, nan, nan], [nan, nan, 12.0]]
    np.testing.assert_array_equal(panel.close, np.array(expected))
    assert np.isnan(panel.volume[:, 1]).all()
    assert (panel.open_ms.dtype, panel.close.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize(("timeframe", "step_s"), [("1m", 60), ("1h", 3600), ("1d", 86400)])
def test_the_last_row_of_a_panel_closes_at_until_or_before(ledger: Ledger, timeframe: str, step_s: int) -> None:
    with ledger.transaction() as books:
        panel = books.candles.panel([BTC.symbol], timeframe, until=T0 + timedelta(seconds=1), candles=2)
    step_ms = step_s * 1000
    assert panel.open_ms.tolist() == [START // step_ms * step_ms - 2 * step_ms, START // step_ms * step_ms - step_ms]


def test_a_refused_candle_is_no_candle_and_is_kept_without_complaint_each_time(ledger: Ledger) -> None:
    rejected = [
        RejectedCandle(open_ms=START, values=(1.0, float("nan"), float("inf"), -1.0, 0.0), reason="insane"),
        RejectedCandle(open_ms=START + 1, values=(1.0, 1.0, 1.0, 1.0, 1.0), reason="off the grid"),
    ]
    for _ in range(2):
        with ledger.transaction() as books:
            books.candles.quarantine(BTC.symbol, "1m", rejected, at=T0, run=RUN)
    with ledger.transaction() as books:
        assert books.candles.count() == 0


def record(ledger: Ledger, one: Decision, run: Run = RUN) -> Recorded:
    with ledger.transaction() as books:
        return books.decisions.record(one, run)


def test_the_first_decision_for_an_as_of_wins(ledger: Ledger) -> None:
    assert record(ledger, decision()) is Recorded.FIRST
    assert record(ledger, decision(decided_at=T0 + MINUTE, reason="again", detail={}), LATER) is Recorded.SAME
    assert record(ledger, decision(weights={"BTC/USDT": Decimal("0.4")}), LATER) is Recorded.REVISION
    assert record(ledger, decision(weights={"BTC/USDT": Decimal("0.4")}), LATER) is Recorded.REVISION
    with ledger.transaction() as books:
        assert books.decisions.newest("sma") == replace(decision(), run_id=RUN.run_id)
        assert books.decisions.by_run(LATER.run_id) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"timeframe": "5m"},
        {"status": DecisionStatus.NO_SIGNAL},
        {"weights": {}},
        {"input_hash": "ee" * 32},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_differs_in_any_of_what_counts_is_a_revision(ledger: Ledger, changes: dict[str, Any]) -> None:
    record(ledger, decision())
    assert record(ledger, decision(**changes)) is Recorded.REVISION


def test_weights_are_equal_by_value_in_whatever_order_and_however_written(ledger: Ledger) -> None:
    record(ledger, decision())
    same = {"ETH/USDT": Decimal("0.000000"), "BTC/USDT": Decimal("0.500000")}
    assert record(ledger, decision(weights=same)) is Recorded.SAME


def test_a_decision_cannot_be_older_than_what_it_knows(ledger: Ledger) -> None:
    with pytest.raises(InvariantViolation):
        record(ledger, decision(decided_at=T0 - timedelta(seconds=1)))


def test_the_newest_decision_is_by_as_of_whatever_its_status(ledger: Ledger) -> None:
    missed = decision(
        as_of=T0 + 2 * MINUTE, decided_at=T0 + 5 * MINUTE, status=DecisionStatus.MISSED, weights={}, input_hash=""
    )
    record(ledger, missed, LATER)
    record(ledger, decision())
    record(ledger, decision(strategy="other", as_of=T0 + 3 * MINUTE, decided_at=T0 + 4 * MINUTE))
    with ledger.transaction() as books:
        assert books.decisions.newest("sma") == replace(missed, run_id=LATER.run_id)
        assert books.decisions.newest("nobody") is None


def test_the_decisions_of_a_run_come_in_the_order_in_which_it_made_them(ledger: Ledger) -> None:
    made = [decision(strategy=name, as_of=T0 - number * MINUTE) for number, name in enumerate(("b", "a", "c"))]
    with ledger.transaction() as books:
        for one in made:
            books.decisions.record(one, LATER)
    with ledger.transaction() as books:
        assert books.decisions.by_run(LATER.run_id) == [replace(one, run_id=LATER.run_id) for one in made]
        assert books.decisions.by_run("nobody") == []


def test_decisions_of_a_stretch_and_replays_by_run(ledger: Ledger) -> None:
    """since < as_of ≤ until, ascending; what a replay kept is its run's own, each line once."""
    made = [decision(as_of=T0 + minute * MINUTE, decided_at=T0 + minute * MINUTE) for minute in (2, 0, 1)]
    lines = [judged(one, None) for one in made[:2]]
    with ledger.transaction() as books:
        for one in made:
            books.decisions.record(one, RUN)
        books.replays.record(lines, LATER)
        books.replays.record(lines, LATER)
    with ledger.transaction() as books:
        found = books.decisions.between("sma", since=T0, until=T0 + 2 * MINUTE)
        assert [one.as_of for one in found] == [T0 + MINUTE, T0 + 2 * MINUTE]
        assert books.decisions.between("other", since=T0, until=T0 + 2 * MINUTE) == []
        assert books.replays.by_run(LATER) == lines[::-1]
        assert books.replays.by_run(RUN) == []
