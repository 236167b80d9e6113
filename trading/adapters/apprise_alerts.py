"""A channel to people through Apprise: one URL, which holds tokens and is therefore never shown, logged or raised."""

import logging
import re
import threading
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Final

from trading.domain.alert_messages import Message
from trading.domain.alerts import Severity
from trading.errors import ConfigurationError
from trading.logging.redaction import redact

_TIMEOUT_S: Final = 10
_HTTP_STATUS: Final = re.compile(r"error=([0-9]{3})\b")
_UNREACHABLE: Final = re.compile(r"onnection|ocket|imeout|imed out|resolve")


@cache
def _apprise() -> ModuleType:
    """The library, whose own log lines quote hosts and tokens: they go nowhere but through `_reason`."""
    import apprise  # noqa: PLC0415 - loads 130 services, and only whoever sends needs it

    chatter = logging.getLogger("apprise")
    chatter.propagate = False
    chatter.addHandler(logging.NullHandler())
    return apprise


class AppriseAlerts:
    """Alerts. `name` is the secret's name. Raises ConfigurationError where the URL names no service."""

    def __init__(self, name: str, url: Callable[[], str]) -> None:
        self.name = name
        service = _apprise().Apprise.instantiate(url())
        if service is None:
            raise ConfigurationError(
                f"the secret {name!r} is no address that Apprise knows: expected one like tgram://TOKEN/CHAT,"
                " slack://A/B/C or mailto://USER:PASSWORD@HOST (docs/OPERATIONS.md#alerts); its content is not shown"
            )
        self.service = str(service.service_name)
        self._way: Any = _apprise().Apprise()
        self._way.add(service)

    def __repr__(self) -> str:
        return f"AppriseAlerts({self.name!r})"

    def send(self, message: Message) -> "AppriseAttempt":
        """Begin to send, in a thread that nobody waits for."""
        return AppriseAttempt(self._way, message)


class AppriseAttempt:
    """Attempt. The thread is a daemon: an end of this process is not held up by a channel."""

    def __init__(self, way: Any, message: Message) -> None:
        self._problem: str | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._send, args=(way, message), daemon=True, name="alert").start()

    def problem(self) -> str | None:
        """None while nobody knows; empty where it was delivered; otherwise why not."""
        return self._problem if self._ended.is_set() else None

    def wait(self, seconds: float) -> str | None:
        """The same, after at most so long."""
        self._ended.wait(seconds)
        return self.problem()

    def _send(self, way: Any, message: Message) -> None:
        kinds = _apprise().NotifyType
        said: list[str] = []
        try:
            result = way.notify(
                title=redact(message.title),
                body=redact(message.body),
                notify_type=kinds.FAILURE if message.severity is Severity.CRITICAL else kinds.WARNING,
                body_format=_apprise().NotifyFormat.TEXT,
                timeout=_TIMEOUT_S,
                log_callback=lambda entry, _service: said.append(str(entry.message)),
            )
            self._problem = "" if result else _reason(" ".join(said))
        except Exception as error:  # noqa: BLE001 - any of 130 services; its text may quote the address
            self._problem = f"it failed with {type(error).__name__}"
        finally:
            self._ended.set()


def _reason(said: str) -> str:
    """What the library said, in words of ours: its own may quote the address."""
    status = _HTTP_STATUS.search(said)
    if status:
        return f"it answered HTTP {status[1]}"
    return "it could not be reached" if _UNREACHABLE.search(said) else "it did not take the message"
