"""What is imported before the scheduler forks."""

import json

from trading.local.airflow_component import preload


def test_a_module_that_cannot_be_imported_is_named_and_stops_nothing() -> None:
    missing = preload(("json", "no_such_module", "json:no_such_function"))
    assert [line.split(" ")[0] for line in missing] == ["no_such_module", "json:no_such_function"]


def test_a_function_after_the_colon_is_called(monkeypatch) -> None:
    called = []
    monkeypatch.setattr(json, "warm_up", lambda: called.append(True), raising=False)
    assert preload(("json:warm_up",)) == []
    assert called == [True]
