"""The alerts' own composition root: what the manager has, with the channels that the secrets name.

It stands beside the manager: nothing that alerts people is built where orders are sent.
"""

import logging
from functools import cached_property, partial
from typing import Final

from trading.adapters.apprise_alerts import AppriseAlerts
from trading.adapters.disk import require_room
from trading.config.portfolio import load_portfolio
from trading.config.secrets import SecretsManager
from trading.domain.portfolio import Portfolio
from trading.errors import ConfigurationError, TradingError
from trading.flows.tell import Tell
from trading.flows.watch import ReportFailure, Watch
from trading.logging.events import log_event
from trading.logging.redaction import register_address
from trading.manager import TradingManager

logger = logging.getLogger(__name__)

#: The secrets that name channels: this one, and those that begin with it and an underscore.
CHANNEL: Final = "alert_url"
#: How often secrets and portfolio are read again: a new channel needs no restart, a bad one keeps no other from use.
READ_AGAIN_S: Final = 30.0
#: Between two looks, and while an answer is awaited.
POLL_S: Final = 1.0
_SOON_S: Final = 0.1


class Alerting:
    """Watching, telling, and the loop over both. Nothing of it is in the order path."""

    def __init__(self, manager: TradingManager) -> None:
        self._manager = manager
        self._clock = manager.clock
        self._read_at_s: float | None = None
        self._watch: Watch | None = None

    def channels(self) -> list[AppriseAlerts]:
        """Every channel. Raises ConfigurationError for the first one whose secret is bad."""
        return [_channel(self._manager.secrets, name) for name in channel_names(self._manager.secrets)]

    @property
    def report_failure(self) -> ReportFailure:
        """Takes note of a failed DAG run."""
        return ReportFailure(self._manager.ledger, account=self._manager.config.account)

    def run(self) -> None:
        """Until this process ends. What it does not live to tell, it tells when it is started again."""
        while True:
            self._clock.sleep(self.step())

    def step(self) -> float:
        """Look once and send what is due; how long to sleep, in seconds. Raises nothing: it outlives every trouble."""
        try:
            soon = self._step()
            self._manager.config.alerts_sign.touch()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
            log_event(logger, "watch_failed", level=logging.ERROR, reason=f"{type(error).__name__}: {error}")
            soon = False
        return _SOON_S if soon else POLL_S

    @cached_property
    def _tell(self) -> Tell:
        config = self._manager.config
        return Tell(self._manager.ledger, self._clock, desk=f"{config.mode} {config.account}")

    def _step(self) -> bool:
        self._read_again()
        try:
            alerts = (self._watch or self._watching(None)).run()
            return alerts is not None and self._tell.run(alerts)
        except TradingError as error:
            log_event(logger, "watch_failed", level=logging.WARNING, reason=str(error))
            return self._tell.without_ledger(error)

    def _watching(self, portfolio: Portfolio | None) -> Watch:
        watched: dict[str, tuple[str, ...]] = {}
        for plan in portfolio.strategies if portfolio else ():
            if plan.enabled:
                watched[plan.timeframe] = tuple(dict.fromkeys((*watched.get(plan.timeframe, ()), *plan.instruments)))
        return Watch(
            self._manager.ledger,
            account=self._manager.config.account,
            watched=watched,
            limits=portfolio.limits if portfolio else None,
            require_room=partial(require_room, self._manager.config.log_path.parent),
        )

    def _read_again(self) -> None:
        now_s = self._clock.monotonic()
        if self._read_at_s is not None and now_s - self._read_at_s < READ_AGAIN_S:
            return
        self._read_at_s = now_s
        found: list[AppriseAlerts] = []
        for name in channel_names(self._manager.secrets):
            try:
                found.append(_channel(self._manager.secrets, name))
            except ConfigurationError as error:
                log_event(logger, "channel_unusable", level=logging.ERROR, channel=name, reason=str(error))
        self._tell.use(found)
        try:
            self._watch = self._watching(load_portfolio(self._manager.config.portfolio_path))
        except ConfigurationError as error:  # all but the age of candles is watched without it
            log_event(logger, "portfolio_unusable", level=logging.ERROR, reason=str(error))


def channel_names(secrets: SecretsManager) -> list[str]:
    """The secrets that name channels."""
    return [name for name in secrets.names(CHANNEL) if name == CHANNEL or name.startswith(f"{CHANNEL}_")]


def _channel(secrets: SecretsManager, name: str) -> AppriseAlerts:
    secret = secrets.get_secret(name)
    register_address(secret.reveal())
    return AppriseAlerts(name, secret.reveal)
