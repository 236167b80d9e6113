"""What a halt or an override is about: everything, an account, a strategy or an instrument. Spelled in one way only."""

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from trading.errors import ConfigurationError

ScopeKind = Literal["all", "account", "strategy", "instrument"]

_FORM: Final = re.compile(r"(account|strategy|instrument):([A-Za-z0-9][A-Za-z0-9_./-]{0,63})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """A part of what trades. `name` is empty for `all`."""

    kind: ScopeKind
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope that `text` spells. Raises ConfigurationError."""
        if text == "all":
            return cls(kind="all")
        found = _FORM.fullmatch(text)
        if found is None:
            raise ConfigurationError(
                f"the scope {text[:80]!r}: expected all, account:NAME, strategy:NAME or instrument:SYMBOL"
            )
        return cls(kind=cast("ScopeKind", found[1]), name=found[2])

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def covers(self, *, account: str, strategy: str, instrument: str) -> bool:
        """Whether an order of this account, strategy and instrument is within it."""
        names = {"all": "", "account": account, "strategy": strategy, "instrument": instrument}
        return names[self.kind] == self.name
