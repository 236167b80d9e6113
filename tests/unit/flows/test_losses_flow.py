"""A loss past its limit halts its scope by itself; money that was paid in or out is none."""

from dataclasses import replace
from decimal import Decimal

from tests.desk import Desk, constant, flat_candles
from tests.examples import ACCOUNT, BTC, ETH, RUN, T0
from trading.domain.ledger import HOUSE, opening_transaction, transfer_transaction
from trading.domain.losses import EquityMark
from trading.domain.market import CandleSeries, to_ms


def falling() -> CandleSeries:
    """100 until T0 + 2 minutes, 80 from there on."""
    flat = flat_candles(100.0, 1_000_000.0)
    fallen = flat.open_ms >= to_ms(T0) + 120_000
    columns = [column.copy() for column in (flat.open, flat.high, flat.low, flat.close)]
    for column in columns:
        column[fallen] = 80.0
    return CandleSeries(flat.open_ms, *columns, flat.volume)


def invested(**limits: Decimal) -> Desk:
    """Half of the account in BTC, before it falls by a fifth: the account loses a tenth, its strategy a fifth."""
    candles = {(BTC.symbol, "1m"): falling(), (ETH.symbol, "1m"): flat_candles(10.0, 1_000_000.0)}
    desk = Desk(candles=candles, weights={"sma": constant(1.0, 0.0)}).open()
    desk.limit(**limits)
    desk.cycle()
    return desk


def marks(desk: Desk) -> dict[str, EquityMark]:
    return desk.read(lambda books: books.risk.marks(ACCOUNT))


def scopes(desk: Desk) -> list[tuple[str, str]]:
    return [(halt.author, halt.scope) for halt in desk.halts()]


def test_a_loss_past_the_limit_halts_its_scope_once() -> None:
    """The strategy lost a fifth, the account a tenth: only the strategy is past 15 %, and a minute later once still."""
    desk = invested(max_drawdown_bps=Decimal(1_500))
    for _ in range(4):
        desk.next_minute()
        desk.ingest()
        desk.lease()
    assert scopes(desk) == [("limits", "strategy:sma")]
    assert "max_drawdown" in desk.halts()[0].reason
    assert Decimal(900) < marks(desk)[f"account:{ACCOUNT}"].drawdown_bps < Decimal(1_100)


def test_the_account_s_own_loss_halts_the_account() -> None:
    desk = invested(max_daily_loss_bps=Decimal(500))
    for _ in range(4):
        desk.next_minute()
        desk.ingest()
        desk.lease()
    assert set(scopes(desk)) == {("limits", "strategy:sma"), ("limits", f"account:{ACCOUNT}")}


def test_a_release_takes_the_loss_as_it_is() -> None:
    """Whoever signs goes on from there: the same loss does not halt again, and the marks begin anew."""
    desk = invested(max_drawdown_bps=Decimal(1_500))
    for _ in range(4):
        desk.next_minute()
        desk.ingest()
        desk.lease()
    desk.clock.advance(1)
    (halt,) = desk.halts()
    desk.resume(halt.halt_id, scope=halt.scope)
    desk.clock.advance(1)
    desk.lease()
    assert desk.halts() == ()
    assert marks(desk)["strategy:sma"].drawdown_bps == 0


def test_deposits_and_transfers_are_no_profit_and_no_loss() -> None:
    """A deposit, and most of the strategy's money given back to the house: nobody lost or won anything."""
    desk = invested()
    desk.lease()
    before = marks(desk)
    deposit = opening_transaction(ACCOUNT, {"USDT": Decimal(50_000)}, desk.clock.now())
    assert deposit is not None
    given_back = transfer_transaction(
        ACCOUNT,
        source="sma",
        destination=HOUSE,
        currency="USDT",
        amount=Decimal(1),
        reference="a test",
        at=desk.clock.now(),
    )
    with desk.store.transaction() as books:
        books.entries.post(replace(deposit, reference="deposit"), RUN)
        books.entries.post(given_back, RUN)
    desk.lease()
    after = marks(desk)
    assert after[f"account:{ACCOUNT}"].equity - before[f"account:{ACCOUNT}"].equity == 50_000
    assert {scope: m.index.quantize(Decimal("1e-9")) for scope, m in after.items()} == {
        scope: m.index.quantize(Decimal("1e-9")) for scope, m in before.items()
    }
