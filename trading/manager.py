"""TradingManager: the composition root. Builds adapters once, and returns flows; nothing else knows how things fit."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from importlib.metadata import version
from typing import Final

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.disk import require_room
from trading.adapters.file_witness import FileWitness
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.venue_address import target_at
from trading.adapters.venue_capabilities import capabilities
from trading.clock import Clock, SystemClock, random_id
from trading.config.portfolio import load_portfolio
from trading.config.secrets import SecretsManager
from trading.config.settings import TradingConfig
from trading.domain.conformance import ConformanceRequired, Examination
from trading.domain.override import MAX_LIFE, Override, sign_override
from trading.domain.portfolio import Portfolio
from trading.domain.venue_order import Horizon
from trading.errors import ConfigurationError
from trading.flows.adopt import Adopt
from trading.flows.bound_strategies import bound_strategies, chosen_strategies, ingest_requests
from trading.flows.certify import Certify
from trading.flows.deploy import Deploy
from trading.flows.evaluate import Evaluate, Strategy
from trading.flows.explain import Explain
from trading.flows.halt import Halt
from trading.flows.ingest import Ingest, IngestRequest
from trading.flows.lease import RenewLease
from trading.flows.limits_in_force import recorded_limits
from trading.flows.open_account import OpenAccount
from trading.flows.place import Place
from trading.flows.reconcile import Reconcile
from trading.flows.report import Report
from trading.flows.restored import Restored
from trading.flows.resume import Resume
from trading.flows.risk_view import Risk
from trading.logging.redaction import register_secret
from trading.strategies import registry

KEY_ID: Final = "kill_switch_secret"  # what `trading killswitch sign` and the release of the first halt use
_PROJECT: Final = "airflow-crypto-trading"


class TradingManager:
    """One process's way to the pipeline: settings in, flows out. Adapters are built when first needed."""

    def __init__(
        self, config: TradingConfig, *, clock: Clock | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._environ = environ

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "TradingManager":
        """The manager that the environment describes. Raises ConfigurationError."""
        return cls(TradingConfig.from_env(environ), environ=environ)

    @cached_property
    def portfolio(self) -> Portfolio:
        """What the desk wants to run."""
        recorded = partial(recorded_limits, lambda: self.ledger, self.config.account)
        names = registry.look_in(self.config.strategies_path)
        return load_portfolio(self.config.portfolio_path, functions=names, recorded=recorded)

    @cached_property
    def secrets(self) -> SecretsManager:
        """Secrets by name; every one that is read is kept out of the logs from then on."""
        return self.config.secrets(self._environ, on_read=register_secret)

    @cached_property
    def ledger(self) -> PostgresLedger:
        """The books."""
        url = self.config.database_url
        if url is None:
            raise ConfigurationError(
                "no database is named: expected TRADING_DATABASE_URL or the secret database_url; `make run` starts an"
                " embedded one, which `trading status` shows while it runs"
            )
        return PostgresLedger(url.reveal(), code_version=version(_PROJECT))

    @cached_property
    def market(self) -> CcxtExchange:
        """Market data of the venue that takes the orders."""
        self._require_finished_mode()
        return CcxtExchange(
            self.config.venue,
            clock=self.clock,
            base_url=self.config.exchange_url,
            api_timeout_s=self.config.api_timeout_s,
        )

    @cached_property
    def venue(self) -> CcxtExchange:
        """The order desk. Only its address and credentials differ between modes."""
        self._require_finished_mode()
        purpose = "paper" if self.config.mode in ("replay", "paper") else "trading"
        credentials = self.secrets.get_exchange_credentials(self.config.venue, purpose)
        return CcxtExchange(
            self.config.venue,
            clock=self.clock,
            base_url=self.config.exchange_url,
            api_key=credentials.api_key.reveal,
            api_secret=credentials.api_secret.reveal,
            secrets_named=" and ".join(secret.name for secret in (credentials.api_key, credentials.api_secret)),
            recv_window_ms=self.config.recv_window_ms,
            api_timeout_s=self.config.api_timeout_s,
        )

    @property
    def witness(self) -> FileWitness:
        """What is remembered of the ledger outside of it."""
        return FileWitness(self.config.home / "witness" / f"{self.config.account}.json")

    def _require_finished_mode(self) -> None:
        """Refuse what is not built yet, rather than do something like it."""
        if self.config.mode in ("paper", "live"):
            why = {
                "paper": "the paper exchange cannot follow live prices yet",
                "live": "its controls (docs/CONTROLS.md) are not complete yet",
            }
            raise ConfigurationError(
                f"TRADING_MODE={self.config.mode} is not there yet, since {why[self.config.mode]}: expected replay or"
                " sandbox"
            )

    @property
    def required_conformance(self) -> ConformanceRequired | None:
        """What the venue must have passed before an order goes there; None where orders go to the paper exchange."""
        if self.config.mode in ("replay", "paper"):
            return None
        return ConformanceRequired(venue=self.config.venue, mode=self.config.mode, ccxt_version=version("ccxt"))

    @property
    def horizon(self) -> Horizon:
        """How long an unanswered order may still turn up."""
        return Horizon(
            clock_skew_s=self.config.clock_skew_s,
            api_timeout_s=self.config.api_timeout_s,
            visibility_lag_s=self.config.visibility_lag_s,
        )

    def strategies(self) -> list[Strategy]:
        """The portfolio's enabled strategies, bound to their checked parameters."""
        return bound_strategies(self.portfolio)

    def ingest_requests(
        self,
        timeframes: Sequence[str] | None = None,
        *,
        instruments: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[IngestRequest]:
        """One request a timeframe of the portfolio, with as much history as its longest warm-up needs."""
        return ingest_requests(
            self.portfolio,
            timeframes,
            instruments=instruments,
            since=since,
            until=until,
            named_in=str(self.config.portfolio_path),
        )

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
            code_version=version(_PROJECT),
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
            witness=self.witness,
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
    def resume(self) -> Resume:
        """The end of a halt, by a signed override."""
        keys = {KEY_ID: self.secrets.get_kill_switch_secret().reveal()}
        return Resume(self.ledger, self.clock, account=self.config.account, environment=self.config.mode, keys=keys)

    @property
    def report(self) -> Report:
        """Where the account stands."""
        return Report(self.ledger, account=self.config.account, portfolio=self.portfolio)

    @property
    def explain(self) -> Explain:
        """Why a run did or did not trade."""
        return Explain(self.ledger, account=self.config.account)

    def sign(self, *, halt_id: int, person: str, reason: str, life: timedelta = MAX_LIFE) -> str:
        """A token that resumes after exactly this halt, signed with this machine's key."""
        # Whole seconds, as in the token; the database's clock may be a little behind ours.
        issued = self.clock.now().replace(microsecond=0)
        override = Override(
            halt_id=halt_id,
            action="resume",
            scope="all",
            environment=self.config.mode,
            subject=person,
            key_id=KEY_ID,
            token_id=random_id(),
            issued_at=issued,
            expires_at=issued + life,
            reason=reason,
        )
        return sign_override(override, self.secrets.get_kill_switch_secret().reveal())

    def close(self) -> None:
        """Give up the database's connection, where there is one."""
        if "ledger" in self.__dict__:
            self.ledger.close()
