"""`trading doctor`: each check on its own line, each failure with what to mend, and a code that scripts can read."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.unit.commands.conftest import Trading
from trading.commands import checkup, doctor
from trading.commands.checkup import Checkup, Verdict
from trading.domain.kill_switch import LatchState
from trading.domain.pools import pool_slots
from trading.errors import ExchangeUnavailable
from trading.manager import TradingManager

NAMES = [
    "Python",
    "settings",
    "portfolio",
    "secrets",
    "logs",
    "database",
    "audit log",
    "kill switch latch",
    "pools",
    "lease",
    "reconciliation",
    "alerts",
    "exchange",
    "conformance",
    "plugins",
    "Airflow",
]


@pytest.fixture
def healthy(desk: Desk, trading: Trading, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Everything well; the database is in memory, and Airflow's plugins are not imported each time."""
    trading("secrets", "init")

    def pipeline(config: object, *, clock: object, environ: dict[str, str]) -> TradingManager:
        return TradingManager.from_env(environ)

    monkeypatch.setattr(checkup, "TradingManager", pipeline)
    monkeypatch.setattr(checkup.migrations, "current", lambda _url: checkup.migrations.head())
    monkeypatch.setattr(checkup, "airflow_pools", lambda _url: pool_slots(8))
    monkeypatch.setattr(Checkup, "_plugins", lambda _self: "not imported here")
    monkeypatch.setattr(doctor, "SystemClock", lambda: desk.clock)
    control = desk.read(lambda books: books.control)
    monkeypatch.setattr(control, "latch", lambda: LatchState.ARMED)
    return desk


def verdicts(trading: Trading) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and each check's verdict and sentence."""
    said = trading("doctor", "--json")
    answer = json.loads(said.out)
    assert answer["ok"] is (said.code == 0)
    assert [check["name"] for check in answer["checks"]] == NAMES
    return said.code, {check["name"]: (check["verdict"], check["sentence"]) for check in answer["checks"]}


def test_a_healthy_desk(trading: Trading, healthy: Desk) -> None:
    """All good, but for Airflow, which nobody started: that is no failure."""
    code, found = verdicts(trading)
    assert code == 0
    assert {name for name, (verdict, _) in found.items() if verdict != Verdict.GOOD} == {"Airflow", "alerts"}
    assert found["Airflow"][0] == Verdict.SKIPPED
    assert "clocks differ by 0 ms" in found["exchange"][1]


def test_people_see_a_mark_and_a_sentence(trading: Trading, healthy: Desk) -> None:
    lines = trading("doctor").out.splitlines()
    assert [line[0] for line in lines] == ["·" if name in ("alerts", "Airflow") else "✓" for name in NAMES]
    assert [line[2:].split(":")[0] for line in lines] == NAMES


def broken_latch(desk: Desk, monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr(desk.read(lambda books: books.control), "latch", lambda: LatchState.DISABLED)


def no_pools(_: Desk, monkeypatch: pytest.MonkeyPatch, __: Path) -> None:
    monkeypatch.setattr(checkup, "airflow_pools", lambda _url: {"default_pool": 128})


def narrow_pool(_: Desk, monkeypatch: pytest.MonkeyPatch, __: Path) -> None:
    monkeypatch.setattr(checkup, "airflow_pools", lambda _url: pool_slots(8) | {"control": 1})


def expired_lease(desk: Desk, _: pytest.MonkeyPatch, __: Path) -> None:
    desk.clock.advance(181)


def stale_books(desk: Desk, _: pytest.MonkeyPatch, __: Path) -> None:
    desk.clock.advance(301)
    desk.lease()


def skewed_clock(desk: Desk, monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr(desk.market, "server_time", lambda: desk.clock.now() + timedelta(milliseconds=1_500))


def silent_venue(desk: Desk, monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    def silent() -> None:
        raise ExchangeUnavailable("binance at http://127.0.0.1:8900: no answer")

    monkeypatch.setattr(desk.market, "server_time", silent)


def old_schema(_: Desk, monkeypatch: pytest.MonkeyPatch, __: Path) -> None:
    monkeypatch.setattr(checkup.migrations, "current", lambda _url: "")


def open_secret(_: Desk, __: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "secrets" / "kill_switch_secret").chmod(0o644)


def refused_limits(desk: Desk, _: pytest.MonkeyPatch, folder: Path) -> None:
    desk.limit()
    path = folder / "portfolio.toml"
    path.write_text(path.read_text().replace("max_orders_per_minute", "max_orders"))


def wrong_portfolio(_: Desk, __: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "portfolio.toml").write_text("nonsense = 1")


def no_log_folder(_: Desk, __: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home" / "logs").write_text("a file where a folder should be")


@pytest.mark.parametrize(
    ("harm", "name", "parts"),
    [
        (broken_latch, "kill switch latch", ("disabled", "expected armed")),
        (no_pools, "pools", ("missing", "control, mapped", "start it again")),
        (narrow_pool, "pools", ("control (1 slots)", "expected control with 3")),
        (expired_lease, "lease", ("expired at 2026-03-02 12:03:02Z", "kill_switch")),
        (stale_books, "reconciliation", ("within 300 s", "trading reconcile")),
        (skewed_clock, "exchange", ("1500 ms", "at most 1000", "set the clock")),
        (silent_venue, "exchange", ("http://127.0.0.1:8900",)),
        (old_schema, "database", ("version none", "trading db migrate")),
        (open_secret, "secrets", ("kill_switch_secret", "chmod 600")),
        (wrong_portfolio, "portfolio", ("nonsense",)),
        (refused_limits, "portfolio", ("recorded limits stay in force", "max_orders")),
        (no_log_folder, "logs", ("logs", "not writable")),
    ],
)
def test_each_harm_is_found_and_named(
    *,
    trading: Trading,
    healthy: Desk,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    harm: Callable[[Desk, pytest.MonkeyPatch, Path], None],
    name: str,
    parts: tuple[str, ...],
) -> None:
    """The check that sees it fails with what to do; those that need it are not tried; the exit code is 1."""
    harm(healthy, monkeypatch, tmp_path)
    code, found = verdicts(trading)
    assert code == 1
    verdict, sentence = found[name]
    assert verdict == Verdict.BAD
    for part in parts:
        assert part in sentence


def test_where_airflow_s_tables_are_elsewhere_the_doctor_says_what_is_in_use(
    trading: Trading, healthy: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is another way to run it and no harm: the pause is asked for, and the halts that stand are named."""
    control = healthy.read(lambda books: books.control)
    monkeypatch.setattr(control, "latch", lambda: LatchState.NO_AIRFLOW_TABLES)
    monkeypatch.setattr(checkup, "airflow_pools", lambda _url: None)
    healthy.halt("rehearsal")
    code, found = verdicts(trading)
    assert code == 0
    verdict, sentence = found["kill switch latch"]
    assert verdict == Verdict.SKIPPED
    assert "asks Airflow before each order" in sentence
    assert "stands: rehearsal" in sentence
    assert found["pools"] == (
        Verdict.SKIPPED,
        "Airflow's tables are not in this database: its web UI shows them, under Admin",
    )


def test_before_the_set_up(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh clone the database's line says what to run, and what rests on it is not tried."""
    monkeypatch.setattr(Checkup, "_plugins", lambda _self: "not imported here")
    monkeypatch.setenv("TRADING_EXCHANGE_URL", "http://127.0.0.1:9")
    code, found = verdicts(trading)
    assert code == 1
    assert found["database"][0] == Verdict.BAD
    assert "run `make run` first" in found["database"][1]
    for name in ("kill switch latch", "lease", "reconciliation"):
        assert found[name] == (Verdict.SKIPPED, "not checked: database comes first")


def test_wrong_settings_stop_everything_else(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_MODE", "yolo")
    code, found = verdicts(trading)
    assert code == 1
    assert "yolo" in found["settings"][1]
    assert {verdict for name, (verdict, _) in found.items() if name not in ("Python", "settings")} == {Verdict.SKIPPED}
