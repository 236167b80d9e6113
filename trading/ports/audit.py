"""The audit log: both chains, and what is kept of their heads outside the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading.domain.audit import Anchor, Chain, ChainedEvent, ChainHead


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterRights:
    """Who writes, and which tables of the append-only ones they could rewrite; `unguarded` have lost their trigger."""

    user: str
    rewritable: tuple[str, ...]
    unguarded: tuple[str, ...]


class AuditStore(Protocol):
    """Order and control events as chains. Control events are chained after they were committed."""

    def extend(self) -> int:
        """Chain every control event that no chain covers yet; how many. Whoever else does it now does it for us."""
        ...

    def accounts(self) -> list[str]:
        """Every account that has a chain; `*` is that of events that concern all of them."""
        ...

    def heads(self, account: str) -> list[ChainHead]:
        """The newest links of the account's two chains, and of the control events that concern every account."""
        ...

    def remembered_head(self, account: str) -> ChainHead | None:
        """What the account's own row says of its order chain."""
        ...

    def page(self, chain: Chain, account: str, *, after: int, limit: int) -> list[ChainedEvent]:
        """Links with sequence > after, ascending."""
        ...

    def span(self, chain: Chain, account: str, *, since: datetime, until: datetime) -> tuple[int, int] | None:
        """The first and the last link of events with since ≤ at < until; None where there is none."""
        ...

    def unchained(self) -> list[ChainedEvent]:
        """Control events that no chain covers yet, oldest first, without sequence and hashes."""
        ...

    def rights(self) -> WriterRights:
        """What whoever writes here could rewrite."""
        ...


class AnchorLog(Protocol):
    """Heads that were seen committed, kept outside the database, append-only."""

    def append(self, anchors: Sequence[Anchor]) -> None:
        """Add these, durably. Raises ConfigurationError where that cannot be done."""
        ...

    def newest(self) -> list[Anchor]:
        """The last ones that were added, at least one of each chain that changed lately, oldest first."""
        ...

    def read(self) -> tuple[list[Anchor], list[str]]:
        """All of them, oldest first, and where a line could not be read."""
        ...
