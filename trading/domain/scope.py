"""What a halt, a limit or an override is about: everything, an account, a strategy or an instrument."""

from dataclasses import dataclass
from typing import Final, Literal, cast

from trading.errors import ConfigurationError

Kind = Literal["all", "account", "strategy", "instrument"]
_NAMED: Final = ("account", "strategy", "instrument")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Written as `all`, `account:NAME`, `strategy:NAME` or `instrument:SYMBOL`; `name` is empty for `all` alone."""

    kind: Kind
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope that `text` writes. Raises ConfigurationError for anything else."""
        if text == "all":
            return cls(kind="all")
        kind, _, name = text.partition(":")
        if kind not in _NAMED or not name or name != name.strip() or not name.isprintable():
            raise ConfigurationError(
                f"scope {text[:100]!r}: expected all, account:NAME, strategy:NAME or instrument:SYMBOL"
            )
        return cls(kind=cast("Kind", kind), name=name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def covers(self, *, account: str, strategy: str, instrument: str) -> bool:
        """Whether an order of this account, strategy and instrument is in it."""
        return {
            "all": True,
            "account": self.name == account,
            "strategy": self.name == strategy,
            "instrument": self.name == instrument,
        }[self.kind]
