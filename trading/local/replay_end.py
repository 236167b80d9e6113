"""When the replay's candles end: the whole past is put aside, and the next start is a fresh account.

A new replay is the same candles at other times, so a ledger that went on would hold two pasts of one minute.
"""

import json
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Final

from trading.domain.market import from_ms
from trading.errors import ExchangeUnavailable
from trading.local.supervisor import write_private

#: What belongs to one replay, below $TRADING_HOME.
_OF_ONE_REPLAY: Final = ("postgres", "exchange", "witness", "audit", "run/airflow_migrated.json", "run/replay.json")
_TIMEOUT_S: Final = 5


class ReplayEnd:
    """Remembers, in `home`, when the replay's candles end."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / "run" / "replay.json"

    def remember(self, exchange_url: str) -> None:
        """Ask the paper exchange. Raises ExchangeUnavailable where it does not say."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{exchange_url}/paper/v1/status", timeout=_TIMEOUT_S) as answer:
                ends_at_ms = int(json.load(answer)["ends_at_ms"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExchangeUnavailable(
                f"the paper exchange at {exchange_url} did not say when it ends: {error}"
            ) from None
        write_private(self._path, json.dumps({"ends_at_ms": ends_at_ms}))

    def ends_at(self) -> datetime | None:
        """When the newest replay ends; None where none was started."""
        try:
            return from_ms(json.loads(self._path.read_text())["ends_at_ms"])
        except (OSError, ValueError, KeyError):
            return None

    def has_ended(self, at: datetime) -> bool:
        """Whether no candle is left."""
        ends_at = self.ends_at()
        return ends_at is not None and at >= ends_at

    def put_aside(self, at: datetime) -> Path:
        """Move ledger and book of the ended replay, with nothing of them running, to a folder that this returns."""
        folder = self._home / "ended" / at.strftime("%Y%m%dT%H%M%SZ")
        folder.mkdir(parents=True, mode=0o700)
        for name in _OF_ONE_REPLAY:
            source = self._home / name
            if source.exists():
                source.rename(folder / source.name)
        return folder
