"""After a restore, or a wipe at the venue, nothing is sent until somebody said so and the full history agrees."""

import copy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import ENVIRONMENT, HORIZON, KEYS, RECV_WINDOW_MS, Behind, Desk, constant
from tests.examples import ACCOUNT, BTC, T0
from trading.adapters.memory.ledger import MemoryLedger
from trading.adapters.memory.venue import MemoryVenue
from trading.adapters.memory.witness import MemoryWitness
from trading.domain.adoption import AdoptionRefused
from trading.domain.kill_switch import ControlKind
from trading.domain.order import OrderRequest, OrderState, OrderType, Side
from trading.domain.override import OverrideRefused
from trading.domain.reconciliation import SILENCE
from trading.domain.restore import AUTHOR, WIPED
from trading.errors import ConfigurationError, TradingHalted
from trading.flows.adopt import Adopt
from trading.flows.lease import RenewLease
from trading.flows.open_account import OpenAccount
from trading.flows.place import Place
from trading.flows.reconcile import Reconcile
from trading.flows.restored import Restored, RestoredReport
from trading.flows.resume import Resume

OLD: dict[str, Any] = {"account": ACCOUNT, "horizon": HORIZON}
BY_HAND = OrderRequest(
    client_order_id="by-hand",
    instrument=BTC.symbol,
    side=Side.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal(1),
    limit_price=None,
    signed_at=T0 + timedelta(seconds=2),
    recv_window_ms=2000,
)


def snapshot(desk: Desk) -> MemoryLedger:
    """A backup of the ledger: all of its rows, under the same clock."""
    return copy.deepcopy(desk.memory_ledger, {id(desk.clock): desk.clock})


def put_back(desk: Desk, backup: MemoryLedger) -> None:
    desk.ledger = desk.store = desk.memory_ledger = backup


def traded_on() -> tuple[Desk, MemoryLedger]:
    """A desk that traded, was backed up with a new decision ready, and then sent the orders of that decision."""
    desk = Desk(volume=1_000_000.0, weights={"sma": constant(0.5, 0.3)}).open()
    desk.next_minute()
    desk.cycle()
    desk.next_minute()
    desk.decide(sma=(0.3, 0.5))
    desk.lease()
    desk.ingest()
    desk.evaluate()
    assert desk.reconcile().clean
    backup = snapshot(desk)
    desk.place()
    assert desk.reconcile().clean
    assert len(desk.posts()) == 4
    return desk, backup


def restored(desk: Desk) -> RestoredReport:
    flow = Restored(desk.ledger, desk.clock, desk.witness, account=ACCOUNT)
    return flow.run(desk.run_of("restored"), person="ada", reason="disk failed")


def adopt(desk: Desk) -> Adopt:
    return Adopt(desk.ledger, desk.venue, desk.clock, **OLD)


def confirmed(desk: Desk) -> None:
    """Twice the full history, further apart than the visibility lag."""
    desk.reconcile(full=True)
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile(full=True)


def watch(desk: Desk) -> list[str]:
    return [halt.reason for halt in desk.halts() if halt.author == AUTHOR]


def refusals(desk: Desk) -> list[str]:
    history = desk.read(lambda books: books.control.history(ACCOUNT, 100))
    return [event.reason for event in history if event.kind is ControlKind.OVERRIDE_REFUSED]


def release_all(desk: Desk) -> None:
    desk.clock.advance(1)  # a token tells time in whole seconds
    for halt in desk.halts():
        desk.resume(halt.halt_id)


def test_a_ledger_that_was_put_back_is_noticed_before_anything_is_sent() -> None:
    """Placing halts with both sides' figures, and again however often it is tried; resuming alone helps nothing."""
    desk, backup = traded_on()
    remembered = desk.witness.read()
    put_back(desk, backup)
    for _ in range(2):
        with pytest.raises(TradingHalted, match="restored or replaced"):
            desk.place()
    assert remembered is not None
    (why,) = watch(desk)
    assert remembered.run_id in why
    assert "its newest run is reconcile of run" in why
    assert desk.witness.read() == remembered
    for halt in desk.halts():
        desk.resume(halt.halt_id)
    with pytest.raises(TradingHalted, match="restored or replaced"):
        desk.place()
    assert len(watch(desk)) == 1
    assert len(desk.posts()) == 4


def test_reconciling_a_ledger_that_was_put_back_halts_and_goes_on() -> None:
    """What it does know of is looked after; what is remembered outside stays an alarm."""
    desk, backup = traded_on()
    remembered = desk.witness.read()
    put_back(desk, backup)
    assert not desk.reconcile().clean
    assert len(watch(desk)) == 1
    assert desk.witness.read() == remembered


def test_another_ledger_than_the_one_that_is_remembered_is_noticed() -> None:
    """An empty database in the place of the old one opens its account, and sends nothing."""
    desk, _ = traded_on()
    put_back(desk, MemoryLedger(desk.clock))
    desk.open()
    desk.evaluate()
    with pytest.raises(TradingHalted, match="restored or replaced"):
        desk.place()
    assert len(desk.posts()) == 4


def test_a_fresh_machine_is_no_alarm() -> None:
    """Nothing is remembered there; from its first run on it is."""
    desk, _ = traded_on()
    desk.witness = MemoryWitness()
    desk.place()
    assert watch(desk) == []
    mark = desk.witness.read()
    assert mark is not None
    assert mark.flow == "place"


def test_what_cannot_be_remembered_is_not_sent() -> None:
    """The run stands outside before the first POST, or there is none."""
    desk = Desk().open()
    desk.evaluate()

    def full(_: Any) -> None:
        raise ConfigurationError("no space left on device")

    desk.witness = Behind(desk.witness, write=full)
    with pytest.raises(ConfigurationError):
        desk.place()
    assert desk.posts() == []


def test_an_order_of_ours_without_an_intent_proves_lost_rows_at_once() -> None:
    """On a machine that remembers nothing: the venue's own history tells whose fills those are."""
    desk, backup = traded_on()
    put_back(desk, backup)
    desk.witness = MemoryWitness()
    report = desk.reconcile()
    assert report.lost_orders == 2
    (why,) = watch(desk)
    assert "carries a name of ours, but the ledger has no intent for it" in why
    assert "trading db restored" in why
    with pytest.raises(TradingHalted):
        desk.place()
    assert len(desk.posts()) == 4


def test_lost_rows_are_not_adopted_before_ids_are_new() -> None:
    """Adopting first and going on in the old incarnation would send an id twice."""
    desk, backup = traded_on()
    put_back(desk, backup)
    desk.witness = MemoryWitness()
    desk.reconcile()
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile()
    shown = adopt(desk).preview()
    assert any("carries a name of ours" in obstacle for obstacle in shown.obstacles)
    with pytest.raises(AdoptionRefused, match="carries a name of ours"):
        adopt(desk).run(desk.run_of("adopt"), person="ada", reason="why not", expected=shown.adoption.content_hash)


def test_an_order_by_hand_is_no_sign_of_lost_rows() -> None:
    """Its name is another one: plainly external, and adoptable as ever."""
    desk = Desk(volume=1_000_000.0).open()
    desk.memory_venue.submit(BY_HAND)
    report = desk.reconcile()
    assert (report.discrepancies, report.lost_orders) == (2 + 1, 0)
    assert watch(desk) == []
    assert not any("name of ours" in obstacle for obstacle in adopt(desk).preview().obstacles)


def test_after_the_command_and_an_adoption_trading_goes_on_with_new_ids() -> None:
    """The whole way back: nothing is sent before it, no old id ever again, and both books agree at its end."""
    desk, backup = traded_on()
    before = {post.client_order_id for post in desk.posts()}
    put_back(desk, backup)
    with pytest.raises(TradingHalted):
        desk.place()
    report = restored(desk)
    assert {halt.halt_id for halt in desk.halts()} >= {report.halt_id}
    confirmed(desk)
    flow = adopt(desk)
    shown = flow.preview()
    assert shown.obstacles == ()
    flow.run(desk.run_of("adopt"), person="ada", reason="lost rows", expected=shown.adoption.content_hash)
    with pytest.raises(OverrideRefused):
        desk.resume(report.halt_id)
    assert "trading reconcile --full" in refusals(desk)[0]
    assert desk.reconcile(full=True).clean
    release_all(desk)
    desk.lease()
    desk.ingest()
    desk.place()
    sent = {post.client_order_id for post in desk.posts()} - before
    assert sent
    assert len(desk.posts()) == len(before) + len(sent)
    assert desk.reconcile().clean
    assert desk.totals() == desk.venue_totals()
    desk.next_minute()
    desk.cycle()
    assert desk.reconcile().clean
    assert watch(desk) == []


def test_the_command_is_one_event_in_the_audit_log() -> None:
    """Who, why, and both numbers; what was planned and not sent ends at the next placing."""
    desk, backup = traded_on()
    put_back(desk, backup)
    report = restored(desk)
    history = desk.read(lambda books: books.control.history(ACCOUNT, 10))
    (event,) = [one for one in history if one.kind is ControlKind.RESTORED]
    assert (event.author, event.reason) == ("ada", "disk failed")
    assert event.detail == {"incarnation_before": "1", "incarnation": str(report.incarnation)}
    account = desk.read(lambda books: books.accounts.get(ACCOUNT))
    assert (account.incarnation, account.restored_at) == (report.incarnation, event.at)


def test_a_second_restore_of_one_backup_never_brings_an_incarnation_back() -> None:
    """The backup counts from where it was; the clock does not."""
    desk, backup = traded_on()
    again = copy.deepcopy(backup, {id(desk.clock): desk.clock})
    put_back(desk, backup)
    first = restored(desk).incarnation
    desk.clock.advance(60)
    put_back(desk, again)
    desk.witness = MemoryWitness()
    assert restored(desk).incarnation > first


def test_an_override_that_was_signed_before_the_restore_releases_nothing() -> None:
    """It may have been used already in the rows that were lost, or name another halt by now."""
    desk, backup = traded_on()
    put_back(desk, backup)
    issued = desk.clock.now().replace(microsecond=0)
    desk.clock.advance(5)
    report = restored(desk)
    with pytest.raises(OverrideRefused):
        desk.resume(report.halt_id, issued_at=issued, expires_at=issued + timedelta(minutes=10))
    assert refusals(desk)[0].startswith("signed before the restore of")


def test_a_short_look_does_not_end_what_the_full_one_found() -> None:
    """After a restore a reconciliation of the last minutes is no clean bill, whatever it says."""
    desk, backup = traded_on()
    put_back(desk, backup)
    restored(desk)
    assert desk.reconcile(full=True).discrepancies
    found = desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT))
    short = desk.reconcile()
    assert not short.clean
    still = {(one.kind, one.key) for one in desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT))}
    assert {(one.kind, one.key) for one in found} <= still


def test_the_full_history_is_read_from_the_first_day_and_tells_how_far_it_has_come() -> None:
    """Orders and fills, by instrument and day."""
    desk = Desk().open()
    desk.clock.advance(2.5 * 86_400)
    asked: list[tuple[str, Any, Any]] = []

    def history(instrument: str, *, since: Any, until: Any) -> Any:
        asked.append((instrument, since, until))
        return desk.memory_venue.order_history(instrument, since=since, until=until)

    flow = Reconcile(
        desk.ledger, Behind(desk.memory_venue, order_history=history), desk.clock, rest=timedelta(minutes=1), **OLD
    )
    told: list[str] = []
    flow.run(desk.run_of("reconcile"), full=True, progress=told.append)
    opened_at = desk.read(lambda books: books.accounts.get(ACCOUNT)).opened_at
    mine = [(since, until) for symbol, since, until in asked if symbol == BTC.symbol]
    assert mine[0][0] == opened_at
    assert all(until - since <= timedelta(days=1) for since, until in mine)
    assert [until for _, until in mine[:-1]] == [since for since, _ in mine[1:]]
    assert mine[-1][1] > desk.clock.now()
    assert sum(line.startswith("BTC/USDT: orders until") for line in told) == 3
    assert sum(line.startswith("BTC/USDT: fills until") for line in told) == 6  # they are read twice


def wipe(desk: Desk) -> None:
    """The venue forgets everything, and gives out its money again."""
    desk.venue = desk.memory_venue = MemoryVenue(desk.memory_market, desk.clock, {"USDT": Decimal(100_000)})


def wiped() -> Desk:
    desk = Desk(volume=1_000_000.0).open()
    desk.next_minute()
    desk.cycle()
    desk.clock.advance(HORIZON.visibility_lag_s + HORIZON.clock_skew_s + 1)
    assert desk.reconcile().clean
    wipe(desk)
    return desk


def test_a_wiped_venue_is_called_by_its_name() -> None:
    """Fills that we booked are gone: nothing is sent from the first look on, and the halt says what to do."""
    desk = wiped()
    assert not desk.reconcile().clean
    desk.next_minute()
    desk.decide(sma=(0.5, 0.5))
    desk.lease()
    desk.ingest()
    desk.evaluate()
    assert desk.place().counts["deferred"] == 1
    assert desk.posts() == []
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile()
    (halt,) = desk.halts()
    assert WIPED in halt.reason
    assert "balance USDT: ours" in halt.reason


def test_a_wiped_venue_is_not_adopted() -> None:
    """Positions that nothing backs any more must not live on beside balances that agree."""
    desk = wiped()
    for _ in range(3):
        desk.reconcile()
        desk.clock.advance(SILENCE.total_seconds())
    shown = adopt(desk).preview()
    assert shown.obstacles == (WIPED,)
    with pytest.raises(AdoptionRefused, match="history was wiped"):
        adopt(desk).run(desk.run_of("adopt"), person="ada", reason="x", expected=shown.adoption.content_hash)


def test_fills_that_a_page_left_out_once_are_no_wipe() -> None:
    """A venue that tells of them again at the next look is taken at its word, and nothing halts."""
    desk = Desk(volume=1_000_000.0).open()
    desk.next_minute()
    desk.cycle()
    desk.clock.advance(HORIZON.visibility_lag_s + HORIZON.clock_skew_s + 1)
    desk.venue = Behind(desk.memory_venue, fills=lambda *_, **__: [])
    assert desk.reconcile().discrepancies == 2
    desk.venue = desk.memory_venue
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    assert desk.reconcile().clean
    assert desk.halts() == ()


def test_books_of_its_own_make_a_wiped_venue_agree() -> None:
    """Under a new account name: an opening balance, ids and fill numbers that meet no old one, and trading goes on."""
    desk = wiped()
    old = [order.client_order_id for order in desk.orders()]
    common: dict[str, Any] = {"account": "second"}
    opening = OpenAccount(desk.ledger, desk.clock, venue="memory", mode="replay", **common)
    opening.run(desk.run_of("open_account"))
    rest = timedelta(minutes=1)
    flow = Reconcile(desk.ledger, desk.venue, desk.clock, horizon=HORIZON, rest=rest, **common)
    assert flow.run(desk.run_of("reconcile")).clean
    first = desk.read(lambda books: books.control.halts("second"))[0]
    resume = Resume(desk.ledger, desk.clock, environment=ENVIRONMENT, keys=KEYS, **common)
    resume.run(desk.run_of("resume"), desk.token(first.halt_id))
    RenewLease(desk.ledger, desk.market, desk.clock, portfolio=desk.portfolio, **common).run(desk.run_of("lease"))
    desk.ingest()
    desk.evaluate()
    placing = Place(
        desk.ledger,
        desk.venue,
        desk.market,
        desk.clock,
        portfolio=desk.portfolio,
        recv_window_ms=RECV_WINDOW_MS,
        **common,
    )
    placing.run(desk.run_of("place"), lambda: False)
    assert len(desk.posts()) == 2
    assert not {post.client_order_id for post in desk.posts()} & set(old)
    assert flow.run(desk.run_of("reconcile")).clean
    states = {order.state for order in desk.read(lambda books: books.orders.recent("second", 10))}
    assert states == {OrderState.FILLED}
