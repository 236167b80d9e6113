"""Every hostile file that a secret may meet, as one table: refused by name, untold, and no decoy in its place."""

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from trading.config import secret_files
from trading.config.secret_files import MAX_BYTES, Policy
from trading.config.secrets import SecretsManager
from trading.errors import ConfigurationError

NAME = "kill_switch_secret"
CANARY = "canary-7f3a91c2d4e5b6a7-Zq0-93bd61"
DECOY = "decoy-that-would-do-very-well-0123456789"
RAW = CANARY.encode()


def content(raw: bytes, mode: int = 0o600) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(raw)
        path.chmod(mode)

    return write


def link_out(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    content(RAW)(outside / "other")
    path.symlink_to(outside / "other")


def relative_link_out(path: Path) -> None:
    link_out(path)
    path.unlink()
    path.symlink_to("../outside/other")


def linked_folder_out(path: Path) -> None:
    """Kubernetes' shape, whose ..data leads elsewhere."""
    link_out(path)
    path.unlink()
    (path.parent.parent / "outside" / "other").rename(path.parent.parent / "outside" / NAME)
    (path.parent / "..data").symlink_to(path.parent.parent / "outside")
    path.symlink_to(f"..data/{NAME}")


def listening(path: Path) -> None:
    """A socket's own path has a limit, so it is bound from within the folder."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def somebody_elses(path: Path) -> None:
    content(RAW)(path)
    os.chown(path, 12345, 12345)


#: What it is → how it is made, and what the refusal says. Of `strict` and `mounted` alike.
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (Path.mkdir, "not a regular file"),
    "a FIFO": (lambda path: os.mkfifo(path, 0o600), "not a regular file"),
    "a socket": (listening, "not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "leaves its folder"),
    "a link out": (link_out, "leaves its folder"),
    "a relative link out": (relative_link_out, "leaves its folder"),
    "a link out through ..data": (linked_folder_out, "leaves its folder"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "cannot be read"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "empty": (content(b""), "empty or blank"),
    "blank": (content(b" \t "), "empty or blank"),
    "one LF": (content(b"\n"), "empty or blank"),
    "one CRLF": (content(b"\r\n"), "empty or blank"),
    "two LF": (content(RAW + b"\n\n"), "newline inside"),
    "LF and CRLF": (content(RAW + b"\n\r\n"), "newline inside"),
    "a newline inside": (content(RAW + b"\n" + RAW), "newline inside"),
    "a CR inside": (content(RAW + b"\r" + RAW), "newline inside"),
    "a line separator": (content(RAW + "\u2028".encode()), "newline inside"),
    "a BOM": (content(b"\xef\xbb\xbf" + RAW), "byte order mark"),
    "NUL": (content(RAW + b"\0"), "control character"),
    "an escape sequence": (content(b"\x1b[2J" + RAW), "control character"),
    "DEL": (content(RAW + b"\x7f"), "control character"),
    "not UTF-8": (content(RAW + b"\xff"), "not valid UTF-8"),
    "UTF-16": (content(CANARY.encode("utf-16")), "not valid UTF-8"),
    "an encoded surrogate": (content(RAW + b"\xed\xa0\x80"), "not valid UTF-8"),
    "over 64 KiB": (content(b"c" * (MAX_BYTES + 1)), "larger than 65536 bytes"),
    "too short": (content(RAW[:31]), "too short"),
}
#: Refused where nothing but the file says who may read it; a platform that mounts has modes of its own.
STRICT: dict[str, tuple[Callable[[Path], None], str]] = {
    "0644": (content(RAW, 0o644), "mode 0644"),
    "0640": (content(RAW, 0o640), "mode 0640"),
    "0620": (content(RAW, 0o620), "mode 0620"),
    "0601": (content(RAW, 0o601), "mode 0601"),
    "another owner": (somebody_elses, "belongs to user 12345"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def refusal(folder: Path, name: str, policy: Policy, environ: dict[str, str]) -> str:
    """The error's text; neither it nor anything that hangs on it may hold the content."""
    with pytest.raises(ConfigurationError) as caught:
        SecretsManager((folder,), environ, policy).get_secret(name)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY[:12] not in "".join(traceback.format_exception(error))
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
    assert frames
    assert not any(CANARY in str(frame.f_locals) for frame in frames)
    return str(error)


@pytest.mark.parametrize("policy", ["strict", "mounted"])
@pytest.mark.parametrize("what", HOSTILE)
def test_refused_by_name_whoever_mounted_it(folder: Path, what: str, policy: Policy) -> None:
    make, complaint = HOSTILE[what]
    make(folder / NAME)
    for decoy in ({}, {NAME.upper(): DECOY}, {f"{NAME.upper()}_FILE": str(folder / "decoy")}):
        content(DECOY.encode())(folder / "decoy")
        message = refusal(folder, NAME, policy, decoy)
        assert complaint in message
        assert str(folder / NAME) in message


@pytest.mark.parametrize("what", STRICT)
def test_refused_by_name_where_the_file_itself_must_guard_it(folder: Path, what: str) -> None:
    make, complaint = STRICT[what]
    if what == "another owner" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    make(folder / NAME)
    message = refusal(folder, NAME, "strict", {NAME.upper(): DECOY})
    assert complaint in message
    assert str(folder / NAME) in message
    assert SecretsManager((folder,), {}, "mounted").get_secret(NAME).reveal() == CANARY


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_one_line_end_of_either_kind_is_no_part_of_it(folder: Path, ending: bytes) -> None:
    content(RAW + ending)(folder / NAME)
    assert SecretsManager((folder,), {}).get_secret(NAME).reveal() == CANARY


def test_a_missing_one_is_named_with_every_place(folder: Path) -> None:
    message = refusal(folder, NAME, "strict", {})
    for part in (repr(NAME), str(folder / NAME), NAME.upper(), f"{NAME.upper()}_FILE"):
        assert part in message


def test_a_folder_that_may_not_be_entered_is_no_missing_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the environment's decoy would be next; root enters every folder, so the system is made to say no."""

    def refuse(path: object, *_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(secret_files.os, "lstat", refuse)
    assert "cannot be reached: Permission denied" in refusal(folder, NAME, "strict", {NAME.upper(): DECOY})


@pytest.mark.parametrize("change", ["grows", "is cut", "is written over"])
def test_one_that_changes_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = folder / NAME
    content(RAW)(path)
    read = os.read

    def read_slowly(descriptor: int, size: int) -> bytes:
        chunk = read(descriptor, 8)
        if change == "grows":
            path.write_bytes(RAW + b"x")
        elif change == "is cut":
            os.truncate(path, 8)
        else:
            path.write_bytes(RAW[::-1])
            os.utime(path, ns=(1, 1))
        return chunk

    monkeypatch.setattr(secret_files.os, "read", read_slowly)
    assert "changed while it was read" in refusal(folder, NAME, "strict", {NAME.upper(): DECOY})


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../outside/other",
        "/etc/passwd",
        "KILL_SWITCH_SECRET",
        "a-b",
        "a b",
        "a\n",
        "a\0b",
        "ä",
        "x" * 65,
    ],
)
def test_a_name_that_is_a_path_or_no_plain_word_is_refused(folder: Path, name: str) -> None:
    content(RAW)(folder.parent / "other")
    assert f"bad secret name {name[:80]!r}" in refusal(folder, name, "strict", {name.upper() or "X": DECOY})


@pytest.mark.parametrize("bad", [f"{CANARY}\n{CANARY}", f"{CANARY}\x00", "", "   ", CANARY[:20]])
def test_the_environments_value_is_judged_as_a_files_is(folder: Path, bad: str) -> None:
    environ = {NAME.upper(): bad}
    message = refusal(folder, NAME, "strict", environ)
    assert NAME in message


def test_set_twice_and_different_is_refused(folder: Path) -> None:
    content(RAW)(folder / NAME)
    content(RAW[::-1])(folder / "elsewhere")
    assert "set twice" in refusal(folder, NAME, "strict", {NAME.upper(): DECOY})
    assert "set twice" in refusal(folder, NAME, "strict", {f"{NAME.upper()}_FILE": str(folder / "elsewhere")})
