"""Machine code is taken for new where any file that is a part of it has changed."""

from pathlib import Path

from trading.domain.compiled import fingerprint


def test_each_state_of_the_files_that_are_inlined_has_its_own_code(tmp_path: Path) -> None:
    """numba alone would look at the caller's file, and a backtest would go on with yesterday's checks."""
    (tmp_path / "backtest_kernel.py").write_text("a")
    (tmp_path / "backtest_checks.py").write_text("b")
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    (tmp_path / "backtest_checks.py").write_text("c")
    assert fingerprint(tmp_path) != before
    (tmp_path / "backtest_more.py").write_text("d")
    assert fingerprint(tmp_path) not in (before, "")
