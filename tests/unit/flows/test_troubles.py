"""Troubles from outside that must not be mistaken for one another: what each stops, and what it leaves alone."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.desk import RECV_WINDOW_MS, Behind, Desk, constant, plan, portfolio
from tests.examples import ACCOUNT, BTC, ETH
from trading.adapters.disk import require_room
from trading.domain.market import Instrument
from trading.domain.order import OrderRequest
from trading.errors import (
    ConfigurationError,
    CredentialsRefused,
    DataError,
    DiskFull,
    ExchangeUnavailable,
    OrderRejected,
    Trouble,
)
from trading.flows.explain import Explain
from trading.flows.place import Place
from trading.ports.market import BestPrices

SAID = "binance refused the API key (code -2015): renew the secrets exchange_api_key and exchange_api_secret"


class NotListed(DataError):
    """What a venue says of an instrument that is gone."""

    trouble = Trouble.NOT_LISTED


def ready() -> Desk:
    """A desk whose one strategy holds BTC and whose other one holds ETH, a minute later."""
    plans = (plan("sma", instruments=(BTC.symbol,)), plan("other", instruments=(ETH.symbol,)))
    wanted = {"sma": constant(0.5), "other": constant(0.3)}
    desk = Desk(portfolio_=portfolio(*plans), weights=wanted, volume=1_000_000.0).open()
    desk.next_minute()
    desk.cycle()
    assert set(held(desk)) == {BTC.symbol, ETH.symbol}
    desk.next_minute()
    desk.lease()
    return desk


def held(desk: Desk) -> dict[str, Decimal]:
    positions = desk.read(lambda books: books.fills.positions(ACCOUNT))
    return {symbol: position.quantity for (_, symbol), position in positions.items() if position.quantity}


def why(desk: Desk) -> str:
    return "\n".join(Explain(desk.ledger, account=ACCOUNT).run().lines())


# the key


def test_a_key_that_is_refused_on_an_order_halts_at_once() -> None:
    """The first order is rejected, the second is never sent; the halt names the secrets, and `why` shows it."""
    desk = ready()
    desk.decide(sma=(0.2,), other=(0.1,))
    tried: list[OrderRequest] = []

    def refuse(request: OrderRequest) -> Any:
        tried.append(request)
        raise OrderRejected("-2015", SAID, Trouble.CREDENTIALS)

    desk.venue = Behind(desk.venue, submit=refuse)
    desk.cycle()
    assert len(tried) == 1
    (halt,) = desk.halts()
    assert (halt.author, halt.reason) == ("credentials", SAID)
    assert f"halt {halt.halt_id} by credentials" in why(desk)
    assert "renew the secrets exchange_api_key" in why(desk)


def test_a_key_that_is_refused_on_a_read_halts_once() -> None:
    """Reconciliation fails with the sentence; a second failure adds no second halt; another failure adds none."""
    desk = ready()

    def refuse() -> Any:
        raise CredentialsRefused(SAID)

    working, desk.venue = desk.venue, Behind(desk.venue, balances=refuse)
    for _ in range(2):
        with pytest.raises(CredentialsRefused):
            desk.reconcile()
    assert [halt.author for halt in desk.halts()] == ["credentials"]
    desk.venue = working
    desk.reconcile()
    desk.resume(desk.halts()[0].halt_id)
    assert desk.halts() == ()


def test_other_settings_that_are_wrong_halt_nothing() -> None:
    desk = ready()

    def fail() -> Any:
        raise ConfigurationError("the secret 'exchange_api_key' is missing")

    desk.venue = Behind(desk.venue, balances=fail)
    with pytest.raises(ConfigurationError):
        desk.reconcile()
    assert desk.halts() == ()


# an instrument that is halted or gone


def halted(desk: Desk, symbol: str) -> None:
    """The venue lists it and does not trade it: no price, no order."""
    market = desk.market

    def instruments(symbols: Sequence[str]) -> list[Instrument]:
        return [replace(i, trading=i.symbol != symbol) for i in market.instruments(symbols)]

    def best_prices(symbols: Sequence[str]) -> dict[str, BestPrices]:
        if symbol in symbols:
            raise DataError(f"best prices of {symbol}: expected 0 < bid <= ask, got 0 and 0")
        return market.best_prices(symbols)

    desk.market = Behind(market, instruments=instruments, best_prices=best_prices)


def delisted(desk: Desk, symbol: str) -> None:
    """The venue knows it no more, on any call."""
    market, venue = desk.market, desk.venue

    def listed(symbols: Sequence[str]) -> list[Instrument]:
        if symbol in symbols:
            raise ConfigurationError(f"binance does not list {symbol}: check the portfolio file")
        return market.instruments(symbols)

    def gone(method: Any) -> Any:
        def ask(asked: Any, *arguments: Any, **named: Any) -> Any:
            if symbol in asked:
                raise NotListed("Invalid symbol.")
            return method(asked, *arguments, **named)

        return ask

    desk.market = Behind(market, instruments=listed, best_prices=gone(market.best_prices), candles=gone(market.candles))
    desk.venue = Behind(venue, fills=gone(venue.fills), order=gone(venue.order))


@pytest.mark.parametrize("befalls", [halted, delisted])
@pytest.mark.parametrize("minutes", [1, 60])
def test_an_instrument_that_is_gone_while_it_is_held_holds_up_itself_alone(befalls: Any, minutes: int) -> None:
    """The other one is sold, reconciliation stays clean, and `why` says what is held and what to do.

    Both before the venue's filters are read again, in the hour's first minute, and after.
    """
    desk = ready()
    befalls(desk, BTC.symbol)
    if minutes == 60:
        with desk.store.transaction() as books:  # what the hourly look at the filters leaves
            gone = replace(books.instruments.all()[BTC.symbol], trading=False)
            books.instruments.save([gone], at=desk.clock.now(), run=desk.run_of("ingest"))
    before = held(desk)
    desk.decide(sma=(0.0,), other=(0.0,))
    desk.cycle()
    assert held(desk) == {BTC.symbol: before[BTC.symbol]}
    said = why(desk)
    assert f"the venue does not trade it now (halted or delisted): {before[BTC.symbol].normalize():f}" in said
    assert "take it out of the portfolio file, sell or withdraw it at the venue by hand and adopt that" in said
    assert desk.halts() == ()
    assert desk.reconcile().clean


def test_the_hourly_look_marks_what_is_listed_no_more() -> None:
    """The last known filters, as not trading; the other instruments' are renewed, and candles go on."""
    desk = ready()
    delisted(desk, BTC.symbol)
    while desk.clock.now().minute:
        desk.next_minute()
    desk.ingest()
    known = desk.read(lambda books: books.instruments.all())
    assert (known[BTC.symbol].trading, known[ETH.symbol].trading) == (False, True)
    assert known[BTC.symbol].tick_size == BTC.tick_size


def test_an_instrument_that_was_never_known_is_a_mistake_in_the_portfolio() -> None:
    desk = Desk()
    delisted(desk, BTC.symbol)
    with pytest.raises(ConfigurationError, match="does not list BTC/USDT"):
        desk.ingest()


# the venue


def test_maintenance_sends_nothing_halts_nothing_and_why_says_it() -> None:
    """The lease is not renewed, so nothing is sent until the venue is back; no person has to do anything."""
    desk = ready()

    def down() -> Any:
        error = ExchangeUnavailable("binance is in maintenance (HTTP 503)")
        error.trouble = Trouble.MAINTENANCE
        raise error

    working, desk.market = desk.market, Behind(desk.market, server_time=down)
    with pytest.raises(ExchangeUnavailable):
        desk.lease()
    assert desk.halts() == ()
    assert "lease failed" in why(desk)
    assert "binance is in maintenance" in why(desk)
    desk.market = working
    desk.lease()
    assert "maintenance" not in why(desk)


# our side


def test_nothing_is_sent_while_our_disk_is_full(tmp_path: Path) -> None:
    """The kernel says ENOSPC: no plan, no order, and the run's record names the folder."""
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has a device that is always full")
    (tmp_path / ".room").symlink_to("/dev/full")
    desk = ready()
    desk.decide(sma=(0.0,), other=(0.0,))
    desk.ingest()
    desk.evaluate()
    posts = len(desk.posts())
    flow = Place(
        desk.ledger,
        desk.venue,
        desk.market,
        desk.clock,
        account=ACCOUNT,
        portfolio=desk.portfolio,
        recv_window_ms=RECV_WINDOW_MS,
        require_room=lambda: require_room(tmp_path),
    )
    with pytest.raises(DiskFull):
        flow.run(desk.run_of("place"), lambda: False)
    assert len(desk.posts()) == posts
    assert f"the disk of {tmp_path} is full" in why(desk)
