"""Random lives of an account give equal answers from both ledgers, step by step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.desk import LIMITS
from tests.examples import (
    ACCOUNT,
    BTC,
    ETH,
    MINUTE,
    ORDER_PATHS,
    RUN,
    T0,
    candles,
    decision,
    event,
    fill,
    intent,
    override,
    traffic_question,
)
from trading.adapters.memory.ledger import MemoryLedger
from trading.clock import ManualClock
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.ledger import fill_transaction, opening_transaction
from trading.domain.losses import first_mark, next_mark
from trading.domain.market import to_ms
from trading.domain.order import OrderState, Side
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, ReconciliationResult
from trading.domain.risk import CheckedOrder
from trading.domain.snapshot import Verdict
from trading.domain.versions import Versions
from trading.errors import TradingError
from trading.ports.ledger import Books, Ledger

pytestmark = pytest.mark.postgres

Action = Callable[[Books, str], object]
small = st.sampled_from([0, 0, 1, 1, 2, 3])
amounts = st.sampled_from([Decimal(text) for text in ("0.1", "0.25", "0.00001", "1.5")])


@dataclass(frozen=True)
class Step:
    """One thing done to a ledger's account; its `repr` is what a failure prints."""

    name: str
    arguments: tuple[Any, ...]

    def __call__(self, books: Books, account: str) -> object:
        action: Callable[..., object] = ACTIONS[self.name]
        return action(books, account, *self.arguments)


def plan(books: Books, account: str, generation: int, quantity: Decimal) -> object:
    return books.orders.plan(intent(account=account, generation=generation, quantity=quantity), RUN)


def append(books: Books, account: str, generation: int, state: OrderState, venue_order_id: str | None) -> object:
    order = books.orders.get(intent(account=account, generation=generation).client_order_id)
    if order is None:
        return None
    return books.orders.append(order, event(order, state, venue_order_id=venue_order_id))


def live(books: Books, account: str, generation: int, state: OrderState) -> object:
    """Plan an order and bring it to a state in one go."""
    wish = intent(account=account, generation=generation)
    books.orders.plan(wish, RUN)
    order = books.orders.get(wish.client_order_id)
    for reached in ORDER_PATHS[state] if order is not None and order.sequence == 0 else ():
        order = books.orders.append(order, event(order, reached, venue_order_id=f"v{generation}"))
    return order


def trade(books: Books, account: str, generation: int, number: int, signed: Decimal) -> object:
    one = fill(
        client_order_id=intent(account=account, generation=generation).client_order_id,
        venue_fill_id=str(number),
        filled_at=T0 + timedelta(seconds=number % 2),
        side=Side.SELL if signed < 0 else Side.BUY,
        quantity=abs(signed),
        price=Decimal(70000 + number),
    )
    return books.fills.record(one, fill_transaction(account, "sma", BTC, one), RUN)


def check(books: Books, account: str, generation: int, verdict: Verdict, codes: tuple[str, ...]) -> object:
    name = intent(account=account, generation=generation).client_order_id
    return books.orders.record_check(CheckedOrder(client_order_id=name, verdict=verdict, codes=codes, at=T0), RUN)


def decide(books: Books, account: str, minutes: int, weight: Decimal) -> object:
    at = T0 + minutes * MINUTE
    return books.decisions.record(
        decision(strategy=account, as_of=at, decided_at=at, weights={"BTC/USDT": weight}), RUN
    )


def engage(books: Books, account: str, number: int) -> object:
    halt = ControlEvent(kind=ControlKind.HALT_ENGAGED, author="ada", reason=str(number), at=T0, run_id="r", dag_id="d")
    books.control.engage(account, halt)
    return None


def release(books: Books, account: str, which: int, token: int) -> object:
    halts = books.control.halts(account)
    halt_id = halts[which].halt_id if which < len(halts) else 10**9
    books.control.release(account, override(halt_id=halt_id, token_id=f"{account}-{token}"), at=T0, run=RUN)
    return None


def ingest(books: Books, account: str, first: int, closes: list[float]) -> object:
    return books.candles.upsert(account, "1m", candles(to_ms(T0) + first * 60_000, closes), at=T0, run=RUN)


def reconcile(books: Books, account: str, compared: bool, keys: set[str], minutes: int) -> object:
    at = T0 + minutes * MINUTE
    found = tuple(
        Discrepancy(
            kind=DiscrepancyKind.BALANCE,
            key=key,
            ours=Decimal(minutes),
            theirs=Decimal(0),
            first_seen_at=at,
            confirmed=minutes > 1,
        )
        for key in sorted(keys)
    )
    result = ReconciliationResult(at=at, compared=compared, discrepancies=found, unknown_orders=0)
    books.reconciliations.record(account, result, RUN)
    return None


def switch(books: Books, account: str, disabled: bool, name: str, minutes: int) -> object:
    """A strategy is disabled or enabled."""
    kind = ControlKind.STRATEGY_DISABLED if disabled else ControlKind.STRATEGY_ENABLED
    at = T0 + timedelta(seconds=minutes)
    event = ControlEvent(kind=kind, author="ada", reason=f"{minutes}", at=at, run_id="r", dag_id="d")
    return books.control.record(account, replace(event, scope=f"strategy:{name}"))


def apply(books: Books, account: str, count: int) -> object:
    """Other limits come into force."""
    detail = {"document": replace(LIMITS, repeated_order_count=2 + count).document, "file_hash": str(count)}
    event = ControlEvent(kind=ControlKind.LIMITS_APPLIED, author="ada", reason="", at=T0, run_id="r", dag_id="d")
    return books.control.record(account, replace(event, detail=detail))


def cancel(books: Books, account: str, generation: int, seconds: int) -> object:
    name = intent(account=account, generation=generation).client_order_id
    return books.risk.note_cancel(account, name, T0 + timedelta(seconds=seconds), RUN)


def mark(books: Books, account: str, name: str, hours: int, equity: Decimal) -> object:
    """A scope's equity is marked, on the first or the second day."""
    first = first_mark(f"strategy:{name}", equity=equity, at=T0, position=0)
    at = T0 + timedelta(hours=12 * hours)
    return books.risk.keep_marks(account, [next_mark(first, equity=1 / equity, flow=equity, at=at, position=1)], RUN)


def deposit(books: Books, account: str, amount: Decimal) -> object:
    opening = opening_transaction(account, {"USDT": amount}, T0)
    return opening is not None and books.entries.post(opening, RUN)


def begin(books: Books, account: str, minutes: int) -> object:
    return books.runs.start(replace(RUN, run_id=account), "place", T0 + minutes * MINUTE)


def end(books: Books, account: str, outcome: str) -> object:
    run = replace(RUN, run_id=account)
    return books.runs.finish(run, "place", T0 + MINUTE, outcome=outcome, message="", counts={"orders": 1})


def advance(books: Books, account: str) -> object:
    books.accounts.lock(account)
    return (books.accounts.advance_epoch(account), books.accounts.next_incarnation(account))


ACTIONS: dict[str, Callable[..., object]] = {
    action.__name__: action
    for action in (
        plan, live, append, trade, check, decide, engage, release, ingest, reconcile,
        switch, apply, cancel, mark, deposit, begin, end, advance
    )
}  # fmt: skip


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(*arguments).map(lambda values: Step(name, values))


STEPS = st.one_of(
    step("plan", small, amounts),
    step("append", small, st.sampled_from(OrderState), st.sampled_from([None, "a", "b"])),
    step("live", small, st.sampled_from(OrderState)),
    step(
        "trade",
        st.sampled_from([0, 1, 2]),
        st.sampled_from([8, 9, 10, 12]),
        st.tuples(amounts, st.sampled_from([1, -1])).map(lambda pair: pair[0] * pair[1]),
    ),
    step(
        "check", st.sampled_from([0, 1]), st.sampled_from(Verdict), st.sampled_from([(), ("stale_data",), ("b", "a")])
    ),
    step("decide", small, amounts.filter(lambda weight: weight < 1)),
    step("engage", small),
    step("release", small, small),
    step("ingest", small, st.lists(st.sampled_from([1.0, 2.0]), max_size=3)),
    step("reconcile", st.booleans(), st.sets(st.sampled_from(["USDT", "BTC"])), small),
    step("switch", st.booleans(), st.sampled_from(["sma", "other"]), st.sampled_from([0, 3, 9])),
    step("apply", small),
    step("cancel", small, st.sampled_from([0, 3, 9])),
    step("mark", st.sampled_from(["sma", "other"]), small, amounts),
    step("deposit", amounts),
    step("begin", small),
    step("end", st.sampled_from(["done", "failed", "nonsense"])),
    step("advance"),
)


def everything(books: Books, account: str) -> dict[str, object]:
    """All that can be read of an account."""
    names = [intent(account=account, generation=number).client_order_id for number in range(4)]
    panel = books.candles.panel([account], "1m", until=T0 + 8 * MINUTE, candles=8)
    return {
        "account": books.accounts.get(account),
        "orders": [books.orders.get(name) for name in names],
        "events": [books.orders.events(name) for name in names],
        "checks": [books.orders.checks(name) for name in names],
        "open": books.orders.open(account),
        "sent": books.orders.sent_open(account),
        "generations": books.orders.generations(account, "sma", T0),
        "signed": books.orders.submitted_since(account, T0 + timedelta(seconds=3)),
        "traffic": books.risk.traffic(traffic_question(account=account, since=T0 + timedelta(seconds=3))),
        "standing": replace(books.risk.standing(account), versions=Versions()),
        "limits": books.risk.limits(account),
        "marks": books.risk.marks(account),
        "losses taken": books.risk.losses_taken_at(account),
        "flows": books.entries.flows_since(account, 0),
        "recent": books.orders.recent(account, 3),
        "by venue": books.orders.by_venue_order_id(account, BTC.symbol, ["a", "b", "v0", "v1", "z"]),
        "fills": books.fills.recent(account, 3),
        "newest fills": books.fills.newest_at(account),
        "positions": books.fills.positions(account),
        "references": books.entries.references(account, "fill:"),
        "balances": books.entries.balances(account),
        "decision": books.decisions.newest(account),
        "halts": [replace(one, halt_id=0) for one in books.control.halts(account)],
        "history": [replace(one, halt_id=None) for one in books.control.history(account, 20)],
        "clean": books.reconciliations.newest_clean_at(account),
        "discrepancies": books.reconciliations.open_discrepancies(account),
        "runs": books.runs.get(account),
        "candles": books.candles.newest_open_ms([account], "1m"),
        "panel": (panel.open_ms.tobytes(), panel.close.tobytes(), panel.volume.tobytes()),
    }


def lived(ledger: Ledger, account: str, transactions: list[list[Step]]) -> list[object]:
    """What each transaction of a life answered, and what could be read after it; an error's class is an answer too."""
    answers: list[object] = []
    with ledger.transaction() as books:
        books.instruments.save([BTC, ETH], at=T0, run=RUN)
        books.accounts.open(account, venue="binance", mode="replay", at=T0, run=RUN)
        for generation in range(2):  # so that most steps find something to work on
            books.orders.plan(intent(account=account, generation=generation), RUN)
    for steps in transactions:
        try:
            with ledger.transaction() as books:
                answers += [one(books, account) for one in steps]
        except TradingError as error:
            answers.append(type(error).__name__)
        with ledger.transaction() as books:
            answers.append(everything(books, account))
    return answers


lives = 0


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=st.lists(st.lists(STEPS, min_size=1, max_size=5), min_size=1, max_size=6))
def test_both_ledgers_tell_the_same_of_any_life(postgres_ledger: Ledger, transactions: list[list[Step]]) -> None:
    """Each example lives in accounts of its own name, since the database outlasts it."""
    global lives  # noqa: PLW0603 — a database is slow to make, an account is not
    lives += 1
    account = f"{ACCOUNT}-{lives}"
    memory = MemoryLedger(ManualClock(T0))
    assert lived(memory, account, transactions) == lived(postgres_ledger, account, transactions)
