"""What the books hold: tables for people, JSON whose money is text and whose times are RFC 3339."""

import io
import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.desk import Desk
from tests.unit.commands.conftest import Trading
from trading.commands.listing import Column, encoded, show

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def traded(desk: Desk) -> Desk:
    """A desk with two filled orders, of 500 BTC/USDT at 100 and 3,000 ETH/USDT at 10 or nearly so."""
    desk.next_minute()
    desk.cycle()
    return desk


def test_orders_as_json(trading: Trading, traded: Desk) -> None:
    said = trading("orders", "--json")
    rows = json.loads(said.out)
    assert {row["instrument"]: (row["side"], row["state"]) for row in rows} == {
        "BTC/USDT": ("buy", "filled"),
        "ETH/USDT": ("buy", "filled"),
    }
    for row, order in zip(rows, traded.orders()[::-1], strict=True):
        assert row["client_order_id"] == order.client_order_id
        assert Decimal(row["quantity"]) == order.intent.quantity
        assert isinstance(row["filled"], str)
        assert INSTANT.fullmatch(row["as_of"])
        assert row["limit_price"] is None


def test_fills_positions_and_balances_agree(trading: Trading, traded: Desk) -> None:
    """What was bought, less its fee, is the position and the balance, to the last digit and without exponents."""
    fills = json.loads(trading("fills", "--json").out)
    positions = json.loads(trading("positions", "--json").out)
    balances = json.loads(trading("balances", "--json").out)
    assert len(fills) == len(positions) == 2
    for fill in fills:
        base = fill["instrument"].split("/")[0]
        (position,) = (row for row in positions if row["instrument"] == fill["instrument"])
        (balance,) = (row for row in balances if row["currency"] == base)
        assert fill["fee_currency"] == base
        assert Decimal(position["quantity"]) == Decimal(fill["quantity"]) - Decimal(fill["fee"])
        assert balance == {"sub_account": "sma", "currency": base, "amount": position["quantity"]}
        assert Decimal(position["value"]) == Decimal(position["quantity"]) * Decimal(position["last_close"])


def test_open_orders_only(trading: Trading, traded: Desk) -> None:
    assert json.loads(trading("orders", "--open", "--json").out) == []
    assert trading("orders", "--open").out == "no order is open\n"


def test_a_limit_keeps_the_newest(trading: Trading, traded: Desk) -> None:
    (row,) = json.loads(trading("orders", "--limit", "1", "--json").out)
    assert row["client_order_id"] == traded.orders()[-1].client_order_id
    assert trading("orders", "--limit", "0").code == 2


def test_runs_by_flow(trading: Trading, traded: Desk) -> None:
    rows = json.loads(trading("runs", "--flow", "place", "--json").out)
    assert [(row["flow"], row["outcome"], row["counts"]["sent"]) for row in rows] == [("place", "done", 2)]
    said = trading("runs", "--flow", "plaice")
    assert said.code == 2
    assert "plaice" in said.err


@pytest.mark.parametrize("command", ["orders", "fills", "positions", "balances", "runs"])
def test_tables_for_people(trading: Trading, traded: Desk, command: str) -> None:
    """A head, a line a row, nothing cut where no terminal bounds the width, no white space at the ends."""
    lines = trading(command).out.splitlines()
    rows = json.loads(trading(command, "--json").out)
    assert len(lines) == len(rows) + 1
    assert "…" not in "".join(lines)
    assert [line.rstrip() for line in lines] == lines


@pytest.mark.parametrize("command", ["orders", "fills", "positions"])
def test_nothing_yet_is_said_in_words(trading: Trading, desk: Desk, command: str) -> None:
    said = trading(command)
    assert said.code == 0
    assert re.search(r"^no|^nothing", said.out)
    assert json.loads(trading(command, "--json").out) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Show one wide row on a terminal of so many columns; its lines."""

    def lines(width: int) -> list[str]:
        screen = Terminal()
        columns: list[Column[str]] = [
            Column("first", lambda row: row),
            Column("second", lambda row: row * 2, rank=1),
            Column("third", lambda row: row * 3, rank=2),
        ]
        with monkeypatch.context() as patched:
            patched.setenv("COLUMNS", str(width))
            patched.setenv("TERM", "xterm")
            patched.setattr(sys, "stdout", screen)
            show(["12345678"], columns, as_json=False, none="")
        return screen.getvalue().splitlines()

    return lines


def test_a_wide_terminal_gets_every_column(on_terminal: Callable[[int], list[str]]) -> None:
    assert on_terminal(80)[1].split() == ["12345678", "12345678" * 2, "12345678" * 3]


def test_a_narrow_terminal_gets_the_important_columns(
    on_terminal: Callable[[int], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The least important columns go first, no value is cut, and what is not shown is said."""
    assert on_terminal(40)[1].split() == ["12345678", "12345678" * 2]
    assert on_terminal(20)[1].split() == ["12345678"]
    assert "not shown for lack of width: second, third" in capsys.readouterr().err


def test_values_as_json() -> None:
    at = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
    value = {"money": Decimal("1E-8"), "at": at, "rows": (Decimal("1.50"), None, True), "n": 3}
    expected = {"money": "0.00000001", "at": "2026-03-02T12:00:00.123Z", "rows": ["1.5", None, True], "n": 3}
    assert encoded(value) == expected
