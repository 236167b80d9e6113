"""The scanner for secrets finds a planted one in every sink, in each of eight encodings, and nothing in clean ones."""

import base64
import gzip
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests.canaries import ENCODINGS, Canaries, Hit, Sink, answers, database, files, output, processes
from trading.logging.json_logger import CustomJsonFormatter

#: Letters that each encoding writes in another way, and no run of twelve that another encoding leaves as it is.
SECRET = 'cañ"ary/+\\\\=?&: <9f3a>/"7c'
CANARIES = Canaries({"exchange_api_secret": SECRET})
WORN: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "url": lambda value: quote(value, safe=""),
    "base64": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "base64url": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "json": lambda value: json.dumps({"k": value}),
    "prefix": lambda value: value[:12],
}


def encodings_in(sink: Sink) -> set[str]:
    return {hit.encoding for hit in CANARIES.hits(sink)}


def test_eight_encodings_are_looked_for() -> None:
    assert list(ENCODINGS) == list(WORN)
    assert len(WORN) == 8


@pytest.mark.parametrize("encoding", WORN)
def test_each_encoding_is_found_in_a_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "clean.log").write_text("nothing to see")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "task.log").write_text(f"before {WORN[encoding](SECRET)} after")
    found = CANARIES.hits(files(tmp_path))
    assert Hit(str(tmp_path / "deep" / "task.log"), "exchange_api_secret", encoding) in found
    assert {hit.place for hit in found} == {str(tmp_path / "deep" / "task.log")}


def test_a_packed_file_is_opened_and_what_may_hold_secrets_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "old.log.gz").write_bytes(gzip.compress(SECRET.encode()))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "one").write_text(SECRET)
    found = CANARIES.hits(files(tmp_path, but=(tmp_path / "secrets",)))
    assert {hit.place for hit in found} == {str(tmp_path / "old.log.gz")}


@pytest.mark.postgres
@pytest.mark.parametrize("table", ["xcom", "rendered_task_instance_fields", "log"])
def test_each_encoding_is_found_in_a_table(database_url: str, table: str) -> None:
    """Also where the value is JSON, whose escapes a dump doubles."""
    before = CANARIES.hits(database(database_url))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE public.{table} (value jsonb, raw bytea)".encode())
        rows = [(json.dumps({"said": worn(SECRET)}), b"") for worn in WORN.values()]
        with connection.cursor().copy(f"COPY public.{table} FROM STDIN".encode()) as copy:
            for row in [*rows, (None, SECRET.encode())]:
                copy.write_row(row)
    found = CANARIES.hits(database(database_url))
    assert before == []
    assert {hit.place for hit in found} == {f"table public.{table}"}
    # In jsonb a quotation mark is escaped: plain and prefix are found as JSON. The bytea's hex is found as hex.
    assert {hit.encoding for hit in found} >= {"url", "base64", "base64url", "hex", "HEX", "json"}


@pytest.mark.parametrize("encoding", [name for name in WORN if name != "json"])
@pytest.mark.parametrize("where", ["cmdline", "environ"])
def test_each_encoding_is_found_in_a_process(encoding: str, where: str) -> None:
    worn = WORN[encoding](SECRET)
    command = [sys.executable, "-I", "-c", "import sys; print(flush=True); sys.stdin.read()"]
    process = subprocess.Popen(
        command + ([worn] if where == "cmdline" else []),
        env={"CANARY": worn} if where == "environ" else {},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # by now it is the program that was asked for
        assert Hit(f"{process.pid} {where}", "exchange_api_secret", encoding) in CANARIES.hits(processes())
    finally:
        process.communicate()


@pytest.fixture
def server() -> Iterator[Callable[[str, int], str]]:
    """An HTTP server that says what it is told to."""
    said: dict[str, tuple[int, str]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = said[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            return

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def will_say(text: str, status: int) -> str:
        said["/it"] = status, text
        return f"http://127.0.0.1:{httpd.server_port}/it"

    yield will_say
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize("encoding", WORN)
@pytest.mark.parametrize("status", [200, 500])
def test_each_encoding_is_found_in_an_answer(server: Callable[[str, int], str], encoding: str, status: int) -> None:
    assert encoding in encodings_in(answers([server(f"it is {WORN[encoding](SECRET)}.", status)]))
    assert CANARIES.hits(answers([server("all is well", status)])) == []


@pytest.mark.parametrize("encoding", WORN)
def test_each_encoding_is_found_in_what_a_command_prints(tmp_path: Path, encoding: str) -> None:
    """As `docker inspect` does."""
    (tmp_path / "said").write_text(WORN[encoding](SECRET))
    assert encoding in encodings_in(output(["cat", str(tmp_path / "said")]))


def test_a_search_of_nothing_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nothing was searched"):
        CANARIES.hits(files(tmp_path))


def test_a_hit_does_not_tell_the_secret(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(SECRET)
    assert SECRET not in repr(CANARIES.hits(files(tmp_path)))


def test_our_formatter_is_judged_by_it(tmp_path: Path) -> None:
    """A log without masking is found out."""
    import logging

    line = CustomJsonFormatter().format(logging.makeLogRecord({"msg": "it is %s", "args": (SECRET,)}))
    (tmp_path / "log").write_text(line)
    assert encodings_in(files(tmp_path)) >= {"json"}
