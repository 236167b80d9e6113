"""What the pre-trade checks count and remember."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from trading.adapters.postgres.connection import Session, values_of
from trading.domain.ids import Run
from trading.domain.limits import AppliedLimits, Limits
from trading.domain.losses import AUTHOR, EquityMark
from trading.domain.traffic import Traffic, TrafficQuestion
from trading.domain.versions import Versions
from trading.ports.risk import RiskStanding

#: The schema that this code was written for: the number of its newest migration, told without loading Alembic.
SCHEMA: Final = max(path.name for path in (Path(__file__).parent / "sql" / "migrations").glob("*.sql"))[:4]

_COUNTS: Final = tuple(field.name for field in fields(Traffic))


class PostgresRisk:
    """RiskStore over the tables control_event, order_event, cancel_request and equity_day."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def limits(self, account: str) -> AppliedLimits | None:
        """The limits in force; None where none were ever applied."""
        row = self._session.one("limits_in_force", {"account": account})
        if row is None:
            return None
        detail = row.pop("detail")
        limits = Limits.from_document(detail.get("document", ""))
        return AppliedLimits(limits=limits, file_hash=detail.get("file_hash", ""), **row)

    def standing(self, account: str) -> RiskStanding:
        """All that stands for the account now."""
        row = self._session.one("risk_standing", {"account": account}) or {}
        marks = [_mark(facts) for facts in row.get("marks") or ()]
        return RiskStanding(
            disabled={scope.removeprefix("strategy:"): why for scope, why in (row.get("disabled") or {}).items()},
            versions=Versions(
                code=self._session.code_version,
                schema=SCHEMA,
                deployed_code=(row.get("deployed") or {}).get("code_version", ""),
                deployed_schema=row.get("schema_version") or "",
            ),
            marks={mark.scope: mark for mark in marks},
        )

    def traffic(self, question: TrafficQuestion) -> Traffic:
        """How much was sent."""
        row = self._session.one("traffic", traffic_facts(question))
        return Traffic(**{name: row[name] for name in _COUNTS}) if row else Traffic()

    def note_cancel(self, account: str, client_order_id: str, at: datetime, run: Run) -> None:
        """A cancel is about to be asked for."""
        facts = {"account": account, "client_order_id": client_order_id, "at": at}
        self._session.run("note_cancel", {**facts, "run_id": run.run_id, "dag_id": run.dag_id})

    def cancels_since(self, account: str, since: datetime) -> int:
        """How many cancels were asked for at or after `since`."""
        row = self._session.one("cancels_since", {"account": account, "since": since})
        return int(row["cancels"]) if row else 0

    def marks(self, account: str) -> dict[str, EquityMark]:
        """Each scope's newest mark, of whatever day."""
        rows = self._session.all("newest_marks", {"account": account})
        return {row["scope"]: EquityMark(**row) for row in rows}

    def keep_marks(self, account: str, marks: Sequence[EquityMark], run: Run) -> None:
        """Keep these; one of the same scope and UTC day is replaced."""
        for mark in marks:
            facts = {**asdict(mark), "account": account, "run_id": run.run_id, "dag_id": run.dag_id}
            self._session.run("keep_mark", facts)

    def losses_taken_at(self, account: str) -> dict[str, datetime]:
        """By scope, when a person last released a halt that a loss limit had engaged."""
        rows = self._session.all("losses_taken", {"account": account, "author": AUTHOR})
        return {row["scope"]: row["at"] for row in rows}


def traffic_facts(question: TrafficQuestion) -> dict[str, object]:
    """The parameters of the query `traffic`."""
    return {**values_of(question), "scope": f"strategy:{question.strategy}"}


def _mark(facts: dict[str, Any]) -> EquityMark:
    """A mark from JSON, in which amounts are text, since its numbers are floats."""
    amounts: dict[str, Any] = {name: Decimal(facts[name]) for name in ("equity", "index", "day_index", "high_index")}
    day, at = date.fromisoformat(facts["day"]), datetime.fromisoformat(facts["at"])
    return EquityMark(**{**facts, **amounts, "day": day, "at": at})
