"""Sign: an override, with one of this machine's keys. Needs no ledger: whoever signs may sit anywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trading.clock import Clock, random_id
from trading.domain.override import MAX_LIFE, Action, Override, sign_override


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a person is about to sign. `largest_notional`, in quote currency, is of reduce_only alone."""

    halt_id: int
    person: str
    reason: str
    action: Action = Action.RESUME
    scope: str = "all"
    largest_notional: Decimal | None = None
    life: timedelta = MAX_LIFE


class Sign:
    """Make tokens. `key` gives the secret's content, and is asked for it only here."""

    def __init__(self, clock: Clock, *, environment: str, key_id: str, key: Callable[[], str]) -> None:
        self._clock = clock
        self._environment = environment
        self._key_id = key_id
        self._key = key

    def run(self, wish: Wish) -> str:
        """The token. Raises ConfigurationError for what no override may say."""
        # Whole seconds, as in the token; the database's clock may be a little behind ours.
        issued = self._clock.now().replace(microsecond=0)
        override = Override(
            halt_id=wish.halt_id,
            action=wish.action,
            scope=wish.scope,
            environment=self._environment,
            subject=wish.person.strip(),
            key_id=self._key_id,
            token_id=random_id(),
            issued_at=issued,
            expires_at=issued + wish.life,
            reason=wish.reason.strip(),
            largest_notional=wish.largest_notional,
        )
        return sign_override(override, self._key())
