"""Two secrets that belong together, followed while they are renewed."""

from collections.abc import Callable
from typing import Final

from trading.clock import Clock
from trading.config.secret import Secret
from trading.config.secret_files import Identity
from trading.errors import ConfigurationError

#: How long one half of a renewed pair of keys waits for the other: a renewed pair is in use within this.
RENEWED_WITHIN_S: Final = 30.0


class RenewedKeys:
    """A venue's key and secret, of one account at any moment.

    What another key's secret signed is refused by the venue, which halts. So the old pair stays in use until
    both files have changed, or one has for RENEWED_WITHIN_S; what is bad is waited for as long.
    """

    def __init__(
        self,
        names: tuple[str, str],
        *,
        read: Callable[[str], Secret],
        look: Callable[[str], tuple[Identity | None, ...]],
        clock: Clock,
    ) -> None:
        self._names = names
        self._read = read
        self._look = look
        self._clock = clock
        self._waits_since_s: float | None = None
        self._seen = [look(name) for name in names]
        self._values = [read(name) for name in names]

    def key(self) -> str:
        """The key of now. Raises ConfigurationError where it has been gone or bad for too long."""
        self._renew()
        return self._values[0].reveal()

    def secret(self) -> str:
        """The secret of the key that was asked for last."""
        return self._values[1].reveal()

    def _renew(self) -> None:
        seen = [self._look(name) for name in self._names]
        if seen == self._seen:
            self._waits_since_s = None
            return
        now_s = self._clock.monotonic()
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        may_wait = now_s - self._waits_since_s < RENEWED_WITHIN_S
        if may_wait and any(new == old for new, old in zip(seen, self._seen, strict=True)):
            return
        try:
            values = [self._read(name) for name in self._names]
        except ConfigurationError:
            if may_wait:
                return
            raise
        self._seen, self._values, self._waits_since_s = seen, values, None
