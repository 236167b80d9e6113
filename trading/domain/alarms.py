"""From what the ledger and the machine show to the conditions that a person should know of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from trading.domain.alerts import AlertKind, Condition
from trading.domain.kill_switch import FIRST_HALT, ControlEvent, ControlKind, Halt, HaltLevel
from trading.domain.market import timeframe_s
from trading.domain.money import plain
from trading.domain.order import Order, OrderEvent, OrderState
from trading.domain.reconciliation import Discrepancy
from trading.domain.restore import AUTHOR as RESTORE_WATCH
from trading.errors import Trouble

#: What happened and was over before anybody looked is still told during this time.
LOOK_BACK: Final = timedelta(minutes=10)
#: This many orders denied within the window are a burst.
DENIALS: Final = 5
DENIAL_WINDOW: Final = timedelta(minutes=5)
#: A ban or maintenance that is over within this is no alert.
LASTING: Final = timedelta(minutes=2)
#: A run's failure speaks of now for this long.
NOW: Final = timedelta(minutes=5)
#: A signed order without any answer recorded: whoever sent it died.
UNANSWERED: Final = timedelta(seconds=10)

#: Who engages a halt that is an alert of its own kind.
_AUTHORS: Final[Mapping[str, AlertKind]] = {
    "credentials": AlertKind.REFUSED_KEY,
    RESTORE_WATCH: AlertKind.LOST_ROWS,
}
#: Runs that ask the venue whether or not there is anything to trade.
_ASKING: Final = ("lease", "reconcile")
_KEPT_OUT: Final = frozenset({Trouble.MAINTENANCE, Trouble.BANNED})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """How a run of a flow ended. `trouble` is one of trading.errors.Trouble."""

    flow: str
    run_id: str
    ended_at: datetime
    outcome: str
    message: str = ""
    trouble: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarms:
    """One look at all that may need a person, at one instant of the database's clock.

    `orders` holds each order that `order_events` tells of, and each that is unresolved. `newest_close_at` has None
    where no candle is stored. `runs` are the newest first, ended ones only. `no_room` says why the disk takes nothing.
    """

    at: datetime
    halts: Sequence[Halt] = ()
    history: Sequence[ControlEvent] = ()
    lease_expires_at: datetime | None = None
    discrepancies: Sequence[Discrepancy] = ()
    disabled: Mapping[str, str] = field(default_factory=dict)  # strategy, why
    orders: Mapping[str, Order]
    order_events: Sequence[OrderEvent] = ()
    newest_close_at: Mapping[tuple[str, str], datetime | None]
    max_candle_age_s: Mapping[str, int]  # by instrument
    runs: Sequence[RunEnd] = ()
    no_room: str = ""


def conditions(alarms: Alarms) -> list[Condition]:
    """Everything that a person should know of now."""
    return [
        *_halts(alarms),
        *_discrepancies(alarms),
        *_unknown_outcomes(alarms),
        *_denial_burst(alarms),
        *_disabled_strategies(alarms),
        *_stale_data(alarms),
        *_expired_lease(alarms),
        *_kept_out(alarms),
        *_full_disk(alarms),
    ]


def _halts(alarms: Alarms) -> list[Condition]:
    runs = {event.halt_id: event.run_id for event in alarms.history}
    found = [
        _halt(h.halt_id, h.author, _extent(h.level, h.scope, h.reason), h.engaged_at, runs.get(h.halt_id, ""))
        for h in alarms.halts
    ]
    standing = {halt.halt_id for halt in alarms.halts}
    for event in alarms.history:
        is_over = event.kind is ControlKind.HALT_ENGAGED and event.halt_id not in standing
        # That a replay releases its first halt itself is no news.
        if is_over and event.at > alarms.at - LOOK_BACK and event.reason != FIRST_HALT:
            said = _extent(event.level, event.scope, event.reason)
            found.append(_halt(event.halt_id or 0, event.author, said, event.at, event.run_id, standing=False))
    return found


def _extent(level: HaltLevel, scope: str, reason: str) -> str:
    """The reason; with how much is stopped where that is not everything."""
    everything = level is HaltLevel.HALT and scope == "all"
    return reason if everything else f"{level}, {scope}: {reason}"


def _halt(halt_id: int, author: str, reason: str, at: datetime, run_id: str, *, standing: bool = True) -> Condition:
    return Condition(
        kind=_AUTHORS.get(author, AlertKind.HALT_ENGAGED),
        subject=str(halt_id),
        at=at,
        sentence=f"halt {halt_id} by {author}: {reason}",
        run_id=run_id,
        standing=standing,
    )


def _discrepancies(alarms: Alarms) -> list[Condition]:
    run_id = next((run.run_id for run in alarms.runs if run.flow.startswith("reconcile")), "")
    return [
        Condition(
            kind=AlertKind.DISCREPANCY_CONFIRMED,
            subject=f"{one.kind}:{one.key}",
            at=one.first_seen_at,
            sentence=f"{one.kind} {one.key}: ours {plain(one.ours)}, theirs {plain(one.theirs)}",
            run_id=run_id,
        )
        for one in alarms.discrepancies
        if one.confirmed
    ]


def _unknown_outcomes(alarms: Alarms) -> list[Condition]:
    """Orders whose answer is missing: those that say so, and those that nobody lives to speak for."""
    told = {event.client_order_id: event for event in alarms.order_events if event.state is OrderState.OUTCOME_UNKNOWN}
    found = []
    for name, order in alarms.orders.items():
        unanswered = order.is_unresolved and order.changed_at <= alarms.at - UNANSWERED
        event = told.get(name)
        if event is None and not unanswered:
            continue
        said = event.reason if event else "no answer was recorded after it was signed"
        found.append(
            Condition(
                kind=AlertKind.OUTCOME_UNKNOWN,
                subject=name,
                at=event.at if event else order.changed_at,
                sentence=f"{order.intent.side} {plain(order.intent.quantity)} {order.intent.instrument} of"
                f" {order.intent.strategy} (order {name}): {said}",
                run_id=event.run_id if event else "",
                standing=order.is_unresolved,
            )
        )
    return found


def _denial_burst(alarms: Alarms) -> list[Condition]:
    since = alarms.at - DENIAL_WINDOW
    denied = [e for e in alarms.order_events if e.state is OrderState.DENIED and e.at > since]
    if len(denied) < DENIALS:
        return []
    newest = max(denied, key=lambda event: event.at)
    sentence = f"{len(denied)} orders within {DENIAL_WINDOW.seconds // 60} minutes, the newest: {newest.reason}"
    return [Condition(kind=AlertKind.DENIAL_BURST, subject="", at=newest.at, sentence=sentence, run_id=newest.run_id)]


def _disabled_strategies(alarms: Alarms) -> list[Condition]:
    """A strategy that a breaker stopped waits for a person."""
    switched = {event.scope: event for event in reversed(alarms.history) if event.kind is ControlKind.STRATEGY_DISABLED}
    found = []
    for strategy, why in alarms.disabled.items():
        event = switched.get(f"strategy:{strategy}")
        found.append(
            Condition(
                kind=AlertKind.STRATEGY_DISABLED,
                subject=strategy,
                at=event.at if event else alarms.at,
                sentence=f"{strategy}: {why}",
                run_id=event.run_id if event else "",
            )
        )
    return found


def _stale_data(alarms: Alarms) -> list[Condition]:
    """One condition a timeframe: a close is late by more than the age that placing lets pass."""
    late: dict[str, list[str]] = {}
    for (timeframe, instrument), newest in sorted(alarms.newest_close_at.items()):
        limit_s = max(alarms.max_candle_age_s.get(instrument, 0), timeframe_s(timeframe) + 60)
        if newest is None or (alarms.at - newest).total_seconds() > limit_s:
            since = f"{newest:%Y-%m-%d %H:%M}Z" if newest else "never"
            late.setdefault(timeframe, []).append(f"{instrument} (newest close {since})")
    run_id = next((run.run_id for run in alarms.runs if run.flow == "ingest"), "")
    return [
        Condition(
            kind=AlertKind.STALE_DATA,
            subject=timeframe,
            at=alarms.at,
            sentence=f"candles of {timeframe}: {', '.join(instruments)}",
            run_id=run_id,
        )
        for timeframe, instruments in late.items()
    ]


def _expired_lease(alarms: Alarms) -> list[Condition]:
    until = alarms.lease_expires_at
    if until is None or until > alarms.at:
        return []
    run_id = next((run.run_id for run in alarms.runs if run.flow == "lease"), "")
    sentence = f"it ended at {until:%Y-%m-%d %H:%M:%S}Z: is kill_switch paused, or does Airflow not run?"
    return [Condition(kind=AlertKind.LEASE_EXPIRED, subject="", at=until, sentence=sentence, run_id=run_id)]


def _kept_out(alarms: Alarms) -> list[Condition]:
    """A ban or maintenance that every run of a flow has met for a while, the newest one just now."""
    for flow in _ASKING:
        series = []
        for run in (one for one in alarms.runs if one.flow == flow):
            if run.trouble not in _KEPT_OUT:
                break
            series.append(run)
        lasts = series and series[0].ended_at > alarms.at - NOW and series[-1].ended_at <= alarms.at - LASTING
        if lasts:
            newest = series[0]
            return [
                Condition(
                    kind=AlertKind.VENUE_AWAY,
                    subject="",
                    at=series[-1].ended_at,
                    sentence=f"{newest.trouble}: {newest.message}",
                    run_id=newest.run_id,
                )
            ]
    return []


def _full_disk(alarms: Alarms) -> list[Condition]:
    """What this machine finds now, or what a run on another one has just met."""
    met = next((run for run in alarms.runs if run.trouble == Trouble.DISK_FULL), None)
    if met is not None and met.ended_at <= alarms.at - NOW:
        met = None
    if not alarms.no_room and met is None:
        return []
    return [
        Condition(
            kind=AlertKind.DISK_FULL,
            subject="",
            at=met.ended_at if met else alarms.at,
            sentence=alarms.no_room or (met.message if met else ""),
            run_id=met.run_id if met else "",
        )
    ]
