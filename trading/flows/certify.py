"""Certify: test whether a venue does what our orders rest on, and keep what came of it."""

from trading.clock import Clock
from trading.domain.conformance import Conformance, Examination
from trading.domain.ids import Run
from trading.flows.examination import Candidate, Show
from trading.flows.recording import recorded
from trading.ports.ledger import Ledger
from trading.ports.market import MarketData, Venue


class Certify:
    """Test a venue's conformance, and keep the result."""

    def __init__(
        self, ledger: Ledger, venue: Venue, market: MarketData, clock: Clock, examination: Examination
    ) -> None:
        self._ledger = ledger
        self._venue = venue
        self._market = market
        self._clock = clock
        self._examination = examination

    def run(self, run: Run, show: Show) -> Conformance:
        """Every step, whatever fails; the result is in the ledger. Nothing of it stays open at the venue."""
        return recorded(self._ledger, self._clock, run, "certify", lambda: self._certify(run, show))

    def _certify(self, run: Run, show: Show) -> Conformance:
        what, at = self._examination, self._clock.now()
        steps = Candidate(self._venue, self._market, self._clock, what, at).steps(show)
        conformance = Conformance(
            venue=what.venue,
            target=what.target,
            address=what.address,
            at=at,
            code_version=what.code_version,
            ccxt_version=what.ccxt_version,
            steps=tuple(steps),
        )
        with self._ledger.transaction() as books:
            books.conformances.record(conformance, run)
        return conformance
