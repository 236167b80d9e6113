"""`trading risk`: what is allowed and used, what would be denied, and changes only in a person's name."""

import hashlib
import json
from pathlib import Path

from tests.desk import Desk
from tests.unit.commands.conftest import Trading


def change(tmp_path: Path, old: str, new: str) -> str:
    """Edit the portfolio file; its new hash."""
    path = tmp_path / "portfolio.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_limit_is_shown_with_what_is_used_of_it(trading: Trading, desk: Desk) -> None:
    shown = json.loads(trading("risk", "show", "--json").out)
    limits = {(row["scope"], row["limit"]): row for row in shown["limits"]}
    assert limits["account", "max_orders_per_minute"]["used"] == 0
    assert limits["account", "max_order_notional"]["used"] is None
    assert len(shown["limits_hash"]) == 64
    assert trading("risk", "show").code == 0


def test_an_order_that_somebody_thinks_of_is_tried(trading: Trading, desk: Desk) -> None:
    """With what would deny it; nothing is planned by that."""
    order = ("--strategy", "sma", "--instrument", "BTC/USDT", "--side", "buy", "--quantity")
    (tried,) = json.loads(trading("risk", "test", *order, "99999", "--json").out)
    assert tried["verdict"] == "denied"
    assert "max_order_notional" in tried["codes"]
    assert desk.orders() == []
    assert trading("risk", "test", "--strategy", "sma").code == 2
    assert trading("risk", "test", *order, "0").code == 2
    assert trading("risk", "test", "--strategy", "x", *order[2:], "1").code == 78
    assert "no order" in trading("risk", "test").out


def test_limits_change_only_for_whoever_signs_for_the_file(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    """Shown first; then applied by its hash, and not by another one."""
    desk.limit()
    file_hash = change(tmp_path, "max_orders_per_minute = ", "max_orders_per_minute = 1")
    said = trading("risk", "apply")
    assert "max_orders_per_minute" in said.out
    assert file_hash in said.out
    assert "nothing was applied" in said.err
    assert trading("risk", "apply", "--yes", "ab" * 32, "--reason", "room").code == 78
    assert trading("risk", "apply", "--yes", file_hash).code == 2
    assert trading("risk", "apply", "--yes", file_hash, "--person", "ada", "--reason", "room").code == 0
    assert "nothing differs" in trading("risk", "apply").out


def test_refused_limits_leave_the_old_ones_and_are_named(trading: Trading, desk: Desk, tmp_path: Path) -> None:
    desk.limit()
    change(tmp_path, "max_orders_per_minute = ", "max_orders = ")
    said = trading("risk", "apply")
    assert said.code == 78
    assert "unknown key 'max_orders'" in said.err
    shown = json.loads(trading("risk", "show", "--json").out)
    assert "max_orders" in shown["not_in_force"]
    assert shown["limits_hash"] == desk.portfolio.limits.content_hash


def test_only_a_disabled_strategy_is_enabled(trading: Trading, desk: Desk) -> None:
    assert trading("risk", "enable", "sma", "--reason", " ").code == 2
    said = trading("risk", "enable", "sma", "--reason", "looked")
    assert said.code == 78
    assert "not disabled" in said.err
