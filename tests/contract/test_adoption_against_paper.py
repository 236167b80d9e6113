"""Adopting what a person did at the paper exchange with a client of their own, over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from paper_exchange import API_KEY, API_SECRET, RunningExchange, running_exchange

from tests.desk import HORIZON
from tests.examples import ACCOUNT, RUN
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.memory.ledger import MemoryLedger
from trading.flows.adopt import Adopt
from trading.flows.reconcile import Reconcile

SYMBOLS = ("BTC/USDT", "ETH/USDT")


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[RunningExchange]:
    with running_exchange(tmp_path) as running:
        yield running


class House:
    """Ledger and flows over the exchange, without strategies."""

    def __init__(self, paper: RunningExchange) -> None:
        self.clock = paper.clock
        self.ledger = MemoryLedger(paper.clock)
        self.venue = CcxtExchange(
            "binance", clock=paper.clock, base_url=paper.url, api_key=API_KEY, api_secret=API_SECRET
        )
        with self.ledger.transaction() as books:
            books.accounts.open(ACCOUNT, venue="binance", mode="replay", at=self.clock.now(), run=RUN)
            books.instruments.save(self.venue.instruments(SYMBOLS), at=self.clock.now(), run=RUN)
        self.adopt = Adopt(self.ledger, self.venue, self.clock, account=ACCOUNT, horizon=HORIZON)

    def reconcile(self) -> bool:
        """Whether both sides agreed, half a minute after the last time."""
        self.clock.advance(30)
        rest = timedelta(minutes=1)
        flow = Reconcile(self.ledger, self.venue, self.clock, account=ACCOUNT, horizon=HORIZON, rest=rest)
        return flow.run(RUN).clean

    def agrees(self) -> bool:
        """Ledger and exchange, to the last digit."""
        with self.ledger.transaction() as books:
            ours = {currency: amount for (_, currency), amount in books.entries.balances(ACCOUNT).items()}
        return ours == {currency: balance.total for currency, balance in self.venue.balances().items()}


def test_a_manual_order_is_adopted_and_its_rest_stays_known(paper: RunningExchange) -> None:
    """A market order and a resting one by hand: shown, adopted, and the next looks are clean."""
    house, person = House(paper), paper.ccxt()
    assert house.reconcile()
    person.create_order("BTC/USDT", "market", "buy", 0.012)
    person.create_order("ETH/USDT", "limit", "buy", 1, 1000)
    assert not house.reconcile()
    assert not house.reconcile()
    shown = house.adopt.preview()
    assert shown.obstacles == ()
    report = house.adopt.run(RUN, person="ada", reason="by hand", expected=shown.adoption.content_hash)
    assert report.counts["balances"] == 2
    assert {str(one.kind) for one in report.adoption.acknowledged} == {"external_fill", "external_order"}
    assert house.agrees()
    assert house.reconcile()
    assert house.reconcile()


def test_a_foreign_fill_before_the_first_look_is_in_the_opening_balance(paper: RunningExchange) -> None:
    """Bought by hand between opening the account here and the first reconciliation: the books begin with it."""
    house = House(paper)
    paper.ccxt().create_order("BTC/USDT", "market", "buy", Decimal("0.5"))
    assert house.reconcile()
    assert house.agrees()
    assert house.reconcile()
