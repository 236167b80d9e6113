"""Requests to a venue, one at a time: bounded in time, repeated only where they read, and never more than it allows."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from trading.adapters.bounded_calls import BoundedCalls
from trading.adapters.ccxt_errors import BANNED, Asked, Reply, VenueUnavailable, read_failure, refusal
from trading.adapters.retries import stamina
from trading.clock import Clock
from trading.domain.market import from_ms, to_ms
from trading.errors import ConfigurationError, InvariantViolation, OrderRejected, TradingError

READ_ATTEMPTS: Final = 3
#: All attempts of one read together, the waits between them included.
READ_BUDGET_S: Final = 10.0
_SHORTEST_ATTEMPT_S: Final = 0.1
_MINUTE_MS: Final = 60_000
#: Beyond this part of the venue's weight, reads wait for the next minute, so that orders always have room.
_READS_SHARE: Final = 0.8


class VenueWire:
    """One ccxt client and the rules of its use; for one thread.

    `connect` makes a client whose session is a `VenueSession`. A credential may be a callable: it is asked at each
    signed request, so that a rotated secret is picked up.
    """

    def __init__(
        self,
        venue: str,
        *,
        connect: Callable[[], Any],
        clock: Clock,
        api_key: str | Callable[[], str],
        api_secret: str | Callable[[], str],
        recv_window_ms: int,
        api_timeout_s: float,
        weight_per_minute: int,
        secrets_named: str,
    ) -> None:
        self._venue = venue
        self._connect = connect
        self._clock = clock
        self._credentials = {"apiKey": api_key, "secret": api_secret}
        self._recv_window_ms = recv_window_ms
        self._api_timeout_s = float(api_timeout_s)
        self._secrets_named = secrets_named
        self._most_weight = weight_per_minute * _READS_SHARE
        self._calls = BoundedCalls("venue-requests")
        self._client: Any = None
        self._pause_until: datetime | None = None
        self._banned_until: datetime | None = None

    def __repr__(self) -> str:
        return f"VenueWire({self._venue!r})"

    def post(self, endpoint: str, parameters: Mapping[str, Any]) -> Reply:
        """One request, never repeated, whatever comes of it. Raises only where nothing was sent."""
        return self._ask(endpoint, parameters, self._api_timeout_s)

    def refusal(self, reply: Reply) -> OrderRejected | None:
        """A definite no to an order; None where the answer is anything else."""
        return refusal(reply, self._asked(self._clock.now()))

    def read(self, endpoint: str, parameters: Mapping[str, Any]) -> Any:
        """The JSON of a 2xx answer, in READ_ATTEMPTS attempts and READ_BUDGET_S seconds; raises `read_failure`."""
        deadline = self._clock.monotonic() + READ_BUDGET_S
        for attempt in stamina().retry_context(
            on=lambda error: self._wait_s(error, deadline),
            attempts=READ_ATTEMPTS,
            timeout=READ_BUDGET_S,
            wait_initial=0.1,
            wait_max=1.0,
            wait_jitter=0.1,
        ):
            with attempt:
                return self._read_once(endpoint, parameters, deadline)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _asked(self, at: datetime) -> Asked:
        return Asked(venue=self._venue, at=at, secrets=self._secrets_named)

    def _read_once(self, endpoint: str, parameters: Mapping[str, Any], deadline: float) -> Any:
        self._respect_weight()
        left_s = max(_SHORTEST_ATTEMPT_S, deadline - self._clock.monotonic())
        now = self._clock.now()
        signature = {"timestamp": to_ms(now), "recvWindow": self._recv_window_ms} if _is_signed(endpoint) else {}
        reply = self._ask(endpoint, {**parameters, **signature}, min(left_s, self._api_timeout_s))
        payload = reply.payload() if reply.succeeded else None
        if not isinstance(payload, dict | list) or reply.error() is not None:
            raise read_failure(reply, self._asked(now))
        return payload

    def _wait_s(self, error: Exception, deadline: float) -> bool | float:
        """Whether to try again, and after how many seconds where the venue named them and they fit."""
        if not isinstance(error, VenueUnavailable) or error.retry_after_s is None:
            return isinstance(error, VenueUnavailable)
        fits = self._clock.monotonic() + error.retry_after_s < deadline
        return error.retry_after_s if fits else False

    def _respect_weight(self) -> None:
        """Wait where most of this minute's weight is used: every process at this address shares it."""
        now = self._clock.now()
        if self._pause_until is not None and now < self._pause_until:
            self._clock.sleep((self._pause_until - now).total_seconds())
        self._pause_until = None

    def _note_weight(self, reply: Reply) -> None:
        if (reply.used_weight or 0) >= self._most_weight:
            self._pause_until = from_ms((to_ms(self._clock.now()) // _MINUTE_MS + 1) * _MINUTE_MS)

    def _while_banned(self) -> Reply | None:
        """The venue's own answer again, while a ban lasts: to ask on would only make it longer."""
        left_s = (self._banned_until - self._clock.now()).total_seconds() if self._banned_until else 0.0
        return Reply(status=BANNED, retry_after_s=left_s) if left_s > 0 else None

    def _note_ban(self, reply: Reply) -> None:
        if reply.status == BANNED and reply.retry_after_s is not None:
            self._banned_until = self._clock.now() + timedelta(seconds=reply.retry_after_s)

    def _ask(self, endpoint: str, parameters: Mapping[str, Any], timeout_s: float) -> Reply:
        banned = self._while_banned()
        if banned is not None:
            return banned
        client = self._connected(endpoint)
        client.timeout = timeout_s * 1000
        client.session.forget()
        errors: list[Exception] = []

        def call() -> None:
            try:
                getattr(client, endpoint)(dict(parameters))
            except Exception as error:  # noqa: BLE001 - the reply is what is judged, by whoever asked
                errors.append(error)

        # `requests` bounds each read of the socket, not their sum: a byte a second would go on for ever.
        if not self._calls.run(call, timeout_s):
            self._client = None  # left to its thread, so that nothing of it can be taken for a later answer
            return Reply(failure=f"no complete answer within {timeout_s:g} s")
        if not client.session.sent:
            raise _not_sent(errors)
        reply: Reply = client.session.reply or Reply(failure=_class_names(errors))
        self._note_weight(reply)
        self._note_ban(reply)
        return reply

    def _connected(self, endpoint: str) -> Any:
        if self._client is None:
            self._client = self._connect()
        if self._client.verbose:
            raise InvariantViolation(
                "ccxt's verbose is on, which prints the API key: expected it off; nothing was sent"
            )
        if _is_signed(endpoint):
            for name, held in self._credentials.items():
                value = held() if callable(held) else held
                if not value:
                    raise ConfigurationError(f"{self._venue}: expected an API key and secret, got no {name}")
                setattr(self._client, name, value)
        return self._client


def _is_signed(endpoint: str) -> bool:
    return endpoint.startswith(("private", "sapi"))


def _not_sent(errors: list[Exception]) -> TradingError:
    if errors and isinstance(errors[0], TradingError):
        return errors[0]
    return ConfigurationError(f"ccxt could not make the request, nothing was sent: {_class_names(errors)}")


def _class_names(errors: list[Exception]) -> str:
    """The class of an error and of each one that caused it: their texts may hold a signed address."""
    names = []
    error: BaseException | None = errors[0] if errors else None
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return " from ".join(names[:4]) or "no answer"
