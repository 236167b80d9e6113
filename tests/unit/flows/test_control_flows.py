"""Halt, resume, lease, open account: anybody may stop; only a valid override, used once, lets go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.desk import Behind, Desk, DiedHere, constant, plan, portfolio
from tests.examples import ACCOUNT
from trading.domain.kill_switch import ControlKind, HaltLevel, LatchState
from trading.domain.order import OrderState, Side
from trading.domain.override import OverrideRefused
from trading.domain.scope import Scope
from trading.errors import CommitUnknown, ConfigurationError, ExchangeUnavailable, OutcomeUnknown, TradingHalted
from trading.flows.halt import Halt
from trading.flows.lease import LEASE
from trading.flows.report import Report

OTHER_KEY = "x" * 32


def history(desk: Desk) -> list[Any]:
    return desk.read(lambda books: books.control.history(ACCOUNT, 100))


def refusals(desk: Desk) -> list[str]:
    return [event.reason for event in history(desk) if event.kind is ControlKind.OVERRIDE_REFUSED]


def test_opening_an_account_halts_it_and_is_safe_to_repeat() -> None:
    """The first opening engages a halt; the second changes nothing, not even after a release."""
    desk = Desk()
    first = desk.open_account.run(desk.run_of("open_account"))
    assert (first.opened, len(first.halts), first.latch) == (True, 1, LatchState.NO_AIRFLOW_TABLES)
    desk.resume(first.halts[0].halt_id)
    second = desk.open_account.run(desk.run_of("open_account"))
    assert (second.opened, second.halts) == (False, ())


def test_a_halt_is_an_audit_row_with_author_and_reason() -> None:
    """Who stopped, why, in which run."""
    desk = Desk().open()
    desk.halt("the market is mad")
    event = history(desk)[0]
    assert (event.kind, event.author, event.reason) == (ControlKind.HALT_ENGAGED, "ada", "the market is mad")
    assert event.run_id.startswith("halt__")


def test_resume_releases_exactly_the_halt_that_was_signed() -> None:
    """Two halts stand; releasing one leaves the other, and trading stays forbidden until both ended."""
    desk = Desk().open()
    first, second = desk.halt("one"), desk.halt("two")
    desk.resume(first)
    assert [halt.halt_id for halt in desk.halts()] == [second]
    desk.evaluate()
    with pytest.raises(TradingHalted):
        desk.place()
    desk.resume(second)
    desk.place()
    assert len(desk.posts()) == 2


def test_a_token_works_once() -> None:
    """Used again, for the same halt or after a new one, it is refused, and the audit log keeps its hash alone."""
    desk = Desk().open()
    halt = desk.halt()
    token = desk.token(halt)
    desk.resume(halt, token_id="spent")
    with pytest.raises(OverrideRefused):
        desk.resume(halt, token_id="spent")
    newer = desk.halt()
    with pytest.raises(OverrideRefused):
        desk.resume(newer, token_id="spent")
    assert refusals(desk) == ["the token was used", "the token was used"]
    assert all(token not in str(event) for event in history(desk))
    assert all(event.detail["override_hash"] for event in history(desk) if event.kind is ControlKind.OVERRIDE_REFUSED)
    assert len(desk.halts()) == 1


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"key": OTHER_KEY}, "invalid token"),
        ({"key_id": "b"}, "unknown key id"),
        ({"environment": "live"}, "signed for environment"),
        ({"scope": "strategy:sma"}, "signed for scope strategy:sma"),
        ({"halt_id": 99}, "is not open"),
    ],
)
def test_a_bad_override_releases_nothing_and_all_refusals_look_alike(changes: dict[str, Any], cause: str) -> None:
    """Whatever is wrong, the message outside is the same; the cause is in the audit log, though the run rolled back."""
    desk = Desk().open()
    halt = desk.halt()
    with pytest.raises(OverrideRefused) as caught:
        desk.resume(**({"halt_id": halt} | changes))
    assert str(caught.value) == str(OverrideRefused("anything"))
    assert cause in refusals(desk)[0]
    assert [one.halt_id for one in desk.halts()] == [halt]


def test_an_expired_override_is_refused_by_the_databases_clock() -> None:
    """Eleven minutes after it was signed for ten."""
    desk = Desk().open()
    halt = desk.halt()
    issued = desk.clock.now().replace(microsecond=0) - timedelta(minutes=11)
    with pytest.raises(OverrideRefused):
        desk.resume(halt, issued_at=issued, expires_at=issued + timedelta(minutes=10))
    assert refusals(desk) == ["expired"]


def test_nothing_resumes_while_an_outcome_is_unknown() -> None:
    """A POST nobody knows the fate of stands in the way; its resolution opens it."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()

    def lost(_: Any) -> Any:
        raise OutcomeUnknown("timed out")

    desk.venue = Behind(desk.memory_venue, submit=lost)
    desk.place()
    desk.venue = desk.memory_venue
    halt = desk.halt()
    with pytest.raises(OverrideRefused):
        desk.resume(halt)
    assert "outcome unknown" in refusals(desk)[0]
    desk.clock.advance(30)
    desk.reconcile()
    desk.resume(halt)
    assert desk.halts() == ()


def test_nothing_resumes_while_a_discrepancy_is_confirmed() -> None:
    """The books disagree past the lag: the halt stays until they agree again."""
    desk = Desk().open()
    balances = desk.memory_venue.balances
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"ETH": balances()["USDT"]})
    desk.reconcile()
    desk.clock.advance(21)
    desk.reconcile()
    (halt,) = desk.halts()
    with pytest.raises(OverrideRefused):
        desk.resume(halt.halt_id)
    assert "discrepancies are open: ETH" in refusals(desk)[0]
    desk.venue = desk.memory_venue
    desk.reconcile()
    desk.resume(halt.halt_id)
    assert desk.halts() == ()


def test_a_death_while_releasing_releases_nothing() -> None:
    """Killed inside the transaction: the halt stands, and the same token still works once."""
    desk = Desk().open()
    halt = desk.halt()
    control = desk.memory_ledger._books.control

    def dies(*_: Any, **__: Any) -> None:
        control.release(*_, **__)
        raise DiedHere

    desk.memory_ledger._books.control = Behind(control, release=dies)  # type: ignore[assignment]
    with pytest.raises(DiedHere):
        desk.resume(halt, token_id="same")
    desk.memory_ledger._books.control = control
    assert len(desk.halts()) == 1
    desk.resume(halt, token_id="same")
    assert desk.halts() == ()


def test_the_lease_is_renewed_for_three_minutes_where_all_is_well() -> None:
    """Its end is the database's clock and three minutes."""
    desk = Desk().open()
    desk.next_minute()
    desk.lease()
    until = desk.read(lambda books: books.control.lease_expires_at(ACCOUNT))
    assert until == desk.clock.now() + LEASE


@pytest.mark.parametrize("skew_s", [1.001, -1.001])
def test_a_clock_that_is_off_lets_the_lease_run_out(skew_s: float) -> None:
    """Ahead or behind by more than a second: not renewed, and the run says so."""
    desk = Desk().open()
    before = desk.read(lambda books: books.control.lease_expires_at(ACCOUNT))
    desk.clock.advance(30)
    desk.market = Behind(desk.memory_market, server_time=lambda: desk.clock.now() + timedelta(seconds=skew_s))
    with pytest.raises(TradingHalted, match="clock"):
        desk.lease()
    assert desk.read(lambda books: books.control.lease_expires_at(ACCOUNT)) == before


def test_an_unreachable_venue_lets_the_lease_run_out() -> None:
    """Who cannot ask the venue's clock does not renew."""
    desk = Desk().open()
    before = desk.read(lambda books: books.control.lease_expires_at(ACCOUNT))
    desk.clock.advance(30)

    def down() -> Any:
        raise ExchangeUnavailable("HTTP 503")

    desk.market = Behind(desk.memory_market, server_time=down)
    with pytest.raises(ExchangeUnavailable):
        desk.lease()
    assert desk.read(lambda books: books.control.lease_expires_at(ACCOUNT)) == before


def test_an_absent_latch_is_armed_again() -> None:
    """An upgrade of Airflow dropped the trigger: the next renewal puts it back."""
    desk = Desk().open()
    armed: list[int] = []

    def arm() -> LatchState:
        armed.append(1)
        return LatchState.ARMED

    control = desk.memory_ledger._books.control
    desk.memory_ledger._books.control = Behind(  # type: ignore[assignment]
        control, latch=lambda: LatchState.ABSENT, arm_latch=arm
    )
    desk.lease()
    assert armed == [1]


def test_the_report_says_where_the_account_stands() -> None:
    """Equity is quote and positions at the last close: 64,985 + 249.75 * 100 + 999 * 10 = 99,950."""
    desk = Desk().open()
    desk.cycle()
    standing = Report(desk.ledger, account=ACCOUNT, portfolio=desk.portfolio).standing()
    assert standing.equity == 99_950
    assert (str(standing.state), standing.discrepancies, standing.open_orders) == ("running", 0, 0)
    assert standing.flow_counts["place"]["sent"] == 2
    assert sum(standing.strategy_equity.values()) == standing.equity


def test_a_failed_run_is_recorded_with_its_reason() -> None:
    """Whatever a flow raises, the run has an end, an outcome and a message."""
    desk = Desk()
    with pytest.raises(Exception, match="never opened"):
        desk.reconcile()
    record = desk.read(lambda books: books.runs.recent("reconcile", 1))[0]
    assert (record.outcome, record.ended_at) == ("failed", desk.clock.now())
    assert "never opened" in record.message


@pytest.mark.parametrize("scope", ["strategy:sma", "instrument:BTC/USDT"])
def test_a_halt_of_a_scope_stops_that_alone(scope: str) -> None:
    """The other strategy, or the other instrument, is sent; what is halted waits with the halt's number."""
    desk = Desk(portfolio_=portfolio(plan("sma"), plan("hold"))).open()
    halt_id = desk.halt(scope=scope)
    desk.evaluate()
    assert desk.place().counts["halted"] == 2
    halted = Scope.parse(scope)
    for order in desk.orders():
        of = {"account": ACCOUNT, "strategy": order.intent.strategy, "instrument": order.intent.instrument}
        assert (order.state is OrderState.PLANNED) == halted.covers(**of)
    waiting = next(order for order in desk.orders() if order.state is OrderState.PLANNED)
    said = desk.read(lambda books: books.orders.checks(waiting.client_order_id))[-1]
    assert f"halt {halt_id}" in said.figures["kill_switch.because"]


def test_a_pause_of_entries_lets_exposure_fall_and_not_rise() -> None:
    """What is held may be sold down to the new target; what is to be bought waits."""
    desk = Desk().open()
    desk.cycle()
    desk.halt(level=HaltLevel.PAUSE_ENTRIES)
    desk.next_minute()
    desk.decide(sma=(0.2, 0.5))
    desk.cycle()
    newest = {order.intent.instrument: order for order in desk.orders()[2:]}
    assert (newest["BTC/USDT"].intent.side, newest["BTC/USDT"].state) == (Side.SELL, OrderState.FILLED)
    assert (newest["ETH/USDT"].intent.side, newest["ETH/USDT"].state) == (Side.BUY, OrderState.PLANNED)


def test_a_halt_of_everything_is_every_accounts_and_one_of_an_unknown_account_is_refused() -> None:
    desk = Desk().open()
    desk.halt()
    assert len(desk.read(lambda books: books.control.halts("another"))) == 1
    with pytest.raises(ConfigurationError, match="was never opened"):
        desk.halt(scope="account:typo")
    assert len(desk.halts()) == 1


def test_a_run_that_halts_again_halts_once_until_that_halt_is_released() -> None:
    """A task that is retried, or a commit that nobody answered, leaves one halt; after its release a new one."""
    desk = Desk().open()
    flow, run = Halt(desk.ledger, desk.clock, account=ACCOUNT), desk.run_of("halt")

    def halted(**changes: Any) -> int:
        return flow.run(**{"run": run, "author": "ada", "reason": "enough", **changes}).halt_id

    first = halted()
    assert halted() == first
    others = {halted(reason="more"), halted(run=desk.run_of("halt")), halted(level=HaltLevel.PAUSE_ENTRIES)}
    assert len({first, *others}) == 4
    desk.resume(first)
    assert halted() not in {first, *others}


@pytest.mark.parametrize("stored", [True, False])
def test_a_halt_whose_commit_nobody_answered_stands_once(stored: bool) -> None:
    """The connection broke during COMMIT: whether it was stored is read, and it stands either way."""
    desk = Desk().open()
    ledger, broken = desk.ledger, []

    @contextmanager
    def transaction() -> Iterator[Any]:
        with ledger.transaction() as books:
            before = len(books.control.halts(ACCOUNT))
            yield books
            engaged = len(books.control.halts(ACCOUNT)) > before and not broken
            if engaged and not stored:
                broken.append(1)
                raise CommitUnknown("the connection broke")
        if engaged:
            broken.append(1)
            raise CommitUnknown("the connection broke")

    flow = Halt(Behind(ledger, transaction=transaction), desk.clock, account=ACCOUNT)
    report = flow.run(desk.run_of("halt"), author="ada", reason="enough")
    assert broken == [1]
    assert [halt.halt_id for halt in desk.halts()] == [report.halt_id]
