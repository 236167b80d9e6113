"""The PostgreSQL of `make run`: made once, found again, and ended, whatever happened before."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from trading.clock import SystemClock
from trading.local.embedded_postgres import EmbeddedPostgres, query, running_pid
from trading.local.supervisor import Stopping

pytestmark = pytest.mark.postgres


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trading-home-") as folder:
        path = Path(folder)
        yield path
        EmbeddedPostgres(home=path, clock=SystemClock()).stop()


def server(home: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(home=home, clock=SystemClock())


def test_a_first_start_makes_the_database_and_a_later_one_finds_its_rows(home: Path) -> None:
    url = server(home).start()
    assert url == f"postgresql://postgres@/trading?host={home.resolve()}/postgres"
    query(url, "CREATE TABLE t AS SELECT 42 AS answer")
    server(home).stop()
    assert not server(home).is_running()
    assert query(server(home).start(), "SELECT answer FROM t") == "42"


def test_a_server_that_outlived_its_starter_is_found_again(home: Path) -> None:
    program = (
        "import os, pathlib, sys; from trading.clock import SystemClock; "
        "from trading.local.embedded_postgres import EmbeddedPostgres; "
        "EmbeddedPostgres(home=pathlib.Path(sys.argv[1]), clock=SystemClock()).start(); os.kill(os.getpid(), 9)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program, str(home)], check=False, timeout=60).returncode
        == -signal.SIGKILL
    )
    survivor = running_pid(home.resolve() / "postgres")
    assert survivor is not None
    server(home).start()
    assert running_pid(home.resolve() / "postgres") == survivor


def test_a_killed_server_is_recovered_although_its_pid_file_names_a_living_stranger(home: Path) -> None:
    url = server(home).start()
    query(url, "CREATE TABLE t AS SELECT 42 AS answer")
    data = home.resolve() / "postgres"
    postmaster = psutil.Process(running_pid(data))
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=10)
    pid_file = data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert not server(home).is_running()
    assert query(server(home).start(), "SELECT answer FROM t") == "42"


def test_an_unfinished_first_start_is_begun_again(home: Path) -> None:
    unfinished = home / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    assert query(server(home).start(), "SELECT current_database()") == "trading"
    assert not unfinished.exists()


def test_a_home_whose_path_is_too_long_for_a_socket_works(home: Path) -> None:
    long = home / ("a" * 60) / ("b" * 60) / "and a space"
    long.mkdir(parents=True)
    postgres = server(long)
    try:
        url = postgres.start()
        assert str(long) not in url
        assert query(url, "SELECT 1") == "1"
    finally:
        postgres.stop()
    assert running_pid(long.resolve() / "postgres") is None


def test_a_home_with_a_space_in_its_name_works(home: Path) -> None:
    spaced = home / "My Projects"
    spaced.mkdir()
    postgres = server(spaced)
    try:
        url = postgres.start()
        assert url.endswith("/My%20Projects/postgres")
        assert query(url, "SELECT 1") == "1"
    finally:
        postgres.stop()


def test_nothing_starts_once_the_stop_has_begun(home: Path) -> None:
    postgres = server(home)
    postgres.stop()
    with pytest.raises(Stopping):
        postgres.start()
    assert not (home / "postgres").exists()
