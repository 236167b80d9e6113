"""The judge: what must hold whatever died, by the ledger's committed rows and by the venue's own book.

It looks after every commit and at every POST that the venue takes, and costs only what is new since it last looked.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tests.crash.ledger_truth import LedgerTruth
from trading.adapters.memory.venue import MemoryVenue, Post
from trading.domain.ids import chain_hash
from trading.domain.kill_switch import ControlKind
from trading.domain.ledger import Fill
from trading.domain.limits import Limits
from trading.domain.money import ZERO
from trading.domain.order import OPEN, TRANSITIONS, UNRESOLVED, OrderEvent, OrderIntent, OrderRequest, OrderState, Side
from trading.domain.venue_order import VenueOrder

Place = tuple[str, str]  # strategy, instrument

#: A minute less what clocks may be off, and what requests may take to arrive.
_MINUTE = timedelta(seconds=55)
_NEVER_TAKEN = frozenset({OrderState.NEVER_ACCEPTED, OrderState.REJECTED})


@dataclass
class Told:
    """What the ledger's events have told of one order so far."""

    intent: OrderIntent
    state: OrderState
    sequence: int
    signed: OrderEvent | None = None
    halts_when_signed: frozenset[int] = frozenset()


@dataclass
class Ours:
    """The ledger as the judge has read it: only what was committed."""

    orders: dict[str, Told] = field(default_factory=dict)
    unresolved: defaultdict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    halts: dict[int, str] = field(default_factory=dict)  # open ones, with their author
    links: int = 0
    head: str = ""
    fills: dict[tuple[str, str], Fill] = field(default_factory=dict)
    controls: int = 0


class Judge:
    """Collects what is broken, in words."""

    def __init__(self, ledger: LedgerTruth, venue: MemoryVenue, limits: Limits, prices: dict[str, Decimal]) -> None:
        self.broken: list[str] = []
        self.counts: Counter[str] = Counter()
        self._ledger = ledger
        self._venue = venue
        self._limits = limits
        self._prices = prices
        self._ours = Ours()
        self._taken: dict[str, VenueOrder] = {}  # the venue's orders by our name, as they were accepted
        self._names: dict[tuple[str, str], str] = {}  # our name by instrument and the venue's order id
        self._their_fills: dict[tuple[str, str], Fill] = {}
        self._read_fills: Counter[str] = Counter()
        self._held: defaultdict[Place, Decimal] = defaultdict(lambda: ZERO)
        self._accepted_at: list[datetime] = []
        self._compared = (-1, -1)
        self._absorb()

    # one step

    def step(self) -> None:
        """Look at what was committed since the last look."""
        self._absorb()
        self._compare_books()

    def accepted(self, post: Post, order: VenueOrder) -> None:
        """A POST that the venue took: its intent, its signature, its fence, and the exposure that it leads to."""
        if not self._ledger.in_transaction():
            self._absorb()
        name = post.client_order_id
        if name in self._taken:
            self._say(f"I1: {name} is at the venue twice")
        self._taken[name] = order
        self._names[order.instrument, order.venue_order_id] = name
        told = self._ours.orders.get(name)
        if told is None or told.signed is None:
            self._say(f"I4: {name} was accepted without a committed Submitting event")
        else:
            self._check_signature(post, told.signed)
            self._check_fence(post, told)
            if told.state in _NEVER_TAKEN:
                self._say(f"I6: {name} was accepted after it had been given up as {told.state}")
            self._check_exposure(post, told.intent)
        self._check_caps(post)
        self._take_in_fills()

    def verify_chain(self) -> None:
        """I18: every hash follows from its event and the hash before it."""
        previous = ""
        for link in self._ledger.links(0):
            if link.previous != previous or link.hash != chain_hash(previous, link.event.facts):
                self._say(f"I18: the chain breaks at {link.event.client_order_id} {link.event.sequence}")
            previous = link.hash

    def require_agreement(self) -> None:
        """I3 at a quiescent point: the same fills, balances and positions on both sides, to the last digit."""
        self._compared = (-1, -1)
        self.step()
        theirs, ours = self._their_fills.keys(), self._ours.fills.keys()
        if theirs != ours:
            self._say(f"I3: fills differ: ours only {sorted(ours - theirs)}, theirs only {sorted(theirs - ours)}")

    def open_intents(self) -> list[str]:
        """Orders that are not terminal."""
        return [name for name, told in self._ours.orders.items() if told.state in OPEN]

    def open_halts(self) -> dict[int, str]:
        """Halts that nobody has released, with their authors."""
        return dict(self._ours.halts)

    # the ledger's rows

    def _absorb(self) -> None:
        ours = self._ours
        for fact in self._ledger.controls(ours.controls):
            ours.controls += 1
            if fact.kind is ControlKind.HALT_ENGAGED:
                ours.halts[fact.halt_id] = fact.author
                if fact.author == "reconcile":
                    self._say("halted without a cause: no fault within the promised lags may look like a disagreement")
            elif fact.kind is ControlKind.HALT_RELEASED:
                ours.halts.pop(fact.halt_id, None)
        for link in self._ledger.links(ours.links):
            if link.previous != ours.head:
                self._say(f"I18: {link.event.client_order_id} {link.event.sequence} does not follow the chain's head")
            ours.links, ours.head = ours.links + 1, link.hash
            self._follow(link.event)
        for fill in self._ledger.fills(len(ours.fills)):
            key = (fill.instrument, fill.venue_fill_id)
            if key in ours.fills:
                self._say(f"I4: fill {key} is there twice")
            ours.fills[key] = fill
            self._check_fill(key, fill)

    def _follow(self, event: OrderEvent) -> None:
        """One more event: I6, I7, I8 and I2."""
        ours, name, state = self._ours, event.client_order_id, event.state
        told = ours.orders.get(name)
        if told is None:
            told = ours.orders[name] = Told(self._ledger.intent(name), state, event.sequence)
            if state is not OrderState.PLANNED or event.sequence != 0:
                self._say(f"I7: {name} begins as {state} {event.sequence}")
            return
        if state not in TRANSITIONS[told.state] or event.sequence != told.sequence + 1:
            self._say(f"I7: {name} went from {told.state} {told.sequence} to {state} {event.sequence}")
        waiting = ours.unresolved[told.intent.strategy, told.intent.instrument]
        if state is OrderState.SUBMITTING:
            self._check_submission(event, waiting)
            told.signed = event
        (waiting.add if state in UNRESOLVED else waiting.discard)(name)
        if state in _NEVER_TAKEN and name in self._taken:
            self._say(f"I6: {name} was given up as {state}, the venue had taken it")
        told.state, told.sequence = state, event.sequence

    def _check_submission(self, event: OrderEvent, waiting: set[str]) -> None:
        name, current = event.client_order_id, self._ledger.epoch()
        if waiting:
            self._say(f"I6: {name} was signed while {sorted(waiting)} was unresolved")
        if self._ours.halts:
            self._say(f"I2: {name} was signed while the halts {self._ours.halts} stood")
        if int(event.epoch or 0) != current:
            self._say(f"I8: {name} was signed in epoch {event.epoch}, the account's is {current}")

    def _check_fill(self, key: tuple[str, str], fill: Fill) -> None:
        """A fill that we booked is the venue's, to the last digit, and under the right order's name."""
        if key not in self._their_fills:
            self._take_in_fills()
        theirs = self._their_fills.get(key)
        if theirs is None:
            self._say(f"I3: the venue knows no fill {key}")
            return
        figures = [
            (f.venue_order_id, f.side, f.price, f.quantity, f.fee, f.fee_currency, f.filled_at) for f in (fill, theirs)
        ]
        if figures[0] != figures[1]:
            self._say(f"I3: fill {key}: ours {figures[0]}, theirs {figures[1]}")
        if fill.client_order_id != self._names.get((fill.instrument, fill.venue_order_id)):
            self._say(f"I4: fill {key} is booked under {fill.client_order_id}, which is another order")

    # a POST that was taken

    def _check_signature(self, post: Post, signed: OrderEvent) -> None:
        name = post.client_order_id
        if signed.signed_at != post.request.signed_at:
            self._say(f"I4: {name} was signed at {post.request.signed_at}, its row says {signed.signed_at}")
        if signed.request_hash != post.request.request_hash:
            self._say(f"I10: {name} asked for something else than its row")

    def _check_fence(self, post: Post, told: Told) -> None:
        signed = told.signed
        if signed is None or signed.signed_at is None:
            return
        deadline = signed.signed_at + timedelta(milliseconds=signed.recv_window_ms or 0)
        if post.at > deadline:
            self._say(f"I8: {post.client_order_id} was taken at {post.at}, its fence was {deadline}")

    def _check_exposure(self, post: Post, intent: OrderIntent) -> None:
        """I3b: what is truly held, what is open the same way, and this order never pass the target it serves."""
        place = (intent.strategy, intent.instrument)
        after = self._held[place] + self._open_remainder(place, intent.side, post.client_order_id)
        after += intent.side.sign * post.request.quantity
        over = after > intent.target_quantity if intent.side is Side.BUY else after < intent.target_quantity
        if over:
            self._say(f"I3b: {post.client_order_id} leads to {after}, its target is {intent.target_quantity}")

    def _open_remainder(self, place: Place, side: Side, but: str) -> Decimal:
        """What the venue still holds open of a strategy's other orders on that side, signed."""
        left = ZERO
        for number in self._venue._open:
            seen = self._venue._orders[number].seen
            told = self._ours.orders.get(seen.client_order_id)
            if told is None or seen.client_order_id == but or seen.side is not side:
                continue
            if (told.intent.strategy, told.intent.instrument) == place:
                left += side.sign * (seen.quantity - seen.filled_quantity)
        return left

    def _check_caps(self, post: Post) -> None:
        """I9: the limits hold for what the venue has, whoever sent it."""
        symbol, limits = post.request.instrument, self._limits
        since = post.at - _MINUTE
        self._accepted_at = [at for at in self._accepted_at if at > since] + [post.at]
        if len(self._accepted_at) > limits.max_orders_per_minute:
            self._say(f"I9: {len(self._accepted_at)} orders in a minute, {limits.max_orders_per_minute} are allowed")
        if post.request.side is Side.SELL:
            return
        quantity = sum((held for (_, name), held in self._held.items() if name == symbol), ZERO)
        orders = [self._venue._orders[number].seen for number in self._venue._open]
        quantity += sum(
            (o.quantity - o.filled_quantity for o in orders if o.instrument == symbol and o.side is Side.BUY), ZERO
        )
        quantity += self._fresh_fills(symbol)
        if quantity * self._prices[symbol] > limits.max_position_notional:
            notional = quantity * self._prices[symbol]
            self._say(f"I9: {post.client_order_id} leads to {notional}, the cap is {limits.max_position_notional}")

    def _fresh_fills(self, symbol: str) -> Decimal:
        """What this very order filled on arrival, which `_held` does not count yet."""
        rows = self._venue._fills.get(symbol, [])[self._read_fills[symbol] :]
        return sum((f.side.sign * f.quantity for f in rows), ZERO)

    def take_in(self) -> None:
        """Before a POST meets the book: count what filled until now."""
        self._venue._settle()
        self._take_in_fills()

    def _take_in_fills(self) -> None:
        for symbol, rows in self._venue._fills.items():
            for fill in rows[self._read_fills[symbol] :]:
                self._their_fills[symbol, fill.venue_fill_id] = fill
                name = self._names.get((symbol, fill.venue_order_id), "")
                told = self._ours.orders.get(name)
                if told is not None:
                    fee = fill.fee if fill.side is Side.BUY else ZERO
                    self._held[told.intent.strategy, symbol] += fill.side.sign * fill.quantity - fee
                self.counts["maker_fill"] += fill.is_maker
            self._read_fills[symbol] = len(rows)

    # both books

    def _compare_books(self) -> None:
        """I3 wherever both sides have the same number of fills, and something is new."""
        ours = len(self._ours.fills)
        if self._compared == (ours, sum(map(len, self._venue._fills.values()))):
            return
        theirs_now = {currency: balance.total for currency, balance in self._venue.balances().items()}
        self._take_in_fills()
        self._compared = (ours, len(self._their_fills))
        if ours != len(self._their_fills):
            return
        totals = self._ledger.totals()
        if totals != theirs_now:
            self._say(f"I3: ledger {totals}, venue {theirs_now}")
        for symbol, quantity in self._ledger.positions().items():
            base = symbol.split("/")[0]
            if quantity != theirs_now.get(base, ZERO):
                self._say(f"I3: positions hold {quantity} {base}, the venue {theirs_now.get(base, ZERO)}")

    def _say(self, what: str) -> None:
        if len(self.broken) < 20:
            self.broken.append(what)


class WitnessedVenue(MemoryVenue):
    """The venue with a witness beside it, who is told of every POST that it takes."""

    judge: Judge | None = None

    def submit(self, request: OrderRequest) -> VenueOrder:
        if self.judge is not None:
            self.judge.take_in()
        answer = super().submit(request)
        if self.judge is not None:
            self.judge.accepted(self.posts[-1], answer)
        return answer
