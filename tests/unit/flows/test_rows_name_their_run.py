"""Every row that placing and reconciling write names the run that wrote it."""

import inspect
from collections import defaultdict
from decimal import Decimal
from typing import Any

from tests.desk import RECV_WINDOW_MS, Desk, constant
from tests.examples import BTC
from trading.domain.order import OrderRequest, OrderType, Side

_STORES = ("accounts", "control", "entries", "fills", "orders", "reconciliations")


class Witness:
    """A store that notes which run each of its writes was given, by the method's own signature."""

    def __init__(self, inner: Any, seen: defaultdict[str, set[Any]]) -> None:
        self._inner = inner
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not inspect.ismethod(method) or "run" not in inspect.signature(method).parameters:
            return method

        def witnessed(*args: Any, **kwargs: Any) -> Any:
            run = inspect.signature(method).bind(*args, **kwargs).arguments["run"]
            self._seen[f"{type(self._inner).__name__}.{name}"].add(getattr(run, "dag_id", run))
            return method(*args, **kwargs)

        return witnessed


def watch(desk: Desk) -> defaultdict[str, set[Any]]:
    """Who wrote what from now on: the DAG ids of the runs, by store and method."""
    seen: defaultdict[str, set[Any]] = defaultdict(set)
    books = desk.memory_ledger._books
    for name in _STORES:
        setattr(books, name, Witness(getattr(books, name), seen))
    return seen


def test_placing_and_reconciling() -> None:
    """From the first opening balance to a fill that was booked."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)})
    seen = watch(desk)
    desk.open()
    desk.cycle()
    assert seen["MemoryEntries.post"] == {"reconcile", "place"}  # the opening balance; what strategies are given
    assert seen["MemoryFills.record"] == {"reconcile"}
    assert seen["MemoryReconciliations.record"] == {"reconcile"}
    checks = [c for order in desk.orders() for c in desk.read(lambda b, o=order: b.orders.checks(o.client_order_id))]
    assert [check.run_id.partition("__")[0] for check in checks] == ["place"]
    events = [e for order in desk.orders() for e in desk.read(lambda b, o=order: b.orders.events(o.client_order_id))]
    assert [event.dag_id for event in events] == ["place", "place", "place", "reconcile"]
    assert all(event.run_id.startswith(f"{event.dag_id}__") for event in events)


def test_taking_over_an_account_that_somebody_traded_on() -> None:
    """The fills in the opening balance are taken note of in the same run's name."""
    desk = Desk()
    seen = watch(desk)
    desk.open_account.run(desk.run_of("open_account"))
    request = OrderRequest(
        client_order_id="somebody-else",
        instrument=BTC.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        limit_price=None,
        signed_at=desk.clock.now(),
        recv_window_ms=RECV_WINDOW_MS,
    )
    desk.memory_venue.submit(request)
    desk.clock.advance(60)
    desk.ingest()
    desk.reconcile()
    assert seen["MemoryReconciliations.acknowledge"] == {"reconcile"}
