"""Watch: what the ledger and the machine show, into alerts. Reads what others committed, and is in nobody's way.

It finds what no flow can tell of: a lease that nobody renews, a pause that Airflow latched, a process that died.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from trading.domain.alarms import LOOK_BACK, Alarms, RunEnd, conditions
from trading.domain.alert_messages import STALE
from trading.domain.alerts import MEANINGS, Alert, AlertKind, Condition, Severity, news
from trading.domain.ids import Run
from trading.domain.limits import Limits
from trading.domain.market import from_ms, timeframe_s
from trading.errors import DiskFull, TradingError
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger

logger = logging.getLogger(__name__)

#: As many control events and runs as ten minutes may hold.
_HISTORY: Final = 50
_RUNS: Final = 80


class Watch:
    """Looks at one account. `watched` are the instruments that decisions need, by timeframe.

    `limits` are the file's, until some are in force.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        account: str,
        watched: Mapping[str, Sequence[str]],
        limits: Limits | None,
        require_room: Callable[[], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._account = account
        self._watched = watched
        self._limits = limits
        self._require_room = require_room

    def run(self) -> list[Alert] | None:
        """Look once: raise what is news, end what is over. The alerts that may have to be told, oldest first.

        None where another process watches this account.
        """
        no_room = self._no_room()
        with self._ledger.transaction() as books:
            if not books.alerts.lead(self._account):
                return None
            at = books.now()
            raised, ended = news(conditions(self._alarms(books, at, no_room)), self._known(books, at))
            books.alerts.record(self._account, raised, at=at)
            books.alerts.end(self._account, ended, at=at)
            known = self._known(books, at)
        for one in raised:
            _log(one)
        for alert in ended:
            log_event(logger, "alert_ended", kind=alert.kind, subject=alert.subject)
        return known

    def _known(self, books: Books, at: datetime) -> list[Alert]:
        return books.alerts.known(self._account, at - STALE)

    def _alarms(self, books: Books, at: datetime, no_room: str) -> Alarms:
        account = self._account
        events = books.orders.alarms_since(account, at - LOOK_BACK)
        orders = {order.client_order_id: order for order in books.orders.sent_open(account) if order.is_unresolved}
        for name in {event.client_order_id for event in events} - orders.keys():
            order = books.orders.get(name)
            if order is not None:
                orders[name] = order
        return Alarms(
            at=at,
            halts=books.control.halts(account),
            history=books.control.history(account, _HISTORY),
            lease_expires_at=books.control.lease_expires_at(account),
            discrepancies=books.reconciliations.open_discrepancies(account),
            disabled=books.risk.standing(account).disabled,
            orders=orders,
            order_events=events,
            newest_close_at=self._newest_closes(books),
            max_candle_age_s=self._candle_ages(books),
            runs=[
                RunEnd(
                    flow=one.flow,
                    run_id=one.run.run_id,
                    ended_at=one.ended_at,
                    outcome=one.outcome,
                    message=one.message,
                    trouble=one.trouble,
                )
                for one in books.runs.recent(None, _RUNS)
                if one.ended_at is not None
            ],
            no_room=no_room,
        )

    def _newest_closes(self, books: Books) -> dict[tuple[str, str], datetime | None]:
        closes: dict[tuple[str, str], datetime | None] = {}
        for timeframe, instruments in self._watched.items():
            newest = books.candles.newest_open_ms(list(instruments), timeframe)
            step = timedelta(seconds=timeframe_s(timeframe))
            for symbol in instruments:
                closes[timeframe, symbol] = from_ms(newest[symbol]) + step if symbol in newest else None
        return closes

    def _candle_ages(self, books: Books) -> dict[str, int]:
        """By instrument, how old the newest candle may be: what binds the orders, whatever the file says by now."""
        applied = books.risk.limits(self._account)
        limits = applied.limits if applied else self._limits
        symbols = {symbol for instruments in self._watched.values() for symbol in instruments}
        bounds = {one: limits.tightest("max_candle_age_s", strategy="", instrument=one) for one in symbols if limits}
        return {symbol: int(bound.limit) for symbol, bound in bounds.items() if bound is not None}

    def _no_room(self) -> str:
        try:
            if self._require_room is not None:
                self._require_room()
        except DiskFull as full:
            return str(full)
        except TradingError as error:  # a folder that cannot be written is somebody else's to tell of
            log_event(logger, "room_unknown", level=logging.WARNING, reason=str(error))
        return ""


class ReportFailure:
    """Takes note of a DAG run that Airflow gave up: only Airflow knows of a task that was killed."""

    def __init__(self, ledger: Ledger, *, account: str) -> None:
        self._ledger = ledger
        self._account = account

    def run(self, run: Run, sentence: str) -> None:
        """Raise the alert; the watcher tells of it."""
        with self._ledger.transaction() as books:
            failed = Condition(
                kind=AlertKind.DAG_FAILED,
                subject=f"{run.dag_id}/{run.run_id}",
                at=books.now(),
                sentence=sentence,
                run_id=run.run_id,
            )
            books.alerts.record(self._account, [failed], at=failed.at)
        _log(failed)


def _log(one: Condition) -> None:
    critical = MEANINGS[one.kind].severity is Severity.CRITICAL
    level = logging.ERROR if critical else logging.WARNING
    log_event(
        logger, "alert_raised", level=level, kind=one.kind, subject=one.subject, reason=one.sentence, about=one.run_id
    )
