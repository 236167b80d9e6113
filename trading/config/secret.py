"""A secret's value in memory: only `reveal()` shows it."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn


class Secret:
    """A value that only `reveal()` shows: printing, formatting, copying and serialising it are refused."""

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The content: hand it straight to what needs it, keep it nowhere."""
        return self._value

    def same_as(self, other: "Secret") -> bool:
        """Whether both hold the same content, in constant time."""
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def __str__(self) -> str:
        raise self._refusal("turned into text")

    def __format__(self, _spec: str) -> str:
        raise self._refusal("formatted")

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise self._refusal("copied or pickled")

    def _refusal(self, what: str) -> TypeError:
        return TypeError(f"the secret {self.name!r} cannot be {what}: call reveal() where it is used")


class RenewedSecret(Secret):
    """One whose content may be another at the next `reveal()`."""

    __slots__ = ("_ask",)

    def __init__(self, name: str, ask: Callable[[], str]) -> None:
        self.name = name
        self._ask = ask

    def reveal(self) -> str:
        """The content of this moment."""
        return self._ask()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one account signs with. The pair may be renewed at any time: ask for the key, then for the secret."""

    venue: str
    api_key: Secret
    api_secret: Secret
