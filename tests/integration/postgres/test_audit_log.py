"""Whoever goes past the triggers is found: planted changes in a real PostgreSQL, each told by name and place."""
# ruff: noqa: S608 - what is planted is SQL made of constants

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from postgres_scenes import ACCOUNT, NOW, RUN, intent, open_account, walk
from psycopg.rows import dict_row

from trading.adapters.audit_file import header_line, item_line, read_items
from trading.adapters.file_anchors import FileAnchors
from trading.adapters.postgres.ledger import PostgresLedger
from trading.domain.audit import AuditReport, Break, BreakKind, Chain
from trading.domain.ids import chain_hash
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.order import OrderState
from trading.errors import DataError
from trading.flows.audit import Audit, verify_items

pytestmark = pytest.mark.postgres

SECRET = "a" * 43
_S = OrderState
_K = BreakKind
#: What goes past every trigger: a superuser who replays as a replica does.
PAST_TRIGGERS = "SET session_replication_role = replica"
EVENTS = 9


@dataclass
class Log:
    """A ledger with three orders of three events, and three halts; all of it anchored."""

    audit: Audit
    ledger: PostgresLedger
    url: str
    folder: Path

    def halt(self, account: str = ACCOUNT, kind: ControlKind = ControlKind.HALT_ENGAGED, seconds: int = 0) -> None:
        at = NOW + timedelta(seconds=seconds)
        event = ControlEvent(kind=kind, author="ada", reason="r", at=at, run_id="r", dag_id="d")
        with self.ledger.transaction() as books:
            (books.control.restore if kind is ControlKind.RESTORED else books.control.engage)(account, event)

    def plant(self, *statements: str) -> None:
        """As a superuser, past the triggers."""
        with psycopg.connect(self.url) as connection:
            for statement in (PAST_TRIGGERS, *statements):
                connection.execute(statement.encode())

    def breaks(self) -> list[tuple[BreakKind, str, int]]:
        report = self.audit.verify()
        assert report.broken == len([one for one in report.breaks if not one.explained])
        return [(one.kind, str(one.chain), one.sequence) for one in report.breaks if not one.explained]


@pytest.fixture
def log(postgres_ledger: PostgresLedger, database_url: str, tmp_path: Path) -> Log:
    open_account(postgres_ledger)  # which is a halt, too
    audit = Audit(postgres_ledger, FileAnchors(tmp_path / "audit"), account=ACCOUNT, secret=lambda: SECRET, page=4)
    log = Log(audit=audit, ledger=postgres_ledger, url=database_url, folder=tmp_path / "audit")
    with postgres_ledger.transaction() as books:
        for number in range(3):
            walk(books, intent(number), [_S.SUBMITTING, _S.ACCEPTED])
    log.halt()
    log.halt("*")
    audit.anchor()
    return log


def test_an_untouched_log_holds(log: Log) -> None:
    """Every order event and every control event is in one chain, each chain is anchored, and all of it verifies."""
    report = log.audit.verify()
    assert report.holds
    assert report.breaks == ()
    assert report.events == EVENTS + 3
    assert {(h.chain, h.account, h.sequence) for h in report.heads} == {
        (Chain.ORDER, ACCOUNT, EVENTS),
        (Chain.CONTROL, ACCOUNT, 2),
        (Chain.CONTROL, "*", 1),
    }
    assert report.anchors == 3
    with psycopg.connect(log.url) as connection:
        stored = connection.execute(
            "SELECT (SELECT count(*) FROM trading.order_event), (SELECT count(*) FROM trading.control_event)"
        ).fetchone()
    assert stored == (EVENTS, 3)


def test_anchoring_again_adds_nothing_until_something_happens(log: Log) -> None:
    """An anchor is added for each head that moved, and for no other."""
    log.audit.anchor()
    assert log.audit.verify().anchors == 3
    log.halt()
    log.audit.anchor()
    assert log.audit.verify().anchors == 4


def test_events_that_were_never_anchored_are_verified_as_well(log: Log) -> None:
    """What was added since the last anchor holds, and is no longer than its account's row says."""
    with log.ledger.transaction() as books:
        walk(books, intent(9), [_S.DENIED])
    assert log.breaks() == []
    log.plant("DELETE FROM trading.order_event WHERE chain_sequence > 9")
    assert log.breaks() == [(_K.HEAD_DIFFERS, "order", EVENTS + 2)]


@pytest.mark.parametrize(
    "change",
    ["reason = 'mended'", "at = at + interval '1 second'", "epoch = 7", 'detail = \'{"a": "b"}\'', "state = 'filled'"],
)
def test_a_changed_order_event_is_named(log: Log, change: str) -> None:
    """The one row that was changed is found, with the hash that it had and the one that it has now."""
    log.plant(f"UPDATE trading.order_event SET {change} WHERE chain_sequence = 5")
    (found,) = log.audit.verify().breaks
    assert (found.kind, found.chain, found.account, found.sequence) == (_K.ALTERED, Chain.ORDER, ACCOUNT, 5)
    assert found.event == f"{intent(1).client_order_id}/1"
    assert found.expected == row(log, 5)["hash"] != found.found


def test_a_changed_control_event_is_named(log: Log) -> None:
    """Likewise, in the log of controls."""
    log.plant("UPDATE trading.control_event SET author = 'nobody' WHERE account = '*'")
    (found,) = log.audit.verify().breaks
    assert (found.kind, found.chain, found.account, found.sequence, found.event) == (
        _K.ALTERED,
        Chain.CONTROL,
        "*",
        1,
        "3",
    )


def test_a_cut_tail_is_found_by_its_anchor(log: Log) -> None:
    """With the account's row set back as well nothing inside the database shows it; the anchor does."""
    log.plant(
        "DELETE FROM trading.order_event WHERE chain_sequence > 6",
        "UPDATE trading.account SET chain_sequence = 6, chain_head ="
        " (SELECT hash FROM trading.order_event WHERE chain_sequence = 6)",
    )
    assert log.breaks() == [(_K.CUT, "order", EVENTS)]


def test_a_chain_that_vanished_is_found_by_its_anchor(log: Log) -> None:
    """So is a chain of which nothing is left."""
    log.plant(
        "DELETE FROM trading.control_chain WHERE account = '*'", "DELETE FROM trading.control_event WHERE account = '*'"
    )
    assert log.breaks() == [(_K.CUT, "control", 1)]


def test_a_removed_event_leaves_a_gap(log: Log) -> None:
    """The event after it no longer follows."""
    log.plant("DELETE FROM trading.order_event WHERE chain_sequence = 4")
    assert log.breaks() == [(_K.OUT_OF_PLACE, "order", 5)]


def row(log: Log, place: int) -> dict[str, object]:
    with psycopg.connect(log.url, row_factory=dict_row) as connection:
        found = connection.execute("SELECT * FROM trading.order_event WHERE chain_sequence = %s", [place]).fetchone()
    assert found is not None
    return found


def test_an_inserted_event_is_found(log: Log) -> None:
    """Put at the end with a made-up hash it is named; put in between, it moves what comes after."""
    columns = "client_order_id, account, state, at, run_id, dag_id, reason, detail, code_version, previous_hash, hash"
    added = (
        f"INSERT INTO trading.order_event ({columns}, sequence, chain_sequence)"
        f" SELECT client_order_id, account, 'filled', at, run_id, dag_id, reason, detail, code_version, hash,"
        " md5(hash), sequence + 1, {place} FROM trading.order_event WHERE chain_sequence = {after}"
    )
    log.plant(added.format(place=10, after=9))
    assert log.breaks() == [(_K.ALTERED, "order", 10), (_K.HEAD_DIFFERS, "order", 9)]
    log.plant(
        "DELETE FROM trading.order_event WHERE chain_sequence = 10",
        "UPDATE trading.order_event SET chain_sequence = chain_sequence + 100 WHERE chain_sequence > 6",
        "UPDATE trading.order_event SET chain_sequence = chain_sequence - 99 WHERE chain_sequence > 6",
        added.format(place=7, after=6),
    )
    kinds = log.breaks()
    assert (_K.ALTERED, "order", 7) in kinds  # what was put in
    assert (_K.OUT_OF_PLACE, "order", 8) in kinds  # what it pushed away
    assert (_K.REPLACED, "order", 9) in kinds  # and the anchor, which remembers another event there


def test_a_chain_that_was_computed_anew_is_found_by_its_anchor(log: Log) -> None:
    """Who changes an event and mends every hash after it makes a chain that holds, but not the anchored one."""
    with log.ledger.transaction() as books:
        links = books.audit.page(Chain.ORDER, ACCOUNT, after=0, limit=100)
    previous, statements = "", []
    for link in links:
        facts = {**link.facts, "reason": "forged"} if link.sequence == 2 else dict(link.facts)
        own = chain_hash(previous, facts)
        statements.append(
            f"UPDATE trading.order_event SET reason = '{facts['reason']}', previous_hash = '{previous}', hash = '{own}'"
            f" WHERE chain_sequence = {link.sequence}"
        )
        previous = own
    log.plant(*statements, f"UPDATE trading.account SET chain_head = '{previous}'")
    assert log.breaks() == [(_K.REPLACED, "order", EVENTS)]


def test_an_altered_anchor_is_no_witness(log: Log) -> None:
    """A line of the file that was changed, or written with another secret, is named; so is one that is no line."""
    (path,) = log.folder.iterdir()
    assert path.name == "anchors-" + json.loads(path.read_text().splitlines()[0])["at"][:7] + ".jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace('"sequence":9', '"sequence":8'), "{torn", *lines[1:]]) + "\n")
    assert [kind for kind, _, _ in log.breaks()] == [_K.ANCHOR_ALTERED, _K.UNREADABLE_ANCHOR]
    other = Audit(log.ledger, FileAnchors(log.folder), account=ACCOUNT, secret=lambda: "b" * 43)
    assert {one.kind for one in other.verify().breaks} == {_K.ANCHOR_ALTERED, _K.UNREADABLE_ANCHOR}


def test_a_restore_explains_the_anchors_before_it_and_no_others(log: Log) -> None:
    """What a restore lost is told, beside who said that it was one; what happens after it is excused by nothing."""
    cut = (
        "DELETE FROM trading.order_event WHERE chain_sequence > {0}",
        "UPDATE trading.account SET chain_sequence = {0}, chain_head ="
        " (SELECT hash FROM trading.order_event WHERE chain_sequence = {0})",
    )
    log.plant(*(statement.format(6) for statement in cut))
    log.halt(kind=ControlKind.RESTORED, seconds=3600 * 24 * 3650)
    log.audit.anchor()
    report = log.audit.verify()
    assert report.holds
    assert [one.kind for one in report.breaks] == [_K.CUT]
    assert "says ada" in report.breaks[0].explained


def exported(log: Log, path: Path) -> list[bytes]:
    spans, items = log.audit.export(since=NOW - timedelta(days=1), until=NOW + timedelta(days=1), at=NOW)
    path.write_bytes(header_line(spans) + b"".join(item_line(item) for item in items))
    return path.read_bytes().splitlines(keepends=True)


def verified(path: Path, secret: str | None = SECRET) -> AuditReport:
    return verify_items(read_items(path), secret)


def test_an_export_is_verified_without_the_database(log: Log, tmp_path: Path) -> None:
    """The file alone shows the same events, the same heads, and that nothing is missing."""
    path = tmp_path / "export.jsonl"
    lines = exported(log, path)
    inside, outside = log.audit.verify(), verified(path)
    assert outside.holds
    assert (outside.events, set(outside.heads)) == (inside.events, set(inside.heads))
    assert len(lines) == 1 + 3 + 3 + inside.events  # the header, old and new anchors, events


Edit = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("edit", "kinds"),
    [
        (lambda lines: [*lines[:8], lines[8].replace(b"planned", b"denied"), *lines[9:]], {_K.ALTERED}),
        (lambda lines: lines[:-1], {_K.CUT}),
        (lambda lines: [*lines[:9], *lines[10:]], {_K.OUT_OF_PLACE}),
        (lambda lines: [*lines[:7], *lines[8:]], {_K.CUT}),
        (
            lambda lines: [*lines[:1], lines[1].replace(b'"sequence":9', b'"sequence":8'), *lines[2:]],
            {_K.ANCHOR_ALTERED},
        ),
    ],
    ids=["changed", "tail cut", "one removed", "head cut", "anchor changed"],
)
def test_an_export_that_was_touched_does_not_verify(
    log: Log, tmp_path: Path, edit: Edit, kinds: set[BreakKind]
) -> None:
    """Whatever is done to the file shows."""
    path = tmp_path / "export.jsonl"
    path.write_bytes(b"".join(edit(exported(log, path))))
    assert {one.kind for one in verified(path).breaks} >= kinds


def test_a_file_that_is_no_export_is_refused(tmp_path: Path) -> None:
    """With the line, and what was expected."""
    path = tmp_path / "other.jsonl"
    path.write_text('{"hello": 1}\n')
    with pytest.raises(DataError, match="line 1: expected a line that `trading audit export` wrote"):
        verified(path)


def test_a_break_says_where(log: Log) -> None:
    """A person reads the chain, the link, the event, what was expected and what was found."""
    log.plant("UPDATE trading.order_event SET reason = 'mended' WHERE chain_sequence = 5")
    (found,) = log.audit.verify().breaks
    assert isinstance(found, Break)
    assert str(found).startswith(
        f"altered: order chain of {ACCOUNT}, link 5, event {intent(1).client_order_id}/1: expected "
    )


def test_a_pause_is_chained_by_the_next_reconciliation(log: Log) -> None:
    """Nobody who stops trading waits for a chain; a run that lost the race for the lock leaves it to the other."""
    log.halt("*")
    assert [event.account for event in log.audit.unchained()] == ["*"]
    with log.ledger.transaction() as books:
        assert books.audit.extend() == 1
        assert books.audit.extend() == 0
    assert log.audit.unchained() == []
    assert log.breaks() == []


def test_the_order_facts_are_the_domains(log: Log) -> None:
    """What the verifier reads is what the writer hashed, name by name."""
    with log.ledger.transaction() as books:
        (event,) = books.audit.page(Chain.ORDER, ACCOUNT, after=1, limit=1)
        (_, second, _) = books.orders.events(intent(0).client_order_id)
    assert dict(event.facts) == dict(second.facts)
    assert RUN.run_id == event.facts["run_id"]
