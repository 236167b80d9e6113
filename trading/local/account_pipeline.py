"""What the first-run steps do with the pipeline itself: migrate, open the account, load history, sum up."""

import getpass
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from trading.adapters.postgres.migrations import migrate
from trading.clock import random_id
from trading.domain.ids import Run
from trading.domain.money import plain, quantise
from trading.errors import ConfigurationError, TradingError
from trading.flows.sign import Wish
from trading.local.pipeline import Progress
from trading.logging.json_logger import setup_json_logging
from trading.logging.log_context import LogContext
from trading.manager import TradingManager

#: How much of the past is there before the first decision, in replay and paper alike.
HISTORY: Final = timedelta(days=3)


class AccountPipeline:
    """One account's pipeline, as `make run` sees it. Its log lines carry a run id of their own."""

    def __init__(self, manager: TradingManager) -> None:
        self._manager = manager
        self._began_at = manager.clock.now()
        started = self._began_at.strftime("%Y%m%dT%H%M%SZ")
        self._run = Run(
            run_id=f"supervisor__{started}__{random_id()[:8]}", dag_id="supervisor", actor=getpass.getuser()
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "AccountPipeline":
        """The pipeline of a running instance, whose environment names its database."""
        manager = TradingManager.from_env(environ)
        setup_json_logging(manager.config.log_path, manager.config.log_level, service="supervisor")
        return cls(manager)

    def migrate(self) -> None:
        """Bring our schema up to date."""
        url = self._manager.config.database_url
        if url is None:
            raise ConfigurationError("no database is named: expected TRADING_DATABASE_URL")
        migrate(url.reveal())
        with self._context():
            self._manager.deploy.run(self._run)

    def open_account(self) -> str:
        """Open a new account, halted; in replay the first halt is released by a self-signed, audited override."""
        manager, config = self._manager, self._manager.config
        with self._context():
            opened = manager.open_account.run(self._run)
            if not opened.opened:
                return "; ".join(f"halt {halt.halt_id} stands: {halt.reason}" for halt in opened.halts)
            if config.mode != "replay" or config.dual_control:
                return (
                    f"account {config.account} is new and halted: release it with a signed override (docs/CONTROLS.md)"
                )
            for halt in opened.halts:
                reason = "first start in replay: paper money on bundled candles"
                wish = Wish(halt_id=halt.halt_id, person=f"make run by {self._run.actor}", reason=reason)
                manager.resume.run(self._run, manager.sign().run(wish))
        return f"account {config.account} opened; its first halt was released by a self-signed override (replay only)"

    def load_history(self, progress: Progress) -> int:
        """Ingest `HISTORY`, or more where a strategy's warm-up needs it; the candles stored."""
        manager = self._manager
        with self._context():
            requests = [request.reaching_back(max(request.history, HISTORY)) for request in manager.ingest_requests()]
            expected = {(r.timeframe, symbol): 0 for r in requests for symbol in r.instruments}
            done = dict(expected)

            def show(timeframe: str, symbol: str, so_far: int, of: int) -> None:
                done[timeframe, symbol], expected[timeframe, symbol] = so_far, of
                progress(sum(done.values()), sum(expected.values()))

            stored = manager.ingest.run(self._run, requests, show).inserted
            # The DAG kill_switch renews it from the next minute on; the first cycle should not wait for that.
            manager.lease.run(self._run)
            return stored

    def summary(self) -> Mapping[str, object]:
        """Counts of the runs since the start, and where the account stands."""
        standing = self._manager.report.standing(self._began_at)
        sent = ("sent", "rejected", "outcome_unknown")
        return {
            "candles": standing.count("candles", "ingest"),
            "decisions": standing.count("decisions", "evaluate"),
            "orders": sum(standing.count(name, "place") for name in sent),
            "fills": standing.count("fills", "reconcile", "reconcile_before", "reconcile_after"),
            "open_orders": standing.open_orders,
            "discrepancies": standing.discrepancies,
            "equity": plain(quantise(standing.equity, 2)),
            "halts": len(standing.halts),
        }

    def why(self) -> Sequence[str]:
        """One line a step from signal to order, of the newest placing."""
        try:
            return self._manager.explain.run().lines()
        except TradingError as error:
            return [str(error)]

    def _context(self) -> LogContext:
        return LogContext(correlation_id=self._run.run_id, dag_id=self._run.dag_id, run_id=self._run.run_id)
