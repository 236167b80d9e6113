"""Anchors of the audit chains in files beside the logs: a line an anchor, a file a month, nothing is rewritten."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from trading.domain.audit import Anchor, Chain, ChainHead
from trading.errors import ConfigurationError

#: As much of the newest file as holds the last words of every chain.
_TAIL_BYTES: Final = 16_384


class FileAnchors:
    """AnchorLog in `folder`/anchors-YYYY-MM.jsonl, by the month in which an anchor was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, anchors: Sequence[Anchor]) -> None:
        """Add these, on the disk when this returns; one write, so that two writers never mix their lines."""
        for month in sorted({anchor.at.strftime("%Y-%m") for anchor in anchors}):
            path = self._folder / f"anchors-{month}.jsonl"
            lines = b"".join(anchor_line(one) for one in anchors if one.at.strftime("%Y-%m") == month)
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                is_new = not path.exists()
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    os.write(descriptor, _unbroken(descriptor) + lines)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                if is_new:
                    _sync_folder(self._folder)
            except OSError as error:
                raise ConfigurationError(
                    f"{path}, which keeps the audit log's anchors, cannot be written ({error.strerror}): make its"
                    " folder writable, or set TRADING_HOME"
                ) from None

    def newest(self) -> list[Anchor]:
        """The last ones of the newest file."""
        for path in reversed(self._paths()):
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                lines = file.read().splitlines()
            # The first line of a tail is the end of one that began before it.
            readable = [read_anchor(line) for line in (lines if size <= _TAIL_BYTES else lines[1:])]
            return [anchor for anchor in readable if anchor is not None]
        return []

    def read(self) -> tuple[list[Anchor], list[str]]:
        """All of them, oldest first, and where a line could not be read."""
        anchors, unreadable = [], []
        for path in self._paths():
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    anchor = read_anchor(line)
                    if anchor is not None:
                        anchors.append(anchor)
                    elif line.strip():
                        unreadable.append(f"{path}:{number}")
        return anchors, unreadable

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("anchors-????-??.jsonl"))


def anchor_line(anchor: Anchor) -> bytes:
    """An anchor as a line of JSON."""
    head = anchor.head
    facts = {
        "at": anchor.at.astimezone(UTC).isoformat(),
        "chain": head.chain.value,
        "account": head.account,
        "sequence": head.sequence,
        "hash": head.hash,
        "mac": anchor.mac,
    }
    return orjson.dumps(facts) + b"\n"


def read_anchor(line: bytes) -> Anchor | None:
    """The anchor of such a line; None where it is none."""
    try:
        facts = orjson.loads(line)
        head = ChainHead(
            chain=Chain(facts["chain"]),
            account=str(facts["account"]),
            sequence=int(facts["sequence"]),
            hash=str(facts["hash"]),
        )
        return Anchor(head=head, at=datetime.fromisoformat(facts["at"]).astimezone(UTC), mac=str(facts["mac"]))
    except (ValueError, TypeError, KeyError):
        return None


def _unbroken(descriptor: int) -> bytes:
    """A newline where the file ends within a line, as after a power cut."""
    size = os.fstat(descriptor).st_size
    return b"" if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"


def _sync_folder(folder: Path) -> None:
    """The new file's name is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
