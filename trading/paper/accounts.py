"""Who may trade here: names, keys and first balances, from one JSON file."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from trading.domain.money import amount
from trading.errors import ConfigurationError

#: What an account starts with where no file of accounts says otherwise.
FIRST_BALANCES: Final[Mapping[str, Decimal]] = {"USDT": Decimal(100_000)}

_SHAPE = '[{"name": "default", "api_key": "…", "api_secret": "…", "balances": {"USDT": "100000"}}]'


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One set of credentials, and what the account is given when it is first seen."""

    name: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    balances: Mapping[str, Decimal] = field(default_factory=dict)

    def signed(self, payload: str, signature: str) -> bool:
        """Whether `signature` is the hex HMAC-SHA256 of `payload`; in any case of letters, as on Binance."""
        expected = hmac.new(self.api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode())


def read_accounts(path: Path) -> tuple[Account, ...]:
    """The accounts of a file. Raises ConfigurationError that names the file and the account, never a key."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise ConfigurationError(f"{path}: expected a readable accounts file, got {wrong.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"{path}: expected JSON like {_SHAPE}") from None
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(f"{path}: expected a list with at least one account, like {_SHAPE}")
    accounts = tuple(_account(path, number, entry) for number, entry in enumerate(entries, start=1))
    for what in ("name", "api_key"):
        if len({getattr(account, what) for account in accounts}) < len(accounts):
            raise ConfigurationError(f"{path}: expected each account to have its own {what}, one is used twice")
    return accounts


def _account(path: Path, number: int, entry: Any) -> Account:
    texts = (
        [str(entry.get(name) or "") for name in ("name", "api_key", "api_secret")] if isinstance(entry, dict) else []
    )
    if not texts or not all(texts):
        raise ConfigurationError(
            f"{path}: account {number} needs the texts name, api_key and api_secret, like {_SHAPE}"
        )
    try:
        balances = {str(asset): amount(value) for asset, value in dict(entry.get("balances", {})).items()}
    except (TypeError, ValueError) as wrong:
        raise ConfigurationError(f"{path}: balances of account {number}: {wrong}; write amounts as text") from None
    if any(value < 0 for value in balances.values()):
        raise ConfigurationError(f"{path}: balances of account {number}: expected amounts >= 0")
    name, api_key, api_secret = texts
    return Account(name=name, api_key=api_key, api_secret=api_secret, balances=balances)
