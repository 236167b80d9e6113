"""Room to write: what cannot be written down must not be sent."""

import errno
import os
from pathlib import Path
from typing import Final

from trading.errors import ConfigurationError, DiskFull

#: As much as one run's log lines need, with some to spare.
_PROBE: Final = b"\0" * 65_536
_PROBE_NAME: Final = ".room"


def require_room(folder: Path) -> None:
    """Write a little to the folder's disk, durably, and take it away again. Raises DiskFull that names the folder.

    Free space is not asked for: quotas, reserved blocks and inodes make it say what no write will find.
    """
    probe = folder / _PROBE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            _write_all(descriptor)
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"the disk of {folder} is full ({error.strerror}): nothing is sent, since nothing could be written"
                " down; make room there, or set TRADING_HOME to another disk"
            ) from None
        raise ConfigurationError(
            f"{folder} cannot be written ({error.strerror}), nothing is sent: make it writable, or set TRADING_HOME"
        ) from None


def _write_all(descriptor: int) -> None:
    left = memoryview(_PROBE)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)
