"""Whatever is engaged, paused, unpaused, killed, released or left to expire: no way leads to a POST while halted.

The rules of what may be sent are written out a second time here, by what the test itself did to the desk.
"""

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.desk import Behind, Desk, DiedHere, plan, portfolio
from trading.domain.kill_switch import ControlEvent, ControlKind, HaltLevel
from trading.domain.order import Purpose, Side
from trading.domain.override import OverrideRefused
from trading.domain.scope import Scope
from trading.errors import TradingError
from trading.flows.lease import LEASE

SCOPES = ("all", "account:replay", "account:other", "strategy:sma", "strategy:hold", "instrument:BTC/USDT")
WEIGHTS = st.sampled_from([(0.0, 0.0), (0.5, 0.3), (0.2, 0.5), (0.0, 0.9)])


class Halts(RuleBasedStateMachine):
    """A desk of two strategies, and what the test knows of its halts, grants, pause and lease."""

    @initialize()
    def open(self) -> None:
        self.desk = Desk(portfolio_=portfolio(plan("sma"), plan("hold")), volume=1_000_000.0).open()
        self.standing: dict[int, tuple[str, HaltLevel]] = {}
        self.grants: list[tuple[int, str, Any]] = []
        self.paused = False
        self.readable = True
        self.leased_until = self.desk.clock.now() + LEASE
        self.dies = ""
        self.tokens = 0
        submit = self.desk.memory_venue.submit

        def checked(request: Any) -> Any:
            """The venue's door: what arrives here must be allowed now."""
            if self.dies == "before":
                raise DiedHere
            self._require_allowed(request)
            answer = submit(request)
            if self.dies == "after":
                raise DiedHere
            return answer

        self.desk.venue = Behind(self.desk.memory_venue, submit=checked)

    def _require_allowed(self, request: Any) -> None:
        (order,) = [one for one in self.desk.orders() if one.client_order_id == request.client_order_id]
        intent, now = order.intent, self.desk.clock.now()
        assert self.readable, "sent while nobody could say whether the DAG is paused"
        of = {"account": intent.account, "strategy": intent.strategy, "instrument": intent.instrument}
        covering = {key: level for key, (scope, level) in self.standing.items() if Scope.parse(scope).covers(**of)}
        halting = {key for key, level in covering.items() if level is HaltLevel.HALT}
        leave = {key for key, scope, until in self.grants if until > now and Scope.parse(scope).covers(**of)}
        if intent.purpose is Purpose.FLATTEN:
            assert intent.side is Side.SELL
            assert leave >= halting
            assert leave
            return
        assert not halting, f"{intent.purpose} {intent.side} was sent while halted by {halting}"
        assert not self.paused, "sent while Airflow said that the DAG is paused"
        assert now < self.leased_until, "sent without a lease"
        assert not covering or intent.side is Side.SELL, "exposure rose while entries were paused"

    # what people do

    @rule(scope=st.sampled_from(SCOPES), level=st.sampled_from(HaltLevel))
    def engage(self, scope: str, level: HaltLevel) -> None:
        if scope == "account:other":  # never opened here: refused, and nothing stands
            return
        self.standing[self.desk.halt(scope=scope, level=level)] = (scope, level)

    @rule()
    def pause(self) -> None:
        """The latch engages in the pausing transaction."""
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author="airflow:pause",
            reason="the DAG kill_switch was paused",
            at=self.desk.clock.now(),
            run_id="",
            dag_id="kill_switch",
        )
        with self.desk.store.transaction() as books:
            self.standing[books.control.engage("*", event)] = ("all", HaltLevel.HALT)
        self.paused = True

    @rule()
    def unpause(self) -> None:
        """Releases nothing."""
        self.paused = False

    @rule(readable=st.booleans())
    def airflow(self, readable: bool) -> None:
        """Its API dies, or comes back."""
        self.readable = readable

    def _is_paused(self) -> bool:
        if not self.readable:
            raise ConnectionError("the API server is down")
        return self.paused

    @precondition(lambda self: self.standing)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Only what is signed for the scope everything can be released here; whatever is refused stands."""
        halt_id = data.draw(st.sampled_from(sorted(self.standing)))
        self.tokens += 1
        try:
            self.desk.resume(halt_id, token_id=f"t{self.tokens}", scope=self.standing[halt_id][0])
        except OverrideRefused:
            return
        del self.standing[halt_id]
        self.grants = [grant for grant in self.grants if grant[0] != halt_id]

    @precondition(lambda self: self.standing)
    @rule(data=st.data(), minutes=st.sampled_from([0.5, 5]))
    def grant(self, data: st.DataObject, minutes: float) -> None:
        halt_id = data.draw(st.sampled_from(sorted(self.standing)))
        scope = self.standing[halt_id][0]
        try:
            self.desk.grant(halt_id, scope=scope, minutes=minutes)
        except OverrideRefused:  # after five refusals within a minute none is looked at
            return
        self.grants.append((halt_id, scope, self.desk.clock.now() + timedelta(minutes=minutes)))

    # what the pipeline does

    @rule(sma=WEIGHTS, hold=WEIGHTS, dies=st.sampled_from(["", "", "", "before", "after"]))
    def trade(self, sma: tuple[float, float], hold: tuple[float, float], dies: str) -> None:
        self.desk.decide(sma=sma, hold=hold)
        self.desk.ingest()
        self.desk.evaluate()
        self._survive(lambda: self.desk.place(self._is_paused), dies)
        if self.paused:  # no trigger latches here: whoever reads the pause halts, where no such halt stands
            seen = {halt.halt_id for halt in self.desk.halts() if halt.author == "airflow:pause"}
            self.standing |= dict.fromkeys(seen, ("all", HaltLevel.HALT))

    @rule(dies=st.sampled_from(["", "", "before", "after"]))
    def flatten(self, dies: str) -> None:
        self._survive(lambda: self.desk.flatten(is_paused=self._is_paused), dies)

    @rule()
    def enforce(self) -> None:
        self._survive(self.desk.enforce, "")

    @rule()
    def reconcile(self) -> None:
        self._survive(self.desk.reconcile, "")

    @rule()
    def renew_lease(self) -> None:
        if not self.paused:
            self.desk.lease()
            self.leased_until = self.desk.clock.now() + LEASE

    @rule(seconds=st.sampled_from([5, 31, 62, 190]))
    def wait(self, seconds: int) -> None:
        self.desk.clock.advance(seconds)

    def _survive(self, flow: Any, dies: str) -> None:
        """A process that runs the flow, and may die around a POST; only our own refusals are expected."""
        self.dies = dies
        try:
            flow()
        except (TradingError, DiedHere):
            pass
        finally:
            self.dies = ""

    @invariant()
    def halts_are_those_that_the_test_knows(self) -> None:
        if hasattr(self, "standing"):
            assert {halt.halt_id for halt in self.desk.halts()} == set(self.standing)


TestHalts = Halts.TestCase
TestHalts.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
