"""Builds what a replay works with: the portfolio's strategies, and a ledger whose role can insert no decision."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trading.adapters.postgres.replay_role import replay_ledger
from trading.errors import ConfigurationError
from trading.flows.bound_strategies import chosen_strategies
from trading.flows.replay import Replay
from trading.manager import TradingManager


@contextmanager
def replay_of(manager: TradingManager, names: Sequence[str] | None = None) -> Iterator[Replay]:
    """A replay of these strategies, or of all that are enabled. Raises ConfigurationError without a database."""
    url = manager.config.database_url
    if url is None:
        raise ConfigurationError("no database is named: expected TRADING_DATABASE_URL or the secret database_url")
    strategies = chosen_strategies(manager.portfolio, names, named_in=str(manager.config.portfolio_path))
    ledger = replay_ledger(url.reveal())
    try:
        yield Replay(ledger, manager.clock, strategies)
    finally:
        ledger.close()
