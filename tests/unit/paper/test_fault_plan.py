"""The fault plan: what it may say, what is said of a wrong one, and that its chance repeats itself."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import ConfigurationError
from trading.paper.fault_kinds import COUNTED_NAMES, KINDS
from trading.paper.fault_plan import FaultPlan, read_plan
from trading.paper.opening import ENDPOINTS

ORDER = ("POST", "/api/v3/order")


def plan(*entries: dict[str, Any], seed: int = 0) -> FaultPlan:
    return FaultPlan({"seed": seed, "fault": list(entries)}, "plan.toml")


def fired(which: FaultPlan, calls: int, endpoint: tuple[str, str] = ORDER) -> list[list[str]]:
    return [[fault.rule.kind for fault in which.draw(endpoint)] for _ in range(calls)]


def test_a_file_is_read_with_exact_numbers_and_defaults(tmp_path: Path) -> None:
    """A share is exactly what was written; what was left out has its default."""
    path = tmp_path / "plan.toml"
    path.write_text(
        'seed = 7\n[[fault]]\nkind = "overfill"\nshare = 0.3\ncalls = [1]\n[[fault]]\nkind = "query_lag"\n',
        encoding="utf-8",
    )
    read = read_plan(path)
    assert read.seed == 7
    assert [(rule.kind, rule.settings) for rule in read.rules] == [
        ("overfill", {"share": Decimal("0.3")}),
        ("query_lag", {"seconds": Decimal(10)}),
    ]


def test_the_example_of_the_documentation_is_a_plan(tmp_path: Path) -> None:
    """What users copy works."""
    text = (Path(__file__).parents[3] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    path = tmp_path / "plan.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert len(read_plan(path).rules) >= 3
    for kind in KINDS:
        assert f"`{kind}`" in text


def test_calls_are_counted_by_endpoint() -> None:
    """The third and the seventh order, whatever is asked between them."""
    third = plan({"kind": "reset", "endpoint": "POST /api/v3/order", "calls": [3, 7]})
    hit = []
    for number in range(1, 9):
        fired(third, 5, ("GET", "/api/v3/order"))
        hit += [number] if fired(third, 1) == [["reset"]] else []
    assert hit == [3, 7]
    assert (third.rules[0].seen, third.rules[0].hits) == (8, 0)


def test_first_probability_and_always() -> None:
    """`first` ends, 0 and 1 are never and always, and without any of them each call goes wrong."""
    assert fired(plan({"kind": "reset", "first": 2}), 3) == [["reset"], ["reset"], []]
    assert fired(plan({"kind": "reset", "probability": 0}), 100) == [[]] * 100
    assert fired(plan({"kind": "reset", "probability": 1}), 3) == [["reset"]] * 3
    assert fired(plan({"kind": "reset"}), 2) == [["reset"]] * 2


def test_a_star_stands_for_every_path_that_the_fault_can_happen_to() -> None:
    """And an endpoint left out for all of Binance's, not for our own status."""
    cut = plan({"kind": "page_cut", "endpoint": "GET *"}).rules[0]
    assert cut.endpoints == {("GET", "/api/v3/myTrades"), ("GET", "/api/v3/allOrders")}
    reset = plan({"kind": "reset"}).rules[0]
    assert reset.endpoints == set(ENDPOINTS) - {("GET", "/paper/v1/status")}


def test_one_request_has_one_fault_of_the_wire_and_any_number_of_others() -> None:
    """The first rule of the file wins; the ones behind it have counted the call."""
    both = plan({"kind": "clock_offset"}, {"kind": "reset"}, {"kind": "delay", "calls": [1]}, {"kind": "overfill"})
    assert fired(both, 1) == [["clock_offset", "reset", "overfill"]]
    assert [rule.seen for rule in both.rules] == [1, 1, 1, 1]


@given(seed=st.integers(-(2**63), 2**63 - 1), calls=st.integers(1, 60))
def test_the_same_seed_and_calls_give_the_same_faults(seed: int, calls: int) -> None:
    """And a rule more changes nothing about the others."""
    chance = {"kind": "reset", "probability": Decimal("0.5")}
    once = fired(plan(chance, seed=seed), calls)
    assert fired(plan(chance, seed=seed), calls) == once
    beside = plan(chance, {"kind": "overfill", "probability": Decimal("0.5")}, seed=seed)
    assert [[kind for kind in kinds if kind == "reset"] for kinds in fired(beside, calls)] == once


def test_another_seed_gives_other_faults() -> None:
    """Two seeds agree on 64 coin tosses by accident about never."""
    chance = {"kind": "reset", "probability": Decimal("0.5")}
    assert fired(plan(chance, seed=1), 64) != fired(plan(chance, seed=2), 64)


def test_a_rule_added_later_is_the_rule_of_the_file() -> None:
    """It has the chance that it would have had at that place of the plan."""
    chances = [{"kind": "reset", "probability": Decimal("0.5")}, {"kind": "overfill", "probability": Decimal("0.5")}]
    later = plan(chances[0], seed=5)
    later.add(chances[1], "test")
    assert fired(later, 64) == fired(plan(*chances, seed=5), 64)


WRONG = {
    'seed = "x"': "seed = 'x'; expected a whole number",
    "speed = 1": "unknown key 'speed'; expected seed and fault",
    "fault = 3": "fault = 3; expected a list",
    "[[fault]]\nfirst = 1": "fault 1: kind = None; expected one of delay, late, lost_answer",
    '[[fault]]\nkind = "rest"': "fault 1: kind = 'rest'; expected one of delay",
    '[[fault]]\nkind = "reset"\n[[fault]]\nkind = "delay"\nsecs = 3': (
        "fault 2 (delay): unknown key 'secs'; expected some of kind, endpoint, calls, first, probability, seconds"
    ),
    '[[fault]]\nkind = "delay"\nseconds = 61': "fault 1 (delay): seconds = 61; expected a number from 0 to 60",
    '[[fault]]\nkind = "delay"\nseconds = nan': "seconds = NaN; expected a number",
    '[[fault]]\nkind = "delay"\nseconds = true': "seconds = True; expected a number",
    '[[fault]]\nkind = "html_5xx"\nstatus = 404': "status = 404; expected 500, 502, 503 or 504",
    '[[fault]]\nkind = "reset"\nexecuted = 1': "executed = 1; expected true or false",
    '[[fault]]\nkind = "reset"\ncalls = []': "calls = []; expected a list of call numbers from 1",
    '[[fault]]\nkind = "reset"\ncalls = [0]': "calls = [0]; expected a list of call numbers from 1",
    '[[fault]]\nkind = "reset"\nfirst = 0': "first = 0; expected a whole number from 1",
    '[[fault]]\nkind = "reset"\nprobability = 1.1': "probability = 1.1; expected a number from 0 to 1",
    '[[fault]]\nkind = "reset"\nfirst = 1\ncalls = [1]': "calls and first are set; expected at most one of calls",
    '[[fault]]\nkind = "reset"\nendpoint = "POST /order"': "endpoint = 'POST /order'; expected one of DELETE *, GET *",
    '[[fault]]\nkind = "overfill"\nendpoint = "GET *"': "expected one of POST *, POST /api/v3/order",
    "[[fault]]\nkind = 'page_cut'\nrows = -1": "rows = -1; expected a whole number from 0 to 1000",
    "[[fault": "expected a fault plan in TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_plan_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    """It names the file, the rule, the key, the value, and what is allowed."""
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(str(path))
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plan_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    """Instead of a stack trace."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: expected a readable fault plan, got No such file"):
        read_plan(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"binary\.toml: expected a fault plan in TOML"):
        read_plan(tmp_path / "binary.toml")


def test_every_count_is_there_from_the_start() -> None:
    """A fault that was never hit shows as a zero, executed and not apart."""
    counts = plan().report()["counts"]
    assert counts == dict.fromkeys(COUNTED_NAMES, 0)
    assert {"error_1007_executed", "error_1007_not_executed", "lost_answer"} <= counts.keys()
