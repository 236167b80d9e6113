"""One secret's file, read as if an adversary had written it.

Nothing here raises where content is at hand: what is wrong comes back as a sentence, and no traceback holds a value.
"""

import os
import stat
import unicodedata
from pathlib import Path
from typing import Final, Literal, TypeAlias

#: `strict`: a file belongs to us or to root and nobody else may read it. `mounted`: the platform's modes are tolerated.
Policy = Literal["strict", "mounted"]
#: What tells one state of a file from the next: device, inode, size, and when content and inode changed, in ns.
Identity: TypeAlias = tuple[int, int, int, int, int]

MAX_BYTES: Final = 64 * 1024

_FORBIDDEN: Final = frozenset({"Cc", "Zl", "Zp"})  # control characters, line and paragraph separators
_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


def identity(path: Path) -> Identity | None:
    """The state of what stands at `path`, links followed; None where nothing can be reached there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_text(path: Path, policy: Policy) -> tuple[str | None, str | None]:
    """(text, None), or (None, what is wrong), or (None, None) where nothing is there."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"cannot be reached: {error.strerror}"
    try:
        raw, fault = _read_bytes(path, policy)
        return None if raw is None else raw.decode("utf-8"), fault
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return None, "is not valid UTF-8"


def write_text(path: Path, text: str) -> None:
    """Put one line into `path` in one step, for its owner alone; whoever owned the old file owns the new one.

    Raises OSError.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if path.exists():
                old = path.stat()
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.write(f"{text}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def without_line_end(text: str) -> str:
    """`text` without one trailing LF or CRLF."""
    if text.endswith("\n"):
        return text[:-2] if text.endswith("\r\n") else text[:-1]
    return text


def fault_of_text(text: str) -> str | None:
    """What keeps `text` from being a secret: it must be one line of UTF-8 that is not blank."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "is not valid UTF-8"
    if len(text.encode()) > MAX_BYTES:
        return f"is larger than {MAX_BYTES} bytes"
    if text.startswith("\ufeff"):
        return "starts with a byte order mark: save it as UTF-8 without one"
    if not text.strip():
        return "is empty or blank"
    if any(unicodedata.category(character) in _FORBIDDEN for character in text):
        return "holds a control character or a newline inside: expected one line of text"
    return None


def _read_bytes(path: Path, policy: Policy) -> tuple[bytes | None, str | None]:
    """Up to MAX_BYTES of a regular file inside its folder that did not change meanwhile, or what is wrong with it.

    Kubernetes mounts secrets as links to a hidden folder beside them, so a link is followed as long as it stays inside.
    """
    target = Path(os.path.realpath(path, strict=True))
    if not target.is_relative_to(os.path.realpath(path.parent)):
        return None, "is a symbolic link that leaves its folder: put the file itself there"
    if not stat.S_ISREG(os.lstat(target).st_mode):  # before open(), which wakes devices
        return None, "is not a regular file"
    descriptor = os.open(target, _OPEN)
    try:
        before = os.fstat(descriptor)
        fault = _fault_of_status(before, policy)
        if fault:
            return None, fault
        raw = b""
        while chunk := os.read(descriptor, MAX_BYTES + 1 - len(raw)):
            raw += chunk
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(raw) != before.st_size:
        return None, "changed while it was read: try again"
    return raw, None


def _fault_of_status(status: os.stat_result, policy: Policy) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES} bytes"
    if policy == "mounted":
        return None
    if status.st_mode & 0o077:
        return f"may be read by others (mode {stat.S_IMODE(status.st_mode):04o}): run chmod 600 on it"
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to user {status.st_uid}: expected user {os.geteuid()} or root"
    return None
