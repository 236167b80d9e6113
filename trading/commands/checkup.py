"""The checks behind `trading doctor`, each on its own: one that fails never hides another."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

from trading.adapters.postgres import migrations
from trading.adapters.postgres.airflow_pools import airflow_pools
from trading.alerting import Alerting, channel_names
from trading.clock import Clock
from trading.commands.secrets import checked, require_usable
from trading.config.settings import TradingConfig
from trading.domain.conformance import Target
from trading.domain.kill_switch import LatchState
from trading.domain.pools import pools_problem
from trading.errors import ConfigurationError, TradingError
from trading.local.airflow_api import AirflowApi
from trading.local.airflow_environment import AirflowFolders, airflow_environment, inherited
from trading.local.home import Home
from trading.local.instance_environment import environ_of_instance, instance_settings
from trading.manager import TradingManager

_PYTHON: Final = ((3, 11), (3, 14))
_IMPORT_S: Final = 120


class Verdict(StrEnum):
    """What a check found; skipped where something that it needs failed already, or nothing is there to check."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `trading doctor`."""

    name: str
    verdict: Verdict
    sentence: str


class _Skipped(Exception):
    """Nothing to check; its text says why."""


class Checkup:
    """Looks at one installation. `environ` is the caller's; a running instance completes it."""

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._environ = environ
        self._clock = clock
        self._failed: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        """Each check when it is done."""
        checks: tuple[tuple[str, tuple[str, ...], Callable[[], str]], ...] = (
            ("Python", (), _python),
            ("settings", (), self._settings),
            ("portfolio", ("settings",), self._portfolio),
            ("secrets", ("settings",), self._secrets),
            ("logs", ("settings",), self._logs),
            ("database", ("settings",), self._database),
            ("audit log", ("settings", "database"), self._audit_log),
            ("kill switch latch", ("settings", "database"), self._latch),
            ("pools", ("settings", "database"), self._pools),
            ("lease", ("settings", "database"), self._lease),
            ("reconciliation", ("settings", "portfolio", "database"), self._reconciliation),
            ("alerts", ("settings", "secrets"), self._alerts),
            ("exchange", ("settings", "portfolio"), self._exchange),
            ("conformance", ("settings", "database"), self._conformance),
            ("plugins", ("settings", "secrets"), self._plugins),
            ("Airflow", ("settings",), self._airflow),
        )
        try:
            for name, needs, check in checks:
                yield self._finding(name, needs, check)
        finally:
            if "manager" in self.__dict__:
                self.manager.close()

    def _finding(self, name: str, needs: tuple[str, ...], check: Callable[[], str]) -> Finding:
        missing = [need for need in needs if need in self._failed]
        if missing:
            self._failed.add(name)
            return Finding(name, Verdict.SKIPPED, f"not checked: {missing[0]} comes first")
        try:
            return Finding(name, Verdict.GOOD, check())
        except _Skipped as nothing:
            return Finding(name, Verdict.SKIPPED, str(nothing))
        except TradingError as error:
            self._failed.add(name)
            return Finding(name, Verdict.BAD, str(error))
        except Exception as error:  # noqa: BLE001 - a defect in one check must not hide the others
            self._failed.add(name)
            return Finding(name, Verdict.BAD, f"{type(error).__name__}: {error}")

    @cached_property
    def config(self) -> TradingConfig:
        """The settings, completed by the running instance."""
        own = TradingConfig.from_env(self._environ)
        return TradingConfig.from_env({**self._environ, **instance_settings(own, self._environ)})

    @cached_property
    def manager(self) -> TradingManager:
        """The pipeline, with or without a database."""
        return TradingManager(self.config, clock=self._clock, environ=self._environ)

    def _settings(self) -> str:
        return f"mode {self.config.mode}, account {self.config.account}, state in {self.config.home}"

    def _portfolio(self) -> str:
        strategies = self.manager.strategies()
        names = ", ".join(f"{s.plan.name} ({s.plan.timeframe})" for s in strategies)
        if not strategies:
            raise ConfigurationError(f"{self.config.portfolio_path}: expected at least one strategy that is enabled")
        for strategy in strategies:
            if strategy.problem:
                raise ConfigurationError(strategy.problem)
        if self.manager.portfolio.limits_problem:
            raise ConfigurationError(f"the recorded limits stay in force: {self.manager.portfolio.limits_problem}")
        return f"{len(self.manager.portfolio.instruments)} instruments, {names}"

    def _secrets(self) -> str:
        rows = checked(self.config, self._environ)
        require_usable(rows)
        return f"all {sum(row.needed for row in rows)} that mode {self.config.mode} needs can be read"

    def _logs(self) -> str:
        folder = self.config.log_path.parent
        place = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"{place} is not writable ({error.strerror}): make it so, or set TRADING_HOME"
            ) from None
        return str(self.config.log_path)

    def _database(self) -> str:
        if self.config.database_url is None:
            environ_of_instance(self._environ)  # raises, and says which command to run
        url = self.manager.config.database_url
        version = migrations.current(url.reveal()) if url else ""
        if version != migrations.head():
            raise ConfigurationError(
                f"the schema is at version {version or 'none'}, expected {migrations.head()}: run `trading db migrate`"
            )
        return f"reachable, schema at version {version}"

    def _audit_log(self) -> str:
        with self.manager.ledger.transaction() as books:
            rights = books.audit.rights()
        if rights.unguarded:
            raise ConfigurationError(
                f"{', '.join(rights.unguarded)} lost the trigger that refuses changes: expected none to; restore it as"
                " the migrations make it"
            )
        if rights.rewritable:
            raise ConfigurationError(
                f"the flows write as {rights.user}, who could rewrite {', '.join(rights.rewritable)}: expected a role"
                " that cannot; run `trading db migrate` as a user that may create roles (docs/OPERATIONS.md)"
            )
        return f"the flows write as {rights.user}, who can rewrite nothing of what is append-only"

    def _latch(self) -> str:
        with self.manager.ledger.transaction() as books:
            latch, halts = books.control.latch(), books.control.halts(self.config.account)
        standing = "; ".join(f"halt {halt.halt_id} stands: {halt.reason}" for halt in halts)
        if latch is LatchState.NO_AIRFLOW_TABLES:
            raise _Skipped(
                "not armed, since Airflow's tables are not in this database: each task asks Airflow before each order"
                " whether kill_switch is paused, and a placing that reads so halts; the command line sends nothing;"
                f" {standing or 'no halt stands'}"
            )
        if latch is not LatchState.ARMED:
            raise ConfigurationError(
                f"pausing the DAG kill_switch does not latch a halt ({latch}): expected armed; `make run` and the"
                " DAG kill_switch arm it where Airflow's tables are in the same database"
            )
        return f"armed; {standing or 'no halt stands'}"

    def _pools(self) -> str:
        url = self.manager.config.database_url
        found = airflow_pools(url.reveal()) if url else None
        if found is None:
            raise _Skipped("Airflow's tables are not in this database: its web UI shows them, under Admin")
        if problem := pools_problem(found):
            raise ConfigurationError(problem)
        return ", ".join(f"{name} {slots}" for name, slots in sorted(found.items()))

    def _lease(self) -> str:
        with self.manager.ledger.transaction() as books:
            until, at = books.control.lease_expires_at(self.config.account), books.now()
        if until is None or until <= at:
            since = f"expired at {_instant(until)}" if until else "was never taken"
            raise ConfigurationError(
                f"the lease {since}, so no entry is sent: the DAG kill_switch renews it each minute, is it paused?"
            )
        return f"valid until {_instant(until)}"

    def _reconciliation(self) -> str:
        with self.manager.ledger.transaction() as books:
            clean, at = books.reconciliations.newest_clean_at(self.config.account), books.now()
        limit_s = self.manager.portfolio.limits.max_reconciliation_age_s
        if clean is None or at - clean > timedelta(seconds=limit_s):
            when = f"was at {_instant(clean)}" if clean else "never happened"
            raise ConfigurationError(
                f"the last clean reconciliation {when}, expected one within {limit_s} s: `trading reconcile` does one"
            )
        return f"last clean at {_instant(clean)}"

    def _alerts(self) -> str:
        names = channel_names(self.manager.secrets)
        if not names:
            raise _Skipped(
                "no channel: nobody is told of a halt; write an Apprise URL into the secret alert_url"
                " (docs/OPERATIONS.md#alerts)"
            )
        told = ", ".join(f"{one.name} ({one.service})" for one in Alerting(self.manager).channels())
        return f"{told}; `trading alerts test` sends to each"

    def _exchange(self) -> str:
        market = self.manager.market
        market.server_time()  # the first call also imports the client, which would count as skew
        before = self._clock.now()
        theirs = market.server_time()
        after = self._clock.now()
        skew_ms = (theirs - (before + (after - before) / 2)).total_seconds() * 1000
        limit_ms = self.manager.portfolio.limits.max_clock_skew_ms
        if abs(skew_ms) > limit_ms:
            raise ConfigurationError(
                f"our clock and the venue's differ by {skew_ms:.0f} ms, expected at most {limit_ms}: set the clock"
            )
        return f"{self.config.exchange_url} answers, clocks differ by {skew_ms:.0f} ms"

    def _conformance(self) -> str:
        required = self.manager.required_conformance
        if required is None:
            return f"none needed in mode {self.config.mode}: orders go to the paper exchange"
        with self.manager.ledger.transaction() as books:
            return required.check(books.conformances.newest(required.venue, Target.SANDBOX))

    def _plugins(self) -> str:
        names = sorted(path.stem for path in (self.config.root / "plugins").glob("*.py"))
        with tempfile.TemporaryDirectory(prefix="trading-doctor-") as folder:
            home, root = Path(folder), self.config.root
            AirflowFolders(home=home).create()
            ours = airflow_environment(home=home, root=root, dags=root / "dags", ui_port=self.config.ui_port)
            # Importing asks for the database's address and never connects: none is needed to know that imports work.
            ours["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", f"import airflow.sdk, {', '.join(names)}"],
                env=inherited(self._environ) | ours,
                capture_output=True,
                text=True,
                timeout=_IMPORT_S,
                check=False,
            )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConfigurationError(f"{', '.join(names)} cannot be imported: {last}")
        return f"{', '.join(names)} can be imported"

    def _airflow(self) -> str:
        state = Home(self.config.home).state()
        if state is None:
            raise _Skipped("no instance runs here: `make run` starts one")
        health = AirflowApi(state.ui_address, user="", password="").health()
        ill = [f"{part} is {said}" for part, said in health.items() if said != "healthy"]
        if ill or not health:
            why = ", ".join(ill) or "it does not answer"
            raise ConfigurationError(f"Airflow at {state.ui_address}: {why}; logs are in {self.config.home / 'logs'}")
        return f"healthy at {state.ui_address}"


def _python() -> str:
    low, high = _PYTHON
    found = sys.version_info[:2]
    if not low <= found < high:
        raise ConfigurationError(f"Python {found[0]}.{found[1]} runs this: expected 3.11, 3.12 or 3.13")
    return f"{sys.version.split()[0]} in {Path(sys.executable).parent}"


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%SZ")
