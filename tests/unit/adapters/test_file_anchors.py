"""Anchors in files: a line each, a file a month, whatever happened to the file before."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading.adapters.file_anchors import FileAnchors
from trading.domain.audit import Anchor, Chain, ChainHead, sign_anchor
from trading.errors import ConfigurationError

AT = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)


def anchor(sequence: int, at: datetime = AT) -> Anchor:
    return sign_anchor(ChainHead(chain=Chain.ORDER, account="a", sequence=sequence, hash="h" * 64), at, "s" * 32)


def test_what_was_added_is_read_in_its_order_over_months(tmp_path: Path) -> None:
    """A month's end begins another file; nothing that was written before is touched."""
    log = FileAnchors(tmp_path / "audit")
    assert log.newest() == []
    log.append([anchor(1)])
    before = (tmp_path / "audit" / "anchors-2026-03.jsonl").read_bytes()
    log.append([anchor(2), anchor(3, AT + timedelta(seconds=1))])
    assert log.read() == ([anchor(1), anchor(2), anchor(3, AT + timedelta(seconds=1))], [])
    assert (tmp_path / "audit" / "anchors-2026-03.jsonl").read_bytes().startswith(before)
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == [
        "anchors-2026-03.jsonl",
        "anchors-2026-04.jsonl",
    ]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "audit").iterdir()] == [0o600, 0o600]


def test_the_newest_are_found_without_reading_all(tmp_path: Path) -> None:
    """The tail of a long file begins within a line, which is no anchor and no error."""
    log = FileAnchors(tmp_path)
    log.append([anchor(number) for number in range(1, 501)])
    newest = log.newest()
    assert newest[-1] == anchor(500)
    assert 10 < len(newest) < 500


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    """After a power cut the next anchor begins a line of its own, and the torn one is named."""
    log = FileAnchors(tmp_path)
    log.append([anchor(1)])
    path = tmp_path / "anchors-2026-03.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "2026')
    log.append([anchor(2)])
    assert log.read() == ([anchor(1), anchor(2)], [f"{path}:2"])


def test_an_anchor_is_bound_to_all_that_it_says() -> None:
    """Another secret, or another word, and it is not genuine."""
    good = anchor(7)
    assert good.is_genuine("s" * 32)
    assert not good.is_genuine("t" * 32)
    for head in (
        ChainHead(chain=Chain.CONTROL, account="a", sequence=7, hash="h" * 64),
        ChainHead(chain=Chain.ORDER, account="b", sequence=7, hash="h" * 64),
        ChainHead(chain=Chain.ORDER, account="a", sequence=8, hash="h" * 64),
        ChainHead(chain=Chain.ORDER, account="a", sequence=7, hash="g" * 64),
    ):
        assert not Anchor(head=head, at=AT, mac=good.mac).is_genuine("s" * 32)
    assert not Anchor(head=good.head, at=AT + timedelta(microseconds=1), mac=good.mac).is_genuine("s" * 32)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"anchors-2026-03\.jsonl.*TRADING_HOME"):
        FileAnchors(tmp_path / "audit").append([anchor(1)])
