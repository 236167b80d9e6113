"""What the first-run steps ask of the trading pipeline: a seam, so that they know neither ledger nor exchange."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

#: Told after each part how many candles of how many are stored.
Progress = Callable[[int, int], None]


class Pipeline(Protocol):
    """One account's pipeline, on a database and an exchange that run."""

    def migrate(self) -> None:
        """Bring our schema up to date; Airflow's tables are there already."""
        ...

    def open_account(self) -> str:
        """Open a new account (halted; in replay released by a self-signed override), and say what was done."""
        ...

    def load_history(self, progress: Progress) -> int:
        """Ingest the candles that the strategies need before their first decision; how many are stored."""
        ...

    def summary(self) -> Mapping[str, object]:
        """Counts and amounts as they stand: candles, decisions, orders, fills, open_orders, discrepancies, equity."""
        ...

    def why(self) -> Sequence[str]:
        """One line a step from signal to order: what is shown where a cycle ends without an order."""
        ...


#: Builds the pipeline from the environment of the instance, in which the database's address is final.
PipelineFactory = Callable[[Mapping[str, str]], Pipeline]
