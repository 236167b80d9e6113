"""The steps from an empty folder to a pipeline that trades, as many at once as the machine's cores make use of."""

import hashlib
import json
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from trading.clock import Clock
from trading.config.settings import TradingConfig
from trading.local import embedded_postgres, first_cycle
from trading.local.airflow_api import AirflowApi
from trading.local.airflow_environment import AirflowFolders
from trading.local.embedded_postgres import EmbeddedPostgres
from trading.local.first_cycle import Cycle
from trading.local.pipeline import Pipeline, PipelineFactory
from trading.local.process_environment import airflow_process_environment, base_environment
from trading.local.replay_end import ReplayEnd
from trading.local.screen import Screen
from trading.local.supervisor import Component, ComponentFailed, Supervisor, write_private

UI_USER: Final = "admin"
#: What the paper account starts with, in quote currency.
PAPER_BALANCES: Final = {"USDT": "100000"}
#: Stages of stopping: Airflow before the exchange that its tasks talk to.
_EXCHANGE_STAGE: Final = 0
_AIRFLOW_STAGE: Final = 1
_GIVE_UP_S: Final = first_cycle.GIVE_UP_S
_POLL_S: Final = 0.1
_ONCE_LEAST_S: Final = 20.0
_QUIET_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Started:
    """What an instance came to after its first cycle."""

    pipeline: Pipeline
    summary: Mapping[str, object]
    cycle: Cycle


class StartUp:
    """The steps of one start. `run` is called in a thread; stopping the supervisor makes it raise."""

    def __init__(
        self,
        *,
        config: TradingConfig,
        environ: Mapping[str, str],
        clock: Clock,
        screen: Screen,
        supervisor: Supervisor,
        postgres: EmbeddedPostgres,
        pipeline_factory: PipelineFactory,
    ) -> None:
        self._config = config
        self._environ = environ
        self._clock = clock
        self._screen = screen
        self._supervisor = supervisor
        self._postgres = postgres
        self._pipeline_factory = pipeline_factory
        self._began_at = clock.now()

    def run(self, *, once: bool) -> Started:
        """All steps, in order of need. Raises ComponentFailed, or whatever the pipeline raises."""
        config = self._config
        secrets = _Task(self._make_secrets)
        url = self._database()
        secrets.result()
        exchange = _Task(self._start_exchange)
        environment = airflow_process_environment(config, self._environ, url)
        self._write_airflow_files()
        self._migrate_airflow(environment, url)
        pipeline = self._pipeline_factory(environment)
        with self._screen.step("migrations"):
            pipeline.migrate()
        self._start_airflow(environment)
        exchange.result()
        with self._screen.step("account"):
            opened = pipeline.open_account()
        if opened:
            self._screen.line(f"  {opened}")
        with self._screen.step("history") as progress:
            pipeline.load_history(progress)
        self._start_alerts(environment)
        api = AirflowApi(f"http://127.0.0.1:{config.ui_port}", user=UI_USER, password=self._password())
        with self._screen.step("Airflow"), self._logs_of("api-server", "scheduler"):
            ended = first_cycle.end_interrupted_runs(api, self._clock, before=self._began_at)
            if ended:
                self._screen.line(f"  {ended} runs that the last stop had interrupted are marked as failed")
            first_cycle.wait_until_healthy(api, self._clock)
            first_cycle.wait_for_dags(api, self._clock)
        return self._first_cycle(api, pipeline, once=once)

    def _first_cycle(self, api: AirflowApi, pipeline: Pipeline, *, once: bool) -> Started:
        if once:
            with self._screen.step("waiting for a candle"):
                first_cycle.wait_for_candle(self._clock, least_s=_ONCE_LEAST_S)
        with self._screen.step("first cycle"), self._logs_of("scheduler"):
            cycle = first_cycle.run_cycle(api, self._clock)
            if once:
                first_cycle.wait_until_quiet(api, self._clock, limit_s=_QUIET_S)
        return Started(pipeline, pipeline.summary(), cycle)

    @contextmanager
    def _logs_of(self, *names: str) -> Iterator[None]:
        """End what is given up with the last lines of these components' logs."""
        try:
            yield
        except ComponentFailed as error:
            logs = "\n".join(self._supervisor.last_lines(name) for name in names)
            raise ComponentFailed(f"{error}; {logs}") from error

    def _make_secrets(self) -> None:
        config = self._config
        if config.secrets_dir != config.root / "secrets" and "TRADING_SECRETS_DIR" not in self._environ:
            return  # mounted by whoever runs this container: not ours to write
        with self._screen.step("secrets"):
            command = ("bash", str(config.root / "scripts" / "init-secrets.sh"), str(config.secrets_dir))
            script = Component(
                name="secrets", command=command, environment=base_environment(self._config, self._environ)
            )
            self._supervisor.run(script, limit_s=60)

    def _database(self) -> str:
        """The database's address: the embedded one's, started here, or the one that was given."""
        if self._config.database_url is not None:
            return self._config.database_url.reveal()
        with self._screen.step("PostgreSQL"):
            return self._postgres.start()

    def _write_airflow_files(self) -> None:
        folders = AirflowFolders(home=self._config.home)
        folders.create()
        write_private(folders.passwords, json.dumps({UI_USER: self._password()}))

    def _migrate_airflow(self, environment: Mapping[str, str], url: str) -> None:
        """`airflow db migrate`, unless the embedded database says that this version of Airflow has done it before."""
        stamp = self._config.home / "run" / "airflow_migrated.json"
        revision = ""
        if self._config.database_url is None:
            revision = embedded_postgres.query(url, "SELECT version_num FROM public.alembic_version")
        mark = _migration_mark(url, revision)
        if revision and stamp.exists() and stamp.read_text() == mark:
            return
        with self._screen.step("Airflow's tables"):
            command = (sys.executable, "-m", "airflow", "db", "migrate")
            self._supervisor.run(
                Component(name="airflow-migrate", command=command, environment=environment), limit_s=_GIVE_UP_S
            )
        if self._config.database_url is None:
            revision = embedded_postgres.query(url, "SELECT version_num FROM public.alembic_version")
            write_private(stamp, _migration_mark(url, revision))

    def _start_exchange(self) -> None:
        config = self._config
        if config.mode not in ("replay", "paper"):
            return
        with self._screen.step("paper exchange"):
            folder = config.home / "exchange"
            folder.mkdir(exist_ok=True, mode=0o700)
            credentials = config.secrets(self._environ).get_exchange_credentials(config.venue, "paper")
            account = {
                "name": "default",
                "api_key": credentials.api_key.reveal(),
                "api_secret": credentials.api_secret.reveal(),
                "balances": PAPER_BALANCES,
            }
            write_private(folder / "accounts.json", json.dumps([account]))
            self._supervisor.start(self._exchange(str(folder / "book.sqlite"), str(folder / "accounts.json")))
            self._wait_for_exchange()
            if config.mode == "replay":
                ReplayEnd(config.home).remember(f"http://127.0.0.1:{config.exchange_port}")

    def _exchange(self, state: str, accounts: str) -> Component:
        port = str(self._config.exchange_port)
        command = (sys.executable, "-m", "trading", "exchange", "serve", "--port", port)
        return Component(
            name="exchange",
            command=(*command, "--state", state, "--accounts", accounts, "--log", str(self._config.log_path)),
            environment=base_environment(self._config, self._environ),
            stage=_EXCHANGE_STAGE,
            patience_s=2.0,
        )

    def _wait_for_exchange(self) -> None:
        address = f"http://127.0.0.1:{self._config.exchange_port}/api/v3/ping"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = self._clock.monotonic() + _GIVE_UP_S
        while self._clock.monotonic() < deadline:
            try:
                with opener.open(address, timeout=2):
                    return
            except OSError:
                self._clock.sleep(_POLL_S)
        why = self._supervisor.last_lines("exchange")
        raise ComponentFailed(f"the paper exchange did not answer at {address} within {_GIVE_UP_S:.0f} s; {why}")

    def _start_airflow(self, environment: Mapping[str, str]) -> None:
        for name, *arguments in (
            ("api-server",),
            ("scheduler", "--skip-serve-logs"),
            ("dag-processor",),
            ("triggerer", "--skip-serve-logs"),
        ):
            self._supervisor.start(
                Component(
                    name=name,
                    command=(sys.executable, "-m", "trading.local.airflow_component", name, *arguments),
                    environment=environment,
                    stage=_AIRFLOW_STAGE,
                )
            )

    def _start_alerts(self, environment: Mapping[str, str]) -> None:
        """Apart from Airflow, so that somebody is left to tell that it died."""
        command = (sys.executable, "-m", "trading", "alerts", "watch")
        self._supervisor.start(
            Component(name="alerts", command=command, environment=environment, stage=_EXCHANGE_STAGE, patience_s=2.0)
        )

    def _password(self) -> str:
        return self._config.secrets(self._environ).get_secret("ui_admin_password").reveal()


class _Task:
    """A step beside the others; `result` waits for it and raises what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> None:
        """Wait for the end."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that asks for the result
            self._error = error


def _migration_mark(url: str, revision: str) -> str:
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return json.dumps({"airflow": version("apache-airflow-core"), "revision": revision, "database": digest})
