"""When the replay's candles end."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trading.local.replay_end import ReplayEnd

END = datetime(2026, 12, 1, tzinfo=UTC)


def remembered(home: Path) -> ReplayEnd:
    for name in ("run", "postgres", "exchange", "witness", "logs"):
        (home / name).mkdir()
    (home / "run" / "replay.json").write_text(json.dumps({"ends_at_ms": int(END.timestamp() * 1000)}))
    (home / "exchange" / "book.sqlite").write_text("book")
    return ReplayEnd(home)


def test_a_first_start_has_no_replay_that_ended(tmp_path: Path) -> None:
    assert not ReplayEnd(tmp_path).has_ended(END)


def test_it_ends_at_the_close_of_its_last_candle(tmp_path: Path) -> None:
    replay = remembered(tmp_path)
    assert replay.ends_at() == END
    assert not replay.has_ended(END - timedelta(milliseconds=1))
    assert replay.has_ended(END)


def test_the_ended_past_is_kept_aside_and_the_next_start_is_a_first_one(tmp_path: Path) -> None:
    replay = remembered(tmp_path)
    folder = replay.put_aside(END)
    assert (folder / "exchange" / "book.sqlite").read_text() == "book"
    assert (folder / "postgres").is_dir()
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "exchange").exists()
    assert not (tmp_path / "witness").exists()  # it remembers a ledger that is put aside
    assert (tmp_path / "logs").is_dir()
    assert not replay.has_ended(END)
