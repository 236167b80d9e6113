"""The audit log: both chains, what is still to be chained, and who could rewrite it."""

from datetime import datetime
from typing import Any, Final

from trading.adapters.postgres.connection import Row, Session
from trading.domain.audit import Chain, ChainedEvent, ChainHead
from trading.domain.ids import chain_hash
from trading.ports.audit import WriterRights

#: How many control events are chained at once.
_BATCH: Final = 1_000
#: What the hash of a control event has covered from the first day on.
_COVERED: Final = frozenset(
    (
        *("event_id", "account", "kind", "scope", "halt_id", "author", "reason", "at", "run_id", "dag_id", "detail"),
        *("token_id", "key_id"),
    )
)
_PAGES: Final = {Chain.ORDER: "order_links", Chain.CONTROL: "control_links"}
_SPANS: Final = {Chain.ORDER: "order_span", Chain.CONTROL: "control_span"}


class PostgresAudit:
    """AuditStore over the tables order_event, control_event and control_chain."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def extend(self) -> int:
        """Chain every control event that no chain covers yet; how many.

        Whoever engages a halt never waits for a chain's head: it is chained here, by each reconciliation and each
        renewal of the lease.
        """
        held = self._session.one("try_chain_lock")
        if held is None or not held["held"]:
            return 0
        heads: dict[str, tuple[int, str]] = {}
        chained = 0
        while waiting := self._session.all("unchained_events", {"limit": _BATCH}):
            self._session.run("add_control_links", self._links(waiting, heads))
            chained += len(waiting)
        return chained

    def accounts(self) -> list[str]:
        """Every account that has a chain."""
        return [row["account"] for row in self._session.all("audited_accounts")]

    def heads(self, account: str) -> list[ChainHead]:
        """The newest links of the account's two chains, and of the control events that concern every account."""
        rows = self._session.all("chain_heads", {"account": account})
        return [_head(Chain(row.pop("chain")), row) for row in rows]

    def remembered_head(self, account: str) -> ChainHead | None:
        """What the account's own row says of its order chain."""
        row = self._session.one("remembered_head", {"account": account})
        return None if row is None else _head(Chain.ORDER, row)

    def page(self, chain: Chain, account: str, *, after: int, limit: int) -> list[ChainedEvent]:
        """Links with sequence > after, ascending."""
        rows = self._session.all(_PAGES[chain], {"account": account, "after": after, "limit": limit}, binary=True)
        return [
            ChainedEvent(
                chain=chain,
                account=account,
                sequence=row.pop("chain_sequence"),
                previous=row.pop("previous_hash"),
                hash=row.pop("hash"),
                facts=row if chain is Chain.ORDER else control_facts(row),
            )
            for row in rows
        ]

    def span(self, chain: Chain, account: str, *, since: datetime, until: datetime) -> tuple[int, int] | None:
        """The first and the last link of events with since ≤ at < until."""
        row = self._session.one(_SPANS[chain], {"account": account, "since": since, "until": until})
        return None if row is None or row["first"] is None else (row["first"], row["last"])

    def unchained(self) -> list[ChainedEvent]:
        """Control events that no chain covers yet, oldest first."""
        rows = self._session.all("unchained_events", {"limit": _BATCH})
        return [
            ChainedEvent(
                chain=Chain.CONTROL,
                account=row["account"],
                sequence=0,
                previous="",
                hash="",
                facts=control_facts(row),
            )
            for row in rows
        ]

    def rights(self) -> WriterRights:
        """What whoever writes here could rewrite."""
        rows = self._session.all("writer_rights")
        return WriterRights(
            user=str(rows[0]["writer"]),
            rewritable=tuple(row["table_name"] for row in rows if row["may_rewrite"]),
            unguarded=tuple(row["table_name"] for row in rows if not row["is_guarded"]),
        )

    def _links(self, waiting: list[Row], heads: dict[str, tuple[int, str]]) -> dict[str, Any]:
        """The next links of each account's chain, column by column; `heads` moves along."""
        links: list[tuple[object, ...]] = []
        for event in waiting:
            account = event["account"]
            length, previous = heads.get(account) or self._control_head(account)
            head = chain_hash(previous, control_facts(event))
            links.append((account, length + 1, event["event_id"], previous, head))
            heads[account] = (length + 1, head)
        columns = ("accounts", "sequences", "events", "previous", "hashes")
        return dict(zip(columns, (list(column) for column in zip(*links, strict=True)), strict=True))

    def _control_head(self, account: str) -> tuple[int, str]:
        row = self._session.one("control_chain_head", {"account": account})
        return (0, "") if row is None else (row["chain_sequence"], row["hash"])


def control_facts(row: Row) -> dict[str, object]:
    """What the audit chain's hash covers of a row of control_event, times in UTC.

    A column that is added to the table is covered where it says something, so that older rows keep their hashes.
    """
    return {name: value for name, value in row.items() if name in _COVERED or value is not None}


def _head(chain: Chain, row: Row) -> ChainHead:
    return ChainHead(chain=chain, account=row["account"], sequence=row["chain_sequence"], hash=row["hash"])
