"""The judges: what must hold whatever died, by the ledger's rows and by the venue's own book."""

from collections import Counter, defaultdict
from decimal import Decimal

from tests.desk import Desk
from tests.examples import ACCOUNT
from trading.adapters.memory.venue import Post
from trading.domain.ledger import Fill
from trading.domain.money import ZERO
from trading.domain.order import UNRESOLVED, Order, OrderState, Side


class VenueTruth:
    """The venue's own book, read around every fault."""

    def __init__(self, desk: Desk) -> None:
        self.accepted: list[Post] = [post for post in desk.posts() if post.accepted]
        self.orders = desk.memory_venue.orders()
        fills = [fill for rows in desk.memory_venue._fills.values() for fill in rows]
        self.fills: dict[str, list[Fill]] = defaultdict(list)
        for fill in fills:
            self.fills[fill.venue_order_id].append(fill)
        self.totals = desk.venue_totals()


def at_most_one_order_an_intent(desk: Desk, truth: VenueTruth) -> list[str]:
    """I1, by the venue's book."""
    counts = Counter(order.client_order_id for order in truth.orders)
    return [f"I1: {count} venue orders for {name}" for name, count in counts.items() if count > 1]


def every_order_was_signed_first(desk: Desk, truth: VenueTruth) -> list[str]:
    """I4: each accepted POST has a committed Submitting event, signed with exactly its time, asking for the same."""
    broken = []
    for post in truth.accepted:
        events = desk.read(lambda books, name=post.client_order_id: books.orders.events(name))
        signed = [event for event in events if event.state is OrderState.SUBMITTING]
        if len(signed) != 1:
            broken.append(f"I4: {post.client_order_id} was accepted with {len(signed)} committed Submitting events")
        elif signed[0].signed_at != post.request.signed_at:
            broken.append(f"I4: {post.client_order_id} signed at {post.request.signed_at}, row: {signed[0].signed_at}")
        elif signed[0].request_hash != post.request.request_hash:
            broken.append(f"I4: {post.client_order_id} asked for something else than its row")
    return broken


def no_exposure_beyond_the_target(desk: Desk, truth: VenueTruth) -> list[str]:
    """I3b: what the strategy truly held when an order was accepted, and that order, never pass the target it serves."""
    broken = []
    held: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for post, order in zip(truth.accepted, truth.orders, strict=True):
        ours: Order | None = desk.read(lambda books, name=post.client_order_id: books.orders.get(name))
        if ours is None:
            continue  # I4 speaks
        intent, place = ours.intent, (ours.intent.strategy, ours.intent.instrument)
        after = held[place] + intent.side.sign * post.request.quantity
        over = after > intent.target_quantity if intent.side is Side.BUY else after < intent.target_quantity
        if over:
            broken.append(f"I3b: {post.client_order_id} leads to {after}, its target is {intent.target_quantity}")
        for fill in truth.fills[order.venue_order_id]:
            fee = fill.fee if fill.side is Side.BUY else ZERO
            held[place] += fill.side.sign * fill.quantity - fee
    return broken


def unknown_blocks_and_ends_by_evidence(desk: Desk, truth: VenueTruth) -> list[str]:
    """I6: nothing is signed beside an unresolved order of its strategy and instrument; given up means never taken."""
    broken = []
    unresolved: dict[tuple[str, str], set[str]] = defaultdict(set)
    taken = {order.client_order_id for order in truth.orders}
    chain = desk.memory_ledger._books.orders.chain(ACCOUNT)
    for link in chain:
        name, state = link.event.client_order_id, link.event.state
        intent = desk.read(lambda books, name=name: books.orders.get(name)).intent
        waiting = unresolved[intent.strategy, intent.instrument]
        if state is OrderState.SUBMITTING and waiting:
            broken.append(f"I6: {name} was signed while {sorted(waiting)} was unresolved")
        (waiting.add if state in UNRESOLVED else waiting.discard)(name)
        if state in (OrderState.NEVER_ACCEPTED, OrderState.REJECTED) and name in taken:
            broken.append(f"I6: {name} was given up as {state}, the venue had taken it")
    return broken


def nothing_halted(desk: Desk) -> list[str]:
    """No fault within the promised lags may look like a disagreement of the books."""
    return [f"halted without a cause: {halt.reason}" for halt in desk.halts()]


def books_agree(desk: Desk, truth: VenueTruth) -> list[str]:
    """I3 at a quiescent point: balances, fills and positions, to the last digit."""
    broken = []
    if desk.totals() != truth.totals:
        broken.append(f"I3: ledger {desk.totals()}, venue {truth.totals}")
    recorded: list[Fill] = desk.read(lambda books: books.fills.recent(ACCOUNT, 100_000))
    ours = Counter((fill.instrument, fill.venue_fill_id) for fill in recorded)
    theirs = Counter((fill.instrument, fill.venue_fill_id) for fills in truth.fills.values() for fill in fills)
    if ours != theirs:
        broken.append(f"I3: fills differ: ours only {ours - theirs}, theirs only {theirs - ours}")
    positions = desk.read(lambda books: books.fills.positions(ACCOUNT))
    held: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for (_, symbol), position in positions.items():
        held[symbol.split("/")[0]] += position.quantity
    broken += [
        f"I3: positions hold {quantity} {base}, the venue {truth.totals.get(base, ZERO)}"
        for base, quantity in held.items()
        if quantity != truth.totals.get(base, ZERO)
    ]
    return broken


def violations(desk: Desk, *, quiescent: bool) -> list[str]:
    """Everything that is broken. The books are compared only where nothing is in flight."""
    truth = VenueTruth(desk)
    broken = [
        *at_most_one_order_an_intent(desk, truth),
        *every_order_was_signed_first(desk, truth),
        *no_exposure_beyond_the_target(desk, truth),
        *unknown_blocks_and_ends_by_evidence(desk, truth),
        *nothing_halted(desk),
    ]
    return broken + (books_agree(desk, truth) if quiescent else [])
