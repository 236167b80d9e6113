"""What may be sent in which state: the table of the controls, written out a second time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.examples import ACCOUNT, T0
from trading.domain.kill_switch import MAY_SEND, Answer, Halt, HaltLevel, TradingState, trading_state
from trading.domain.order import Purpose

TABLE = """
state          entry     rebalance  protective  flatten
running        yes       yes        yes         yes
pause-entries  no        yes        yes         yes
halt           no        no         yes         override
stale          deferred  deferred   yes         override
unreadable     no        no         no          no
"""
HEADER, *ROWS = (line.split() for line in TABLE.strip().splitlines())
HALT = Halt(halt_id=1, scope="all", author="ada", reason="test", engaged_at=T0)
PAUSED = replace(HALT, level=HaltLevel.PAUSE_ENTRIES)


@pytest.mark.parametrize(
    ("state", "purpose", "answer"),
    [(row[0], purpose, answer) for row in ROWS for purpose, answer in zip(HEADER[1:], row[1:], strict=True)],
)
def test_each_cell_of_the_table(state: str, purpose: str, answer: str) -> None:
    assert MAY_SEND[TradingState(state)][Purpose(purpose)] is Answer(answer)


def test_the_table_has_an_answer_for_every_state_and_purpose() -> None:
    assert set(MAY_SEND) == set(TradingState) == {TradingState(row[0]) for row in ROWS}
    assert all(set(row) == set(Purpose) for row in MAY_SEND.values())


def test_the_table_cannot_be_altered_at_run_time() -> None:
    with pytest.raises(TypeError):
        MAY_SEND[TradingState.HALT][Purpose.ENTRY] = Answer.YES  # type: ignore[index]


@pytest.mark.parametrize(
    ("halts", "lease_s", "expected"),
    [
        ((HALT,), 60, TradingState.HALT),
        ((HALT,), None, TradingState.HALT),
        ((PAUSED,), 60, TradingState.PAUSE_ENTRIES),
        ((PAUSED,), 0, TradingState.STALE),
        ((PAUSED,), None, TradingState.STALE),
        ((), 60, TradingState.RUNNING),
        ((), 0, TradingState.STALE),
        ((), -1, TradingState.STALE),
        ((), None, TradingState.STALE),
    ],
    ids=[
        "halted",
        "halted without lease",
        "entries paused",
        "paused, lease ended",
        "paused, never alive",
        "alive",
        "lease ends now",
        "lease ended",
        "never alive",
    ],
)
def test_a_halt_outranks_the_lease_and_the_lease_a_pause_of_entries(
    halts: tuple[Halt, ...], lease_s: int | None, expected: TradingState
) -> None:
    """A dead desk may do no more because somebody paused its entries."""
    lease = None if lease_s is None else T0 + timedelta(seconds=lease_s)
    assert trading_state(halts, lease_expires_at=lease, at=T0, account=ACCOUNT) is expected


@pytest.mark.parametrize(
    ("halts", "expected"),
    [
        ((replace(HALT, scope=f"account:{ACCOUNT}"),), TradingState.HALT),
        ((replace(HALT, scope="strategy:sma"),), TradingState.HALT),
        ((replace(HALT, scope="instrument:BTC/USDT"),), TradingState.HALT),
        ((replace(HALT, scope="account:other"),), TradingState.RUNNING),
        ((replace(HALT, scope="strategy:hold"),), TradingState.RUNNING),
        ((replace(HALT, scope="instrument:ETH/USDT"),), TradingState.RUNNING),
        ((PAUSED,), TradingState.PAUSE_ENTRIES),
        ((PAUSED, replace(HALT, scope="strategy:sma")), TradingState.HALT),
        ((PAUSED, replace(HALT, scope="strategy:hold")), TradingState.PAUSE_ENTRIES),
    ],
)
def test_the_strictest_halt_that_covers_an_order_decides(halts: tuple[Halt, ...], expected: TradingState) -> None:
    """Each scope catches what it names and nothing else."""
    state = trading_state(
        halts,
        lease_expires_at=T0 + timedelta(minutes=1),
        at=T0,
        account=ACCOUNT,
        strategy="sma",
        instrument="BTC/USDT",
    )
    assert state is expected


def test_an_account_is_halted_as_a_whole_by_what_covers_all_of_it_alone() -> None:
    """A halted strategy is no halted account."""
    lease = T0 + timedelta(minutes=1)
    of_strategy = (replace(HALT, scope="strategy:sma"),)
    of_account = (replace(HALT, scope=f"account:{ACCOUNT}"),)
    assert trading_state(of_strategy, lease_expires_at=lease, at=T0, account=ACCOUNT) is TradingState.RUNNING
    assert trading_state(of_account, lease_expires_at=lease, at=T0, account=ACCOUNT) is TradingState.HALT
