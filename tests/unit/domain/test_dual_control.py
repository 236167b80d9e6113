"""Two people, two keys, the same thing signed, and both alive at once: anything less completes nothing."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.examples import T0, override
from trading.domain.dual_control import completed_by, grant_of, key_print, signature_of
from trading.domain.override import Action, Override, OverrideRefused
from trading.errors import InvariantViolation

KEYS = {"a": "k" * 32, "b": "l" * 32}
NOW = T0 + timedelta(minutes=1)
FIRST = signature_of(override(), KEYS)


def second(**changes: Any) -> Override:
    return override(**({"token_id": "token-2", "subject": "bob", "key_id": "b"} | changes))


def test_a_second_person_with_the_other_key_completes_the_first() -> None:
    assert completed_by(second(), [FIRST], KEYS, at=NOW) == FIRST
    assert completed_by(second(), [], KEYS, at=NOW) is None


@pytest.mark.parametrize("name", ["ada", "Ada", " ADA ", "\uff41da"])
def test_one_person_does_not_sign_twice_however_the_name_is_spelled(name: str) -> None:
    with pytest.raises(OverrideRefused) as caught:
        completed_by(second(subject=name), [FIRST], KEYS, at=NOW)
    assert "a second person must" in caught.value.cause


@pytest.mark.parametrize(
    ("keys", "key_id"), [(KEYS, "a"), ({"a": KEYS["a"], "b": KEYS["a"]}, "b")], ids=["same id", "same content"]
)
def test_one_key_does_not_sign_twice_under_whatever_name(keys: dict[str, str], key_id: str) -> None:
    with pytest.raises(OverrideRefused) as caught:
        completed_by(second(key_id=key_id), [FIRST], keys, at=NOW)
    assert "another one must" in caught.value.cause


@pytest.mark.parametrize("changes", [{"scope": "strategy:sma"}, {"largest_notional": Decimal(1)}])
def test_both_must_sign_the_same(changes: dict[str, Any]) -> None:
    first = replace(FIRST, action=Action.REDUCE_ONLY, largest_notional=Decimal(5))
    wish = {"action": Action.REDUCE_ONLY, "largest_notional": Decimal(5)}
    assert completed_by(second(**wish), [first], KEYS, at=NOW) == first
    with pytest.raises(OverrideRefused) as caught:
        completed_by(second(**(wish | changes)), [first], KEYS, at=NOW)
    assert "expected the same" in caught.value.cause


def test_a_signature_for_one_action_is_none_for_the_other() -> None:
    wish = second(action=Action.REDUCE_ONLY, largest_notional=Decimal(5))
    assert completed_by(wish, [FIRST], KEYS, at=NOW) is None


def test_a_signature_lapses_with_its_token_and_with_its_key() -> None:
    """Whoever signed it may then sign again."""
    assert completed_by(second(), [FIRST], KEYS, at=FIRST.expires_at) is None
    assert completed_by(second(), [FIRST], KEYS, at=FIRST.expires_at - timedelta(seconds=1)) == FIRST
    assert completed_by(override(token_id="again"), [FIRST], KEYS, at=FIRST.expires_at) is None
    assert completed_by(second(), [FIRST], KEYS | {"a": "new" * 11}, at=NOW) is None
    assert completed_by(second(), [FIRST], {"b": KEYS["b"]}, at=NOW) is None


def test_leave_to_reduce_ends_with_the_first_of_its_tokens() -> None:
    wish = second(action=Action.REDUCE_ONLY, largest_notional=Decimal(5), expires_at=T0 + timedelta(minutes=12))
    assert grant_of(wish, None).expires_at == wish.expires_at
    assert grant_of(wish, FIRST).expires_at == FIRST.expires_at
    with pytest.raises(InvariantViolation):
        grant_of(second(), None)


def test_a_keys_print_tells_keys_apart_and_is_no_part_of_them() -> None:
    assert key_print(KEYS["a"]) != key_print(KEYS["b"])
    assert len(key_print(KEYS["a"])) == 16
