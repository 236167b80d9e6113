"""Accounts are read whole or refused, and their keys show nowhere."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading.errors import ConfigurationError
from trading.paper.accounts import Account, read_accounts

KEY, SECRET = "a-key-that-nobody-may-see", "a-secret-that-nobody-may-see"
GOOD = {"name": "default", "api_key": KEY, "api_secret": SECRET, "balances": {"USDT": "100000.5"}}


def write(folder: Path, content: Any) -> Path:
    path = folder / "accounts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_an_account_is_read_with_exact_balances_and_hides_its_keys(tmp_path: Path) -> None:
    (account,) = read_accounts(write(tmp_path, [GOOD]))
    assert (account.name, account.balances) == ("default", {"USDT": Decimal("100000.5")})
    assert (account.api_key, account.api_secret) == (KEY, SECRET)
    assert KEY not in repr(account)
    assert SECRET not in repr(account)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("not json", "expected JSON like"),
        ([], "at least one account"),
        ({"name": "x"}, "a list"),
        ([{**GOOD, "api_key": ""}], "account 1 needs the texts"),
        (["x"], "account 1 needs the texts"),
        ([GOOD, {**GOOD, "name": "second"}], "its own api_key"),
        ([GOOD, {**GOOD, "api_key": "other"}], "its own name"),
        ([{**GOOD, "balances": {"USDT": 1.5}}], "got float"),
        ([{**GOOD, "balances": {"USDT": "-1"}}], ">= 0"),
    ],
)
def test_a_wrong_file_is_refused_without_showing_a_key(tmp_path: Path, content: Any, complaint: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigurationError, match=complaint) as refusal:
        read_accounts(path)
    assert str(path) in str(refusal.value)
    assert KEY not in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.json"):
        read_accounts(tmp_path / "missing.json")


def test_the_signature_is_binances_documented_one() -> None:
    # the example of Binance's documentation, "HMAC keys", with its published throw-away secret
    account = Account(
        name="doc",
        api_key="x",
        api_secret="NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",  # pragma: allowlist secret
    )
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    assert account.signed(payload, signature)
    assert account.signed(payload, signature.upper())
    assert not account.signed(payload + "1", signature)
    assert not account.signed(payload, signature[:-1] + "2")
    assert not account.signed(payload, "é")
