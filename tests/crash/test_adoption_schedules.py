"""Adopting while anything may die: deposits, withdrawals and orders by hand among faults, each signed for."""

import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.crash.simulation import World
from tests.desk import HORIZON
from tests.examples import ACCOUNT, BTC, ETH
from trading.adapters.memory.venue import MemoryVenue
from trading.domain.adoption import AdoptionRefused
from trading.domain.ledger import Category, LedgerEntry
from trading.domain.order import OrderRequest, OrderType, Side
from trading.errors import OrderRejected
from trading.flows.adopt import Adopt

SCHEDULES = 300
#: Rounds of reconciling and adopting in which all must have ended once the faults are healed.
ROUNDS = 30
#: What the judge of the order path says of money from outside: here it has a cause.
_FROM_OUTSIDE = ("I3: ", "halted without a cause")
OUTSIDE = "by-hand"


class OutsideWorld(World):
    """A schedule in which somebody also uses the account past the pipeline, and signs for it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        #: What came from outside, by currency, as it stood after each event.
        self.outside: list[Counter[str]] = [Counter()]

    def run(self, minutes: int = 3) -> None:
        """Faulty minutes; then nothing happens outside any more, and people adopt until both sides agree."""
        self.faults.enabled = True
        for _ in range(minutes):
            self.desk.next_minute()
            self._outside()
            self._minute()
            self._chain(self.desk.reconcile, self._adopt)
        self.faults.enabled = False
        self.paused = False
        for _ in range(ROUNDS):
            self.clock.advance(HORIZON.visibility_lag_s + 5)
            self._chain(self.desk.lease, self.desk.reconcile)
            self._chain(self._adopt)
            self._release_all()
            self._chain(self._place, self.desk.reconcile)

    def verdict(self) -> list[str]:
        """The judge's word on the order path, and: both sides agree, and nothing of ours was taken for a deposit."""
        broken = [one for one in self.broken + self.judge.broken if not one.startswith(_FROM_OUTSIDE)]
        names = {order.venue_order_id: order.client_order_id for order in self.desk.memory_venue.orders()}
        theirs = {
            (fill.instrument, fill.venue_fill_id)
            for fills in self.desk.memory_venue._fills.values()
            for fill in fills
            if not names[fill.venue_order_id].startswith(OUTSIDE)
        }
        recorded = self.desk.read(lambda books: books.fills.recent(ACCOUNT, 100_000))
        ours = {(fill.instrument, fill.venue_fill_id) for fill in recorded}
        if ours != theirs:
            broken.append(f"fills of ours: only booked {ours - theirs}, only at the venue {theirs - ours}")
        if self.desk.totals() != self.desk.venue_totals():
            broken.append(f"ledger {self.desk.totals()}, venue {self.desk.venue_totals()}")
        adopted: Counter[str] = Counter()
        for reference, entries in self._adoptions():
            for entry in entries:
                adopted[entry.currency] += entry.amount if entry.category is Category.ASSET else 0
            if adopted not in self.outside:
                broken.append(
                    f"{reference}: {dict(adopted)} is adopted by now, and that was never what came from outside"
                )
        if self.desk.halts():
            broken.append(f"halts that nobody could end: {[halt.reason for halt in self.desk.halts()]}")
        return broken

    def _adoptions(self) -> list[tuple[str, Sequence[LedgerEntry]]]:
        transactions = self.desk.memory_ledger._books.entries._transactions.values()
        return [(one.reference, one.entries) for one in transactions if one.kind == "adoption"]

    def _outside(self) -> None:
        """What somebody does by hand this minute, now or a little later."""
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            what = self.rng.choice((self._deposit, self._order_by_hand))
            self.clock.at(self.clock.now() + timedelta(seconds=self.rng.uniform(0, 50)), what)

    def _deposit(self) -> None:
        currency, most = self.rng.choice((("USDT", 100_000), ("BTC", 500_000), ("SHIB", 900_000)))
        amount = Decimal(self.rng.randint(-most, most)).scaleb(-5)
        venue = self.desk.memory_venue
        if venue._purse.free(currency) + amount >= 0:
            before = Counter(self.desk.venue_totals())
            venue._purse.change(currency, free=amount)
            self._remember(before)
            self.faults.counts["deposited" if amount > 0 else "withdrawn"] += 1

    def _order_by_hand(self) -> None:
        venue = self.desk.memory_venue
        request = OrderRequest(
            client_order_id=f"{OUTSIDE}-{len(venue.posts)}",
            instrument=self.rng.choice((BTC.symbol, ETH.symbol)),
            side=self.rng.choice((Side.BUY, Side.SELL)),
            order_type=OrderType.MARKET,
            quantity=Decimal(self.rng.randint(1, 50)),
            limit_price=None,
            signed_at=self.clock.now(),
            recv_window_ms=2000,
        )
        before = Counter(self.desk.venue_totals())
        try:
            MemoryVenue.submit(venue, request)  # past the judge, whom only orders of ours concern
        except OrderRejected:
            return
        self._remember(before)
        self.faults.counts["ordered_by_hand"] += 1

    def _remember(self, before: Counter[str]) -> None:
        """Note what came from outside with the newest event."""
        moved, so_far = Counter(self.desk.venue_totals()), Counter(self.outside[-1])
        moved.subtract(before)
        so_far.update(moved)
        self.outside.append(so_far)

    def _adopt(self) -> None:
        """Look, wait for a while, and sign for what was seen."""
        desk = self.desk
        flow = Adopt(desk.ledger, desk.venue, desk.worker_clock, account=ACCOUNT, horizon=HORIZON)
        shown = flow.preview().adoption
        if not shown.findings:
            return
        if self.faults.enabled:
            self.clock.advance(self.rng.choice((0.0, 0.0, 5.0)))
        try:
            flow.run(desk.run_of("adopt"), person="ada", reason="by hand", expected=shown.content_hash)
        except AdoptionRefused:
            self.faults.counts["adoption_refused"] += 1
            raise
        self.faults.counts["adopted"] += 1


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_what_is_done_outside_is_adopted_once_whatever_dies(request: pytest.FixtureRequest, quiet: None) -> None:
    """Both sides agree to the last digit, every fill of ours is booked as ours, and every halt could end."""
    replayed: int | None = request.config.getoption("seed", None)
    first = random.SystemRandom().randrange(10**9) if replayed is None else replayed
    counts: Counter[str] = Counter()
    for seed in range(first, first + (SCHEDULES if replayed is None else 1)):
        world = OutsideWorld(seed)
        world.run()
        broken = world.verdict()
        counts += world.faults.counts
        assert not broken, "\n".join(
            (f"replay: python -m pytest tests/crash/test_adoption_schedules.py --seed={seed}", *broken)
        )
    print(f"\nadoption schedules from seed {first}: {dict(counts)}")  # noqa: T201 — shown with -s, and by a failure
    if replayed is None:
        expected = ("deposited", "withdrawn", "ordered_by_hand", "adopted", "adoption_refused", "stalled")
        assert not [name for name in expected if not counts[name]]
        assert any(name.startswith(("crash _adopt.", "crash _look.", "crash preview.")) for name in counts)


def test_an_adoption_that_looks_at_no_fill_of_ours_is_caught(monkeypatch: pytest.MonkeyPatch, quiet: None) -> None:
    """Planted: nothing ever stands in the way. Some fill of ours is then taken for a deposit."""
    monkeypatch.setattr("trading.flows.adopt._require_as_shown", lambda *_: None)
    for seed in range(SCHEDULES):
        world = OutsideWorld(seed)
        world.run()
        if any("never what came from outside" in one for one in world.verdict()):
            return
    pytest.fail(f"the planted bug survived {SCHEDULES} schedules")
