"""Explain: why a run did or did not trade, one line a step: signal → gates → size → order. Reads only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from trading.domain.decision import Decision
from trading.domain.kill_switch import trading_state
from trading.domain.money import plain, quantise
from trading.domain.order import Order, OrderType
from trading.domain.plan import PlanLine
from trading.domain.risk import CheckedOrder
from trading.errors import ConfigurationError
from trading.ports.ledger import Books, Ledger, RunRecord

#: How many evaluations back a decision is looked for.
_EVALUATIONS: Final = 50
#: Run ids that are offered where one is not known.
_HINTS: Final = 5
#: Decimals of weights and of quantities on a line for people; the facts hold every digit.
_WEIGHT_PLACES: Final = 4
_QUANTITY_PLACES: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One line: its stage (run, cause, signal, gates, size, order), a sentence, and the facts behind it."""

    stage: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What one run did, and why. `run_id` is empty where nothing has been placed yet."""

    run_id: str
    steps: tuple[Step, ...]

    def lines(self) -> list[str]:
        """A line a step, for people."""
        return [f"{step.stage:<7} {step.text}" for step in self.steps]


class Explain:
    """Answer "why (no) order?" from what the runs left in the ledger."""

    def __init__(self, ledger: Ledger, *, account: str) -> None:
        self._ledger = ledger
        self._account = account

    def run(self, run_id: str | None = None) -> Explanation:
        """The steps of `run_id`, or of the newest placing. Raises ConfigurationError for an id that no run has."""
        with self._ledger.transaction() as books:
            records = self._records(books, run_id)
            if not records:
                return Explanation(run_id="", steps=(*_nothing_placed(books), *self._gates(books)))
            found = records[0].run.run_id
            causes = sorted({cause for record in records for cause in record.run.causes})
            steps = [_run_step("run", record) for record in records]
            steps += [_run_step("cause", record) for cause in causes for record in books.runs.get(cause)]
            flows = {record.flow for record in records}
            if "place" in flows:
                steps += self._placing(books, found, causes)
            elif "evaluate" in flows:
                steps += [_signal(decision) for decision in books.decisions.by_run(found)]
            return Explanation(run_id=found, steps=tuple(steps))

    @staticmethod
    def _records(books: Books, run_id: str | None) -> list[RunRecord]:
        """Every flow of the run; empty where none is named and nothing was ever placed."""
        if run_id is None:
            newest = books.runs.recent("place", 1)
            return books.runs.get(newest[0].run.run_id) if newest else []
        records = books.runs.get(run_id)
        if not records:
            newest_ids = dict.fromkeys(record.run.run_id for record in books.runs.recent(None, _HINTS))
            hint = f"the newest are {', '.join(newest_ids)}" if newest_ids else "there is none yet"
            raise ConfigurationError(f"unknown run {run_id!r}: expected the id of a recorded run; {hint}")
        return records

    def _placing(self, books: Books, run_id: str, causes: Sequence[str]) -> Iterator[Step]:
        lines = books.orders.lines(run_id)
        wanted = dict.fromkeys((line.strategy, line.as_of) for line in lines)
        decisions = _decisions(books, wanted, causes)
        for strategy, as_of in wanted:
            decision = decisions.get((strategy, as_of))
            yield _signal(decision) if decision else _no_signal(strategy, as_of)
        yield from self._gates(books)
        open_orders = books.orders.open(self._account)
        for line in lines:
            yield _size(line)
        for line in lines:
            for order in _orders_of(books, line, open_orders):
                yield _order(books, order)

    def _gates(self, books: Books) -> Iterator[Step]:
        """What holds orders back now: kill switch, lease, reconciliation, discrepancies."""
        at = books.now()
        halts = books.control.halts(self._account)
        lease = books.control.lease_expires_at(self._account)
        clean = books.reconciliations.newest_clean_at(self._account)
        discrepancies = len(books.reconciliations.open_discrepancies(self._account))
        state = trading_state(halts, lease_expires_at=lease, at=at, account=self._account)
        latch = books.control.latch()
        said = [
            f"now {state}",
            f"lease {'until' if lease and lease > at else 'expired at'} {_instant(lease)}" if lease else "no lease yet",
            f"last clean reconciliation {_instant(clean)}" if clean else "no clean reconciliation yet",
            f"{discrepancies} discrepancies open",
            f"pause latch {latch}",
        ]
        facts = {
            "state": state,
            "lease_expires_at": lease,
            "newest_clean_at": clean,
            "discrepancies": discrepancies,
            "latch": latch,
            "halts": [{"halt_id": h.halt_id, "author": h.author, "reason": h.reason} for h in halts],
        }
        yield Step(stage="gates", text=" · ".join(said), facts=facts)
        renewals = books.runs.recent("lease", 1)
        if renewals and renewals[0].outcome in ("failed", "skipped"):
            yield _run_step("gates", renewals[0])
        for halt in halts:
            said_by = f"by {halt.author} since {_instant(halt.engaged_at)}: {halt.reason}"
            text = f"halt {halt.halt_id} ({halt.level}, {halt.scope}) {said_by}"
            yield Step(stage="gates", text=text, facts={"halt_id": halt.halt_id})


def _nothing_placed(books: Books) -> Iterator[Step]:
    yield Step(stage="run", text="nothing has been placed yet: `make run` does it at each candle, `trading place` once")
    for flow in ("ingest", "evaluate"):
        newest = books.runs.recent(flow, 1)
        if newest:
            yield _run_step("run", newest[0])
        else:
            yield Step(stage="run", text=f"{flow} has never run: `trading {flow}` does it once")


def _decisions(
    books: Books, wanted: Mapping[tuple[str, datetime | None], None], causes: Sequence[str]
) -> dict[tuple[str, datetime | None], Decision]:
    """The decisions that the plan lines name: the newest ones, or those of the runs that woke it, or of recent ones."""
    found: dict[tuple[str, datetime | None], Decision] = {}
    for strategy, _ in wanted:
        newest = books.decisions.newest(strategy)
        if newest is not None:
            found[strategy, newest.as_of] = newest
    evaluations = [*causes, *(record.run.run_id for record in books.runs.recent("evaluate", _EVALUATIONS))]
    for run_id in evaluations:
        if all(key in found or key[1] is None for key in wanted):
            break
        for decision in books.decisions.by_run(run_id):
            found.setdefault((decision.strategy, decision.as_of), decision)
    return found


def _orders_of(books: Books, line: PlanLine, open_orders: Sequence[Order]) -> list[Order]:
    """The order that the line led to; without one, those that were on their way."""
    if line.client_order_id:
        order = books.orders.get(line.client_order_id)
        return [order] if order else []
    here = (line.strategy, line.instrument)
    return [order for order in open_orders if (order.intent.strategy, order.intent.instrument) == here]


def _run_step(stage: str, record: RunRecord) -> Step:
    counts = ", ".join(f"{name} {count}" for name, count in record.counts.items() if count)
    ended = f" in {(record.ended_at - record.started_at).total_seconds():.1f} s" if record.ended_at else ""
    said = f"{record.run.run_id}: {record.flow} {record.outcome}{ended}, {_instant(record.started_at)}"
    detail = record.message or counts or ("nothing to do" if record.outcome == "done" else "")
    facts = {
        "run_id": record.run.run_id,
        "dag_id": record.run.dag_id,
        "flow": record.flow,
        "outcome": record.outcome,
        "message": record.message,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "counts": dict(record.counts),
    }
    return Step(stage=stage, text=f"{said}: {detail}" if detail else said, facts=facts)


def _signal(decision: Decision) -> Step:
    weights = ", ".join(f"{s} {_short(weight, _WEIGHT_PLACES)}" for s, weight in decision.weights.items())
    said = "; ".join(part for part in (weights, decision.reason) if part)
    facts = {
        "strategy": decision.strategy,
        "as_of": decision.as_of,
        "status": decision.status,
        "weights": dict(decision.weights),
        "reason": decision.reason,
        "run_id": decision.run_id,
    }
    text = f"{decision.strategy} as of {_instant(decision.as_of)}: {decision.status}"
    return Step(stage="signal", text=f"{text}: {said}" if said else text, facts=facts)


def _no_signal(strategy: str, as_of: datetime | None) -> Step:
    """A plan line without its decision at hand."""
    text = f"{strategy}: no decision is stored: `trading evaluate` makes one, once there are candles"
    if as_of is not None:
        text = f"{strategy} as of {_instant(as_of)}: not among the newest {_EVALUATIONS} evaluations"
    return Step(stage="signal", text=text, facts={"strategy": strategy, "as_of": as_of})


def _size(line: PlanLine) -> Step:
    figures = {
        "weight": line.weight,
        "target": line.target_quantity,
        "held": line.held,
        "on its way": line.on_its_way,
        "delta": line.delta,
    }
    said = ", ".join(f"{name} {_short(value, _QUANTITY_PLACES)}" for name, value in figures.items())
    facts = {name.replace(" ", "_"): value for name, value in figures.items()} | {
        "strategy": line.strategy,
        "instrument": line.instrument,
        "as_of": line.as_of,
        "outcome": line.outcome,
        "client_order_id": line.client_order_id,
    }
    return Step(stage="size", text=f"{line.strategy} {line.instrument}: {said}: {line.outcome}", facts=facts)


def _order(books: Books, order: Order) -> Step:
    intent, checks = order.intent, books.orders.checks(order.client_order_id)
    price = f"limit {plain(intent.limit_price)}" if intent.limit_price else OrderType.MARKET.value
    wish = f"{intent.strategy} {intent.instrument} {intent.side} {plain(intent.quantity)} {price}"
    said = [f"{order.state}, filled {plain(order.filled_quantity)} of {plain(intent.quantity)}"]
    said += [order.reason] if order.reason else []
    said += [f"checks {_checked(checks[-1])}"] if checks else []
    facts = {
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "strategy": intent.strategy,
        "instrument": intent.instrument,
        "side": intent.side,
        "quantity": intent.quantity,
        "filled_quantity": order.filled_quantity,
        "state": order.state,
        "reason": order.reason,
        "events": [
            {"state": e.state, "at": e.at, "run_id": e.run_id, "reason": e.reason}
            for e in books.orders.events(order.client_order_id)
        ],
        "checks": [
            {"verdict": c.verdict, "codes": list(c.codes), "figures": dict(c.figures), "at": c.at} for c in checks
        ],
    }
    return Step(stage="order", text=f"{wish}: {' · '.join(said)} · {order.client_order_id}", facts=facts)


def _checked(checked: CheckedOrder) -> str:
    """The verdict, with what spoke against the order and its figures."""
    figures = ", ".join(f"{name}={value}" for name, value in checked.figures.items())
    codes = ", ".join(checked.codes)
    return " ".join(part for part in (checked.verdict, codes, f"({figures})" if figures else "") if part)


def _short(value: Decimal, places: int) -> str:
    return plain(quantise(value, places))


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
