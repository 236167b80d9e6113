"""Connections: what one process is connected to. Adapters are built here and nowhere else."""

import os
from collections.abc import Mapping
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, Final, Self

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.file_witness import FileWitness
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import Clock, SystemClock
from trading.config.portfolio import load_portfolio
from trading.config.secrets import SecretsManager
from trading.config.settings import TradingConfig
from trading.domain.conformance import ConformanceRequired
from trading.domain.portfolio import Portfolio
from trading.domain.venue_order import Horizon
from trading.errors import ConfigurationError
from trading.flows.limits_in_force import recorded_limits
from trading.logging.redaction import register_secret
from trading.strategies import registry

#: The project as its installation names it.
PROJECT: Final = "airflow-crypto-trading"


class Connections:
    """Settings in, ports out. Whatever costs something is opened when it is first needed."""

    def __init__(
        self, config: TradingConfig, *, clock: Clock | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._environ = environ

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """As the environment describes it. Raises ConfigurationError."""
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
        if self.config.database_url is None:
            raise ConfigurationError(
                "no database is named: expected TRADING_DATABASE_URL or the secret database_url; `make run` starts an"
                " embedded one, which `trading status` shows while it runs"
            )
        return PostgresLedger(partial(self.config.database_urls, self.secrets), code_version=version(PROJECT))

    @cached_property
    def market(self) -> CcxtExchange:
        """Market data of the venue that takes the orders."""
        return self._exchange()

    @cached_property
    def venue(self) -> CcxtExchange:
        """The order desk. Only its address and credentials differ between modes."""
        return self.another_venue()

    def another_venue(self) -> CcxtExchange:
        """One more connection of the order desk, for a thread of its own."""
        purpose = "paper" if self.config.mode in ("replay", "paper") else "trading"
        credentials = self.secrets.get_exchange_credentials(self.config.venue, purpose)
        key, secret = credentials.api_key, credentials.api_secret
        both = f"{key.name} and {secret.name}"
        return self._exchange(api_key=key.reveal, api_secret=secret.reveal, secrets_named=both)

    def _exchange(self, **signing: Any) -> CcxtExchange:
        self._require_finished_mode()
        return CcxtExchange(
            self.config.venue,
            clock=self.clock,
            base_url=self.config.exchange_url,
            recv_window_ms=self.config.recv_window_ms,
            api_timeout_s=self.config.api_timeout_s,
            **signing,
        )

    @property
    def witness(self) -> FileWitness:
        """What is remembered of the ledger outside of it."""
        return FileWitness(self.config.home / "witness" / f"{self.config.account}.json")

    def _require_finished_mode(self) -> None:
        why = {
            "paper": "the paper exchange cannot follow live prices yet",
            "live": "its controls (docs/CONTROLS.md) are not complete yet",
        }.get(self.config.mode)
        if why:
            mode = self.config.mode
            raise ConfigurationError(f"TRADING_MODE={mode} is not there yet, since {why}: expected replay or sandbox")

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

    def close(self) -> None:
        """Give up the database's connection, where there is one."""
        if "ledger" in self.__dict__:
            self.ledger.close()
