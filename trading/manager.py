"""TradingManager: the composition root. Flows over this process's connections; nothing else knows how things fit."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

from trading.adapters.disk import require_room
from trading.adapters.file_anchors import FileAnchors
from trading.adapters.venue_address import target_at
from trading.adapters.venue_capabilities import capabilities
from trading.config.secrets import KeyId
from trading.connections import PROJECT, Connections
from trading.domain.conformance import Examination
from trading.flows.adopt import Adopt
from trading.flows.audit import Audit
from trading.flows.bound_strategies import bound_strategies, chosen_strategies, ingest_requests
from trading.flows.certify import Certify
from trading.flows.deploy import Deploy
from trading.flows.enforce_halt import EnforceHalt
from trading.flows.evaluate import Evaluate, Strategy
from trading.flows.explain import Explain
from trading.flows.flatten import Flatten
from trading.flows.halt import Halt
from trading.flows.ingest import Ingest, IngestRequest
from trading.flows.lease import RenewLease
from trading.flows.open_account import OpenAccount
from trading.flows.place import Place
from trading.flows.reconcile import Reconcile
from trading.flows.report import Report
from trading.flows.restored import Restored
from trading.flows.resume import Resume
from trading.flows.risk_view import Risk
from trading.flows.sign import Sign
from trading.flows.standing import Standing


class TradingManager(Connections):
    """One process's way to the pipeline: settings in, flows out."""

    @property
    def audit(self) -> Audit:
        """The audit log: anchored, verified and handed on."""
        anchors = FileAnchors(self.config.home / "audit")
        return Audit(
            self.ledger, anchors, account=self.config.account, secret=lambda: self.secrets.get_audit_secret().reveal()
        )

    def strategies(self) -> list[Strategy]:
        """The portfolio's enabled strategies, bound to their checked parameters."""
        return bound_strategies(self.portfolio)

    def ingest_requests(self, timeframes: Sequence[str] | None = None, **window: Any) -> list[IngestRequest]:
        """One request a timeframe, of as much history as needed; `window`: instruments, since, until."""
        return ingest_requests(self.portfolio, timeframes, named_in=str(self.config.portfolio_path), **window)

    @property
    def ingest(self) -> Ingest:
        """Candles into the store."""
        return Ingest(self.ledger, self.market, self.clock)

    def evaluate(self, names: Sequence[str] | None = None) -> Evaluate:
        """Candles to decisions; of these strategies only, where they are named."""
        chosen = chosen_strategies(self.portfolio, names, named_in=str(self.config.portfolio_path))
        return Evaluate(self.ledger, self.clock, chosen)

    @property
    def place(self) -> Place:
        """Decisions to orders."""
        return Place(
            self.ledger,
            self.venue,
            self.market,
            self.clock,
            account=self.config.account,
            portfolio=self.portfolio,
            recv_window_ms=self.config.recv_window_ms,
            witness=self.witness,
            required=self.required_conformance,
            require_room=partial(require_room, self.config.log_path.parent),
        )

    def certify(self, venue: str) -> Certify:
        """The venue's conformance test. Raises ConfigurationError where it may not be tested at this address."""
        config = self.config
        target = target_at(venue, config.exchange_url, timeout_s=config.api_timeout_s)
        examination = Examination(
            venue=venue,
            target=target,
            address=config.exchange_url,
            instrument=self.portfolio.instruments[0],
            code_version=version(PROJECT),
            ccxt_version=version("ccxt"),
            recv_window_ms=config.recv_window_ms,
            max_clock_skew_ms=self.portfolio.limits.max_clock_skew_ms,
            visibility_lag_s=config.visibility_lag_s,
            codes=capabilities(venue).codes,
        )
        return Certify(self.ledger, self.venue, self.market, self.clock, examination)

    @property
    def reconcile(self) -> Reconcile:
        """The venue's book into ours."""
        return Reconcile(
            self.ledger,
            self.venue,
            self.clock,
            account=self.config.account,
            horizon=self.horizon,
            rest=timedelta(seconds=self.portfolio.rest_s),
            protective_on_halt=self.portfolio.protective_on_halt,
            witness=self.witness,
            audit=self.audit,
        )

    @property
    def adopt(self) -> Adopt:
        """What happened outside into the ledger."""
        return Adopt(self.ledger, self.venue, self.clock, account=self.config.account, horizon=self.horizon)

    @property
    def restored(self) -> Restored:
        """The ledger came from a backup."""
        return Restored(self.ledger, self.clock, self.witness, account=self.config.account)

    @property
    def lease(self) -> RenewLease:
        """The dead man's switch."""
        return RenewLease(self.ledger, self.market, self.clock, account=self.config.account, portfolio=self.portfolio)

    @property
    def open_account(self) -> OpenAccount:
        """A new account, halted."""
        config = self.config
        return OpenAccount(self.ledger, self.clock, account=config.account, venue=config.venue, mode=config.mode)

    @property
    def halt(self) -> Halt:
        """No order from here on."""
        return Halt(self.ledger, self.clock, account=self.config.account)

    @property
    def risk(self) -> Risk:
        """The limits: looking at them, applying others, enabling what they disabled."""
        return Risk(self.ledger, self.market, self.clock, account=self.config.account, portfolio=self.portfolio)

    @property
    def deploy(self) -> Deploy:
        """The version of this process may trade."""
        return Deploy(self.ledger, self.clock)

    @property
    def enforce_halt(self) -> EnforceHalt:
        """What rests at the venue and is forbidden goes, and the halt's effect is on record."""
        return EnforceHalt(
            self.ledger,
            self.venue,
            self.clock,
            account=self.config.account,
            horizon=self.horizon,
            protective_on_halt=self.portfolio.protective_on_halt,
            another=self.another_venue,
        )

    @property
    def flatten(self) -> Flatten:
        """What is held is sold while halted, under a signed override."""
        return Flatten(
            self.ledger,
            self.venue,
            self.market,
            self.clock,
            account=self.config.account,
            portfolio=self.portfolio,
            recv_window_ms=self.config.recv_window_ms,
            reconcile=self.reconcile.run,
        )

    @property
    def resume(self) -> Resume:
        """The end of a halt, or leave to reduce, by a signed override."""
        return Resume(
            self.ledger,
            self.clock,
            account=self.config.account,
            environment=self.config.mode,
            keys={key.name: key.reveal() for key in self.secrets.kill_switch_keys()},
            dual_control=self.config.dual_control,
        )

    @property
    def report(self) -> Report:
        """Where the account stands."""
        return Report(self.ledger, account=self.config.account, portfolio=self.portfolio)

    @property
    def explain(self) -> Explain:
        """Why a run did or did not trade."""
        return Explain(self.ledger, account=self.config.account)

    @property
    def standing(self) -> Standing:
        """The halts that stand."""
        return Standing(self.ledger, account=self.config.account, environment=self.config.mode)

    def sign(self, key_id: KeyId = "kill_switch_secret") -> Sign:
        """Tokens, signed with this machine's key of that name."""
        key = self.secrets.get_kill_switch_key(key_id)
        return Sign(self.clock, environment=self.config.mode, key_id=key.name, key=key.reveal)
