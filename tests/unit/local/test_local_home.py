"""The instance's folder: each way in which it cannot be used is one clear sentence."""

import os
from pathlib import Path

import pytest

from trading.errors import ConfigurationError
from trading.local.home import Home, RunState
from trading.local.processes import created_at_s


def state(pid: int, created: float) -> RunState:
    return RunState(
        pid=pid,
        created_at_s=created,
        started_at="2026-11-23T08:00:00Z",
        mode="replay",
        ui_port=8080,
        exchange_port=8900,
        phase="running",
    )


def test_a_missing_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    Home(tmp_path / "a" / "b").prepare()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a" / "b" / "run").is_dir()


def test_a_home_that_belongs_to_another_user_names_both_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(
        ConfigurationError, match=r"belongs to the user .* and this is the user with uid 12345.*TRADING_HOME"
    ):
        Home(tmp_path).prepare()


def test_a_home_that_is_a_file_says_that_it_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file cannot be created \(File exists\): set TRADING_HOME"):
        Home(tmp_path / "file").prepare()


def test_a_home_that_is_not_writable_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_arguments: object) -> None:  # root may write everywhere, so the system's refusal is played
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(ConfigurationError, match=r"is not writable \(Permission denied\): make it so .*TRADING_HOME"):
        Home(tmp_path).prepare()


def test_a_command_before_the_set_up_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing is set up in .*: run `make run` first"):
        Home(tmp_path).require_set_up()
    home = Home(tmp_path)
    home.prepare()
    home.acquire()
    home.require_set_up()


def test_the_lock_is_held_by_one_and_free_after_release(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.prepare()
    assert not second.is_running()
    first.acquire()
    first.write_state(state(os.getpid(), created_at_s(os.getpid()) or 0.0))
    assert second.is_running()
    with pytest.raises(ConfigurationError, match=rf"process {os.getpid()}, since 2026-11-23T08:00:00Z.*trading down"):
        second.acquire()
    first.release()
    assert not second.is_running()
    second.acquire()


def test_the_state_of_a_process_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.write_state(state(os.getpid(), 1.0))  # the number lives on, given to another process
    assert home.state() is None


def test_a_state_that_was_cut_short_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    (tmp_path / "run" / "instance.json").write_text('{"pid": 1')
    assert home.state() is None
