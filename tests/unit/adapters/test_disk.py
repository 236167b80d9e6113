"""A full disk on our side, as the kernel says it."""

from pathlib import Path

import pytest

from trading.adapters.disk import require_room
from trading.errors import ConfigurationError, DiskFull, Trouble

FULL = Path("/dev/full")


def test_a_disk_with_room_is_left_as_it_was(tmp_path: Path) -> None:
    """A folder that is not there yet is made, and nothing stays in it."""
    require_room(tmp_path / "logs")
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_named_with_its_folder(tmp_path: Path) -> None:
    """ENOSPC from the kernel itself, and a sentence that says what to do."""
    (tmp_path / ".room").symlink_to(FULL)
    with pytest.raises(DiskFull, match=f"the disk of {tmp_path} is full .*nothing is sent.*make room") as caught:
        require_room(tmp_path)
    assert caught.value.trouble is Trouble.DISK_FULL
    assert FULL.exists()


def test_a_folder_that_cannot_be_is_no_full_disk(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a folder should be")
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        require_room(tmp_path / "logs")
    assert caught.value.trouble is Trouble.OTHER
