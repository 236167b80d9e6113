"""Audit: read both chains of every account, verify them, or hand them on."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from trading.domain.audit import (
    Anchor,
    AuditReport,
    AuditSpan,
    Chain,
    ChainedEvent,
    ChainHead,
    Verification,
    sign_anchor,
)
from trading.flows.anchor import anchor_heads
from trading.ports.audit import AnchorLog
from trading.ports.ledger import Ledger

#: Links that are read at once.
PAGE: Final = 10_000

#: Told after each page: whose chain, how many of its events were read, and how many there are.
Progress = Callable[[str, int, int], object]


def _silent(_whose: str, _done: int, _expected: int) -> None:
    """Nobody looks on."""


class Audit:
    """The audit log of every account in the database, page by page. Only anchoring writes."""

    def __init__(
        self, ledger: Ledger, anchors: AnchorLog, *, account: str, secret: Callable[[], str], page: int = PAGE
    ) -> None:
        self._ledger = ledger
        self._anchors = anchors
        self._account = account
        self._secret = secret
        self._page = page

    def anchor(self) -> None:
        """Keep the heads of this account's chains outside the database; after each reconciliation."""
        anchor_heads(self._ledger, self._anchors, self._account, self._secret)

    def verify(self, *, signed: bool = True, progress: Progress = _silent) -> AuditReport:
        """Recompute every hash, and compare with what was anchored, by whom ever where not `signed`."""
        secret = self._secret() if signed else None
        anchors, unreadable = self._anchors.read()  # first: what is committed from here on is anchored later
        verification = Verification(anchors=anchors, secret=secret)
        verification.unreadable(unreadable)
        with self._ledger.transaction() as books:
            accounts = books.audit.accounts()
        for account in accounts:
            for chain in Chain:
                before = self._remembered(chain, account)
                for event in self._events(chain, account, progress):
                    verification.see(event)
                after = self._remembered(chain, account)
                if before is not None and after is not None:
                    verification.compare_head(before, after)
        return verification.finish()

    def export(
        self, *, since: datetime, until: datetime, at: datetime, progress: Progress = _silent
    ) -> tuple[list[AuditSpan], Iterator[Anchor | ChainedEvent]]:
        """What was recorded in a period: which links these are, and then their anchors and the events.

        Each chain's last link is anchored anew, so that nobody can shorten the export.
        """
        secret, spans = self._secret(), []
        with self._ledger.transaction() as books:
            for account in books.audit.accounts():
                for chain in Chain:
                    found = books.audit.span(chain, account, since=since, until=until)
                    if found is not None:
                        spans.append(AuditSpan(chain=chain, account=account, first=found[0], last=found[1]))
        return spans, self._items(spans, secret, at, progress)

    def newest(self, chain: Chain, account: str, count: int) -> list[ChainedEvent]:
        """The end of a chain, oldest first."""
        with self._ledger.transaction() as books:
            heads = {(head.chain, head.account): head.sequence for head in books.audit.heads(account)}
            length = heads.get((chain, account), 0)
            return books.audit.page(chain, account, after=max(0, length - count), limit=count)

    def after(self, chain: Chain, account: str, sequence: int) -> list[ChainedEvent]:
        """What came after a link."""
        with self._ledger.transaction() as books:
            return books.audit.page(chain, account, after=sequence, limit=self._page)

    def unchained(self) -> list[ChainedEvent]:
        """Control events that are chained by the next reconciliation."""
        with self._ledger.transaction() as books:
            return books.audit.unchained()

    def _items(
        self, spans: list[AuditSpan], secret: str, at: datetime, progress: Progress
    ) -> Iterator[Anchor | ChainedEvent]:
        by_chain = {(span.chain, span.account): span for span in spans}
        for anchor in self._anchors.read()[0]:
            span = by_chain.get((anchor.head.chain, anchor.head.account))
            if span is not None and span.first <= anchor.head.sequence <= span.last:
                yield anchor
        for span in spans:
            for event in self.after(span.chain, span.account, span.last - 1)[:1]:
                yield sign_anchor(_head_of(event), at, secret)
        for span in spans:
            for event in self._events(span.chain, span.account, progress, after=span.first - 1):
                if event.sequence > span.last:
                    break
                yield event

    def _events(self, chain: Chain, account: str, progress: Progress, *, after: int = 0) -> Iterator[ChainedEvent]:
        whose, done = f"{chain} {account}", 0
        with self._ledger.transaction() as books:
            heads = {(head.chain, head.account): head.sequence for head in books.audit.heads(account)}
        expected = heads.get((chain, account), 0) - after
        while True:
            # A transaction a page: whoever looks on or writes to a file meanwhile holds nothing up.
            with self._ledger.transaction() as books:
                page = books.audit.page(chain, account, after=after, limit=self._page)
            if not page:
                return
            yield from page
            done += len(page)
            after = max(page[-1].sequence, after + 1)
            progress(whose, done, max(done, expected))

    def _remembered(self, chain: Chain, account: str) -> ChainHead | None:
        if chain is not Chain.ORDER:
            return None
        with self._ledger.transaction() as books:
            return books.audit.remembered_head(account)


def verify_items(items: Iterable[AuditSpan | Anchor | ChainedEvent], secret: str | None) -> AuditReport:
    """The same of an export, which needs no database: its spans, then its anchors, then its events."""
    spans: list[AuditSpan] = []
    anchors: list[Anchor] = []
    verification: Verification | None = None
    for item in items:
        if isinstance(item, AuditSpan):
            spans.append(item)
        elif isinstance(item, Anchor):
            anchors.append(item)
        else:
            verification = verification or Verification(anchors=anchors, secret=secret, partial=True)
            verification.see(item)
    verification = verification or Verification(anchors=anchors, secret=secret, partial=True)
    for span in spans:
        verification.expect(span)
    return verification.finish()


def _head_of(event: ChainedEvent) -> ChainHead:
    return ChainHead(chain=event.chain, account=event.account, sequence=event.sequence, hash=event.hash)
