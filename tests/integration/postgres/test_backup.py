"""A backup holds everything, comes back into an empty database or not at all, and shows no password on its way."""

import stat
from pathlib import Path

import psycopg
import pytest

from trading.adapters.postgres import backup
from trading.adapters.postgres.backup import back_up, bring_back
from trading.adapters.postgres.migrations import current, head
from trading.errors import ConfigurationError, DatabaseUnavailable

TABLE = "CREATE TABLE public.kept (id integer PRIMARY KEY, note text)"
NOTES = [(1, "COMMIT;"), (2, "ü\n\t\\")]


def rows(url: str) -> list[tuple[int, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT id, note FROM public.kept ORDER BY id").fetchall()


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(TABLE)
        connection.cursor().executemany("INSERT INTO public.kept VALUES (%s, %s)", NOTES)


def test_what_was_backed_up_comes_back_with_the_schema_that_refuses_changes(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    fill(database_url)
    path = tmp_path / "backups" / "ledger.dump"
    assert back_up(database_url, path) == path.stat().st_size > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    bring_back(empty_database_url, path)
    assert rows(empty_database_url) == NOTES
    assert current(empty_database_url) == head()
    with psycopg.connect(empty_database_url) as connection:
        triggers = connection.execute("SELECT count(*) FROM pg_trigger WHERE tgname NOT LIKE 'RI_%'").fetchone()
        assert triggers is not None
        assert triggers[0] > 0


def test_no_backup_is_overwritten_and_no_filled_database_is_loaded_over(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.dump"
    back_up(database_url, path)
    with pytest.raises(ConfigurationError, match="exists: expected the name of a new file"):
        back_up(database_url, path)
    with pytest.raises(ConfigurationError, match="expected an empty one"):
        bring_back(database_url, path)


def test_a_cut_archive_leaves_the_database_empty(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    fill(database_url)
    path = tmp_path / "ledger.dump"
    back_up(database_url, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ConfigurationError, match="as empty as before"):
        bring_back(empty_database_url, path)
    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'trading')"
        ).fetchone()
        assert found == (0,)


def test_a_password_is_on_no_command_line_and_in_no_environment_and_a_failure_leaves_no_file(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def watched(command, **options):
        seen.extend([*command, *options["env"].items()])
        assert Path(options["env"]["PGPASSFILE"]).read_text() == "*:*:*:*:hid\\:den\n"
        return backup.subprocess.CompletedProcess(command, 1, b"", b"first line\nno such server\n")

    monkeypatch.setattr(backup.subprocess, "run", watched)
    with pytest.raises(DatabaseUnavailable, match="was made: no such server") as caught:
        back_up(f"{database_url} password=hid:den", tmp_path / "ledger.dump")
    assert len(seen) > 5
    assert not any("den" in str(word) and "hid" in str(word) for word in [*seen, caught.value])
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_newer_than_the_programs_is_refused() -> None:
    assert backup._programs(15) == backup._programs(16) != backup._programs(18)
    with pytest.raises(ConfigurationError, match="use the server's own pg_dump"):
        backup._programs(99)
