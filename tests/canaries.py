"""Looks for secrets where none may be: every sink that a value can fall into, in every encoding that it may wear.

Written apart from the project's own masking, which it judges: it shares no code with trading.logging.redaction.
"""

import base64
import gzip
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

_PREFIX: Final = 12  # letters that give a secret away
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _base64(value: bytes, encode: Callable[[bytes], bytes]) -> list[bytes]:
    """Alone, or inside something longer, where the letters depend on what stands before."""
    found = []
    for lead in range(3):
        text = encode(b"\0" * lead + value).rstrip(b"=")
        # Letters at both ends hold bits of the neighbours.
        found.append(text[(0, 2, 3)[lead] : len(text) - ((lead + len(value)) % 3 > 0)])
    return found


#: Eight encodings: name → the texts to look for.
ENCODINGS: Final[Mapping[str, Callable[[bytes], list[bytes]]]] = {
    "plain": lambda value: [value],
    "url": lambda value: [
        urllib.parse.quote(value, safe="").encode(),
        urllib.parse.quote_plus(value).encode(),
    ],
    "base64": lambda value: _base64(value, base64.b64encode),
    "base64url": lambda value: _base64(value, base64.urlsafe_b64encode),
    "hex": lambda value: [value.hex().encode()],
    "HEX": lambda value: [value.hex().upper().encode()],
    "json": lambda value: [
        json.dumps(value.decode(), ensure_ascii=ascii_only)[1:-1].encode() for ascii_only in (True, False)
    ],
    "prefix": lambda value: [value[:_PREFIX]],
}


@dataclass(frozen=True)
class Hit:
    """A secret where none may be. It names secret and encoding, never the value."""

    place: str
    secret: str
    encoding: str


#: Where it was found, and what stands there.
Sink = Iterable[tuple[str, bytes]]


class Canaries:
    """Secrets by name, and the search for them. Short values are refused: they are found in every haystack."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        assert all(len(value) > _PREFIX for value in secrets.values()), "a canary needs more than 12 letters"
        self._needles = [
            (name, encoding, needle)
            for name, value in secrets.items()
            for encoding, encode in ENCODINGS.items()
            for needle in encode(value.encode())
        ]

    @classmethod
    def of_folder(cls, folder: Path) -> "Canaries":
        """Every secret of a folder of secret files."""
        return cls({path.name: path.read_text().strip() for path in folder.iterdir() if path.is_file()})

    def hits(self, sink: Sink) -> list[Hit]:
        """Every secret in every place of a sink, each once by encoding. A sink without a single place is an error."""
        found: dict[Hit, None] = {}
        places = 0
        for place, content in sink:
            places += 1
            for name, encoding, needle in self._needles:
                if needle in content:
                    found[Hit(place, name, encoding)] = None
        assert places, "nothing was searched: expected a sink with at least one place"
        return list(found)


def files(*roots: Path, but: Sequence[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every regular file below `roots`: logs, books, configuration. `but`: files or folders that may hold secrets."""
    for root in roots:
        for path in sorted([root] if root.is_file() else root.rglob("*")):
            if path.is_symlink() or not path.is_file() or any(path.is_relative_to(each) for each in but):
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # a file of the moment
                continue
            yield str(path), gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def database(url: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, as `pg_dump` would write it: XCom, rendered fields and logs are tables of Airflow's."""
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(tables).fetchall():
            dump = sql.SQL("COPY {}.{} TO STDOUT").format(sql.Identifier(schema), sql.Identifier(table))
            with connection.cursor().copy(dump) as copy:
                content = b"".join(bytes(chunk) for chunk in copy)
            # COPY doubles backslashes, as in the escapes of JSON; a bytea's hex stays hex.
            yield f"table {schema}.{table}", content + b"\n" + content.replace(b"\\\\", b"\\")


def processes(proc: Path = Path("/proc")) -> Iterator[tuple[str, bytes]]:
    """Command line and environment of every process that may be looked at."""
    for folder in sorted(path for path in proc.iterdir() if path.name.isdigit()):
        for what in ("cmdline", "environ"):
            try:
                yield f"{folder.name} {what}", (folder / what).read_bytes()
            except OSError:  # it ended, or is somebody else's
                continue


def answers(urls: Iterable[str], headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, bytes]]:
    """What an HTTP server says at each address: status line aside, headers and body, of errors too."""
    for url in urls:
        request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - addresses of this machine
        try:
            with _OPENER.open(request, timeout=60) as answer:
                yield url, str(answer.headers).encode() + answer.read()
        except urllib.error.HTTPError as refused:
            yield url, str(refused.headers).encode() + refused.read()


def output(*commands: Sequence[str], environ: Mapping[str, str] = os.environ) -> Iterator[tuple[str, bytes]]:
    """What commands print on both streams, such as `docker inspect NAME`."""
    for command in commands:
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, env=dict(environ))
        yield " ".join(command), done.stdout + done.stderr
