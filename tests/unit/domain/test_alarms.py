"""What is no alarm: below the burst, within the patience, before the end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.examples import MINUTE, T0, event, intent
from trading.domain.alarms import DENIALS, Alarms, RunEnd, conditions
from trading.domain.alerts import AlertKind
from trading.domain.kill_switch import FIRST_HALT, ControlEvent, ControlKind
from trading.domain.order import Order, OrderState

QUIET = Alarms(at=T0, orders={}, newest_close_at={("1m", "BTC/USDT"): T0}, max_candle_age_s={"BTC/USDT": 180})
SECOND = timedelta(seconds=1)
HALT = ControlEvent(
    kind=ControlKind.HALT_ENGAGED, author="ada", reason="enough", at=T0, run_id="r1", dag_id="cli", halt_id=7
)


def kinds(alarms: Alarms) -> list[AlertKind]:
    return [one.kind for one in conditions(alarms)]


def denied(number: int) -> Alarms:
    order = Order(intent=intent(), state=OrderState.PLANNED, sequence=0, changed_at=T0)
    return replace(QUIET, order_events=[event(order, OrderState.DENIED, at=T0 - n * SECOND) for n in range(number)])


def kept_out(*minutes_ago: int, trouble: str = "banned") -> Alarms:
    runs = [
        RunEnd(flow="lease", run_id="r", ended_at=T0 - m * MINUTE, outcome="failed", trouble=trouble)
        for m in minutes_ago
    ]
    return replace(QUIET, runs=runs)


@pytest.mark.parametrize(
    ("below", "above", "kind"),
    [
        (denied(DENIALS - 1), denied(DENIALS), AlertKind.DENIAL_BURST),
        (kept_out(0, 1), kept_out(0, 1, 2), AlertKind.VENUE_AWAY),
        (kept_out(0, 1, 2, trouble=""), kept_out(0, 1, 2, trouble="maintenance"), AlertKind.VENUE_AWAY),
        (
            replace(QUIET, lease_expires_at=T0 + SECOND),
            replace(QUIET, lease_expires_at=T0),
            AlertKind.LEASE_EXPIRED,
        ),
        (
            replace(QUIET, newest_close_at={("1m", "BTC/USDT"): T0 - 3 * MINUTE}),
            replace(QUIET, newest_close_at={("1m", "BTC/USDT"): T0 - 3 * MINUTE - SECOND}),
            AlertKind.STALE_DATA,
        ),
        (
            replace(QUIET, newest_close_at={("1h", "BTC/USDT"): T0 - 61 * MINUTE}),
            replace(QUIET, newest_close_at={("1h", "BTC/USDT"): T0 - 61 * MINUTE - SECOND}),
            AlertKind.STALE_DATA,
        ),
        (
            replace(QUIET, history=[replace(HALT, reason=FIRST_HALT)]),
            replace(QUIET, history=[HALT]),
            AlertKind.HALT_ENGAGED,
        ),
        (
            replace(QUIET, history=[replace(HALT, at=T0 - 10 * MINUTE)]),
            replace(QUIET, history=[HALT]),
            AlertKind.HALT_ENGAGED,
        ),
    ],
)
def test_each_alarm_has_its_edge(below: Alarms, above: Alarms, kind: AlertKind) -> None:
    """One step before it nothing is told."""
    assert kinds(below) == []
    assert kinds(above) == [kind]


def test_a_signed_order_that_nobody_speaks_for_is_an_unknown_outcome() -> None:
    """Ten seconds after its signature, with the order's own figures."""
    order = Order(intent=intent(), state=OrderState.SUBMITTING, sequence=1, changed_at=T0 - 10 * SECOND)
    alarms = replace(QUIET, orders={order.client_order_id: order})
    (one,) = conditions(alarms)
    assert (one.kind, one.standing) == (AlertKind.OUTCOME_UNKNOWN, True)
    assert "buy 0.5 BTC/USDT of sma" in one.sentence
    assert conditions(replace(alarms, at=T0 - SECOND)) == []


def test_a_disabled_strategy_is_told_until_somebody_enables_it() -> None:
    """With the breaker's sentence, and the run that met it."""
    switched = replace(HALT, kind=ControlKind.STRATEGY_DISABLED, scope="strategy:sma", halt_id=None)
    (one,) = conditions(replace(QUIET, disabled={"sma": "the same order 4 times"}, history=[switched]))
    assert (one.kind, one.subject, one.run_id) == (AlertKind.STRATEGY_DISABLED, "sma", "r1")
    assert one.sentence == "sma: the same order 4 times"
    assert conditions(replace(QUIET, history=[switched])) == []


def test_a_halt_of_a_part_says_of_which() -> None:
    part = replace(HALT, scope="strategy:sma", detail={"level": "pause-entries"})
    assert (
        conditions(replace(QUIET, history=[part]))[0].sentence == "halt 7 by ada: pause-entries, strategy:sma: enough"
    )
