"""From what happens in the real flows to what arrives over HTTP, with the ledger in memory and in PostgreSQL."""

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.alert_receiver import TOKEN, AlertReceiver
from tests.desk import Behind, Desk
from tests.examples import ACCOUNT, T0
from tests.unit.commands.conftest import PORTFOLIO
from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.alerting import Alerting
from trading.clock import ManualClock
from trading.config.settings import TradingConfig
from trading.domain.alerts import AlertKind
from trading.domain.ids import Run
from trading.domain.restore import Mark
from trading.errors import (
    DatabaseUnavailable,
    DiskFull,
    ExchangeUnavailable,
    OrderRejected,
    OutcomeUnknown,
    TradingError,
    Trouble,
)
from trading.flows.place import Place
from trading.logging.json_logger import setup_json_logging
from trading.logging.redaction import forget_secrets
from trading.manager import TradingManager

pytestmark = pytest.mark.alone
WITHIN_S = 15.0


@dataclass
class Scene:
    """A desk that trades, and a watcher beside it with its own way to the same ledger."""

    desk: Desk
    receiver: AlertReceiver
    watcher: Alerting
    secrets: Path
    another_watcher: Callable[[], Alerting]

    def await_title(self, words: str) -> float:
        return self.receiver.await_title(words, within_s=WITHIN_S, meanwhile=self.watcher.step)

    def until(self, reached: Callable[[], bool]) -> None:
        """Step until it is so."""
        deadline = time.monotonic() + WITHIN_S
        while not reached():
            assert time.monotonic() < deadline
            self.watcher.step()
            self.receiver.pause()

    def alerts(self) -> list[Any]:
        return self.desk.read(lambda books: books.alerts.recent(ACCOUNT, 100))


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    with AlertReceiver() as one:
        yield one


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def scene(
    request: pytest.FixtureRequest, receiver: AlertReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    clock = ManualClock(T0.replace(second=2))
    ledgers: list[PostgresLedger] = []
    store = None
    if request.param == "postgres":
        store = request.getfixturevalue("postgres_ledger")
        monkeypatch.setattr(PostgresBooks, "now", lambda _: clock.now())
    desk = Desk(clock=clock, store=store, volume=1_000_000.0).open()
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    write_secret(secrets / "alert_url", receiver.url)
    (tmp_path / "portfolio.toml").write_text(PORTFOLIO)
    environ = {
        "TRADING_HOME": str(tmp_path / "home"),
        "TRADING_SECRETS_DIR": str(secrets),
        "TRADING_PORTFOLIO": str(tmp_path / "portfolio.toml"),
        "TRADING_ACCOUNT": ACCOUNT,
    }

    def watcher() -> Alerting:
        manager = TradingManager(TradingConfig.from_env(environ), clock=clock, environ=environ)
        if request.param == "postgres":
            ledgers.append(PostgresLedger(request.getfixturevalue("database_url")))
        manager.__dict__["ledger"] = ledgers[-1] if ledgers else desk.store
        return Alerting(manager)

    yield Scene(desk, receiver, watcher(), secrets, watcher)
    for ledger in ledgers:
        ledger.close()
    forget_secrets()


def write_secret(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.write_text(content)


def traded(scene: Scene) -> Desk:
    """The desk a minute later, with positions."""
    desk = scene.desk
    desk.next_minute()
    desk.cycle()
    desk.next_minute()
    desk.lease()
    return desk


def ignoring(call: Callable[[], object]) -> None:
    """A flow that fails as it should."""
    with pytest.raises(TradingError):
        call()


def refuse_key(scene: Scene) -> None:
    desk = traded(scene)
    desk.decide(sma=(0.2, 0.1))

    def refuse(_: object) -> Any:
        raise OrderRejected("-2015", "binance refused the API key", Trouble.CREDENTIALS)

    desk.venue = Behind(desk.venue, submit=refuse)
    desk.cycle()


def lose_an_answer(scene: Scene) -> None:
    desk = traded(scene)
    desk.decide(sma=(0.2, 0.1))

    def lose(_: object) -> Any:
        raise OutcomeUnknown("no answer within 5 s")

    desk.venue = Behind(desk.venue, submit=lose)
    desk.cycle()


def deny_often(scene: Scene) -> None:
    desk = traded(scene)
    desk.limit(max_order_notional=Decimal(1))
    for minute in range(3):
        desk.decide(sma=(0.1 + minute / 10, 0.1))
        desk.cycle()
        desk.next_minute()


def run_wild(scene: Scene) -> None:
    """The venue refuses an order, and each decision wants the same one again."""
    desk = traded(scene)
    desk.limit(repeated_order_count=2, repeated_order_window_s=3_600)
    desk.decide(sma=(0.2, 0.1))

    def refuse(_: object) -> Any:
        raise OrderRejected("-1013", "refused")

    desk.venue = Behind(desk.venue, submit=refuse)
    for _ in range(3):
        desk.cycle()
        desk.next_minute()


def lose_rows(scene: Scene) -> None:
    at = scene.desk.clock.now()
    scene.desk.witness.write(Mark(run_id="gone", dag_id="place", flow="place", started_at=at, incarnation=99))
    scene.desk.reconcile()


def withdraw_by_hand(scene: Scene) -> None:
    desk = traded(scene)
    desk.memory_venue._purse.change("USDT", free=Decimal(-500))
    for _ in range(3):
        desk.reconcile()
        desk.clock.advance(25)
        desk.ingest()


def fall_silent(scene: Scene) -> None:
    scene.desk.clock.advance(400)


def fail_a_dag(scene: Scene) -> None:
    run = Run(run_id="place_orders__manual__7", dag_id="place_orders")
    scene.watcher.report_failure.run(run, "the DAG place_orders failed: task_failure")


def be_banned(scene: Scene) -> None:
    class Banned(ExchangeUnavailable):
        trouble = Trouble.BANNED

    def refuse() -> Any:
        raise Banned("binance banned this address until 12:30")

    scene.desk.market = Behind(scene.desk.market, server_time=refuse)
    for _ in range(3):
        ignoring(scene.desk.lease)
        scene.desk.clock.advance(61)


def fill_the_disk(scene: Scene) -> None:
    def full() -> None:
        raise DiskFull("the disk of /somewhere is full")

    desk = traded(scene)
    place = Place(
        desk.ledger,
        desk.venue,
        desk.market,
        desk.clock,
        account=ACCOUNT,
        portfolio=desk.portfolio,
        recv_window_ms=2000,
        require_room=full,
    )
    ignoring(lambda: place.run(desk.run_of("place")))


#: What makes each alert, and which words its title has. The ledger's own absence is tested apart.
CAUSES: Mapping[AlertKind, tuple[Callable[[Scene], object], str]] = {
    AlertKind.HALT_ENGAGED: (lambda scene: scene.desk.halt(), "trading is halted"),
    AlertKind.REFUSED_KEY: (refuse_key, "refuses the API key"),
    AlertKind.LOST_ROWS: (lose_rows, "lost rows"),
    AlertKind.DISCREPANCY_CONFIRMED: (withdraw_by_hand, "disagree"),
    AlertKind.OUTCOME_UNKNOWN: (lose_an_answer, "outcome is unknown"),
    AlertKind.DENIAL_BURST: (deny_often, "many orders are denied"),
    AlertKind.STRATEGY_DISABLED: (run_wild, "a strategy is disabled"),
    AlertKind.STALE_DATA: (fall_silent, "market data is stale"),
    AlertKind.LEASE_EXPIRED: (fall_silent, "the lease expired"),
    AlertKind.DAG_FAILED: (fail_a_dag, "a DAG run failed"),
    AlertKind.VENUE_AWAY: (be_banned, "keeps us out"),
    AlertKind.DISK_FULL: (fill_the_disk, "the disk is full"),
}


def test_every_kind_has_a_cause_here() -> None:
    assert {*CAUSES, AlertKind.LEDGER_AWAY} == set(AlertKind)


@pytest.mark.parametrize("kind", CAUSES)
def test_each_kind_arrives_within_15_seconds(scene: Scene, kind: AlertKind) -> None:
    """Once, with the command that looks closer, and with no other alert of its kind."""
    scene.watcher.step()
    assert scene.alerts() == []
    cause, words = CAUSES[kind]
    cause(scene)
    scene.await_title(words)
    (message,) = [one for one in scene.receiver.messages if words in one["title"]]
    assert "look closer: trading " in message["message"]
    assert f"docs/OPERATIONS.md#{kind}" in message["message"]
    scene.until(lambda: any(one.reached("alert_url") for one in scene.alerts() if one.kind is kind))
    for _ in range(3):
        scene.watcher.step()
    assert sum(words in title for title in scene.receiver.titles()) == 1


def test_the_end_of_a_halt_is_told(scene: Scene) -> None:
    """Ten seconds after the message before it at the earliest."""
    halt_id = scene.desk.halt()
    scene.await_title("trading is halted")
    scene.watcher.step()
    scene.desk.resume(halt_id)
    scene.desk.clock.advance(11)
    scene.await_title("over: the halt was released")


def test_a_halt_that_was_released_before_anybody_looked_is_told_all_the_same(scene: Scene) -> None:
    scene.desk.resume(scene.desk.halt())
    scene.await_title("trading is halted")


def test_a_burst_is_told_once_and_then_with_its_count(scene: Scene) -> None:
    """Thirty halts: one message with all that are there, and one for those that came within the ten seconds."""
    for _ in range(20):
        scene.desk.halt()
    scene.await_title("trading is halted (20)")
    for _ in range(10):
        scene.desk.halt()
        scene.watcher.step()
    scene.desk.clock.advance(10)
    scene.await_title("trading is halted (10)")
    assert len(scene.receiver.messages) == 2


def test_what_was_committed_and_not_sent_is_sent_by_whoever_comes_next(scene: Scene) -> None:
    """The first watcher dies between its commit and its sending; the next one is not told of the event again."""
    scene.desk.halt()
    dying = scene.watcher
    dying._read_again()
    assert dying._watch is not None
    assert dying._watch.run()
    dying._manager.close()
    if "ledger" in dying._manager.__dict__ and isinstance(dying._manager.ledger, PostgresLedger):
        assert scene.alerts()[0].deliveries == {}
    scene.watcher = scene.another_watcher()
    scene.await_title("trading is halted")


def test_a_channel_that_does_not_answer_holds_up_nothing(scene: Scene) -> None:
    """No look waits for it, no placing, and no other channel."""
    with AlertReceiver() as hanging:
        hanging.silent = True
        write_secret(scene.secrets / "alert_url_slow", hanging.url)
        desk = traded(scene)
        desk.decide(sma=(0.2, 0.1))
        scene.watcher.step()
        scene.desk.halt()
        scene.await_title("trading is halted")
        steps = []
        for _ in range(5):
            began = time.monotonic()
            scene.watcher.step()
            steps.append(time.monotonic() - began)
        assert max(steps) < 1.0, steps
        scene.desk.clock.advance(20)
        scene.watcher.step()
        problem = scene.alerts()[0].deliveries["alert_url_slow", False].problem
    assert problem == "no answer within 15 s"
    assert scene.alerts()[0].reached("alert_url")


def test_a_channel_that_refuses_is_tried_again_and_said_so(scene: Scene) -> None:
    """After five seconds, and the list says why."""
    scene.receiver.status = 503
    scene.desk.halt()
    scene.until(lambda: any(alert.deliveries for alert in scene.alerts()))
    assert scene.alerts()[0].deliveries["alert_url", False].problem == "it answered HTTP 503"
    scene.receiver.status = 200
    scene.watcher.step()
    assert scene.receiver.messages == []
    scene.desk.clock.advance(6)
    scene.await_title("trading is halted")


def test_a_ledger_that_is_away_is_told_without_it(scene: Scene) -> None:
    """From memory, and so is its return."""
    scene.watcher.step()
    ledger = scene.watcher._manager.ledger

    def away() -> Any:
        raise DatabaseUnavailable("the ledger in 127.0.0.1 broke a transaction off")

    scene.watcher._manager.__dict__["ledger"] = Behind(ledger, transaction=away)
    scene.watcher._read_at_s = None
    for _ in range(2):
        scene.watcher.step()
        scene.desk.clock.advance(6)
    scene.await_title("the ledger is out of reach")
    scene.watcher._manager.__dict__["ledger"] = ledger
    scene.watcher._read_at_s = None
    scene.watcher.step()
    scene.desk.clock.advance(11)
    scene.await_title("the ledger is back")


def test_no_part_of_an_address_is_in_a_log_the_outbox_or_an_error(scene: Scene) -> None:
    """Neither where it is delivered, nor where the channel refuses, nor where the URL is none."""
    stream = io.StringIO()
    setup_json_logging(None, "DEBUG", stream=stream)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    try:
        write_secret(scene.secrets / "alert_url_bad", f"nonsense://{TOKEN}/{TOKEN}")
        write_secret(scene.secrets / "alert_url_gone", f"json://ada:{TOKEN}@127.0.0.1:9/{TOKEN}-path")
        scene.watcher.step()
        scene.desk.halt(reason=f"somebody pasted {TOKEN} here")
        scene.await_title("trading is halted")
        scene.until(lambda: ("alert_url_gone", False) in scene.alerts()[0].deliveries)
    finally:
        setup_json_logging(None)
    assert scene.alerts()[0].deliveries["alert_url_gone", False].problem == "it could not be reached"
    assert "channel_unusable" in stream.getvalue()
    assert TOKEN not in stream.getvalue()
    assert TOKEN not in repr([alert.deliveries for alert in scene.alerts()])
    assert TOKEN not in str(scene.receiver.messages)
