"""Airflow signs tokens, too. None of them is an override, even where somebody gave both the same key."""

from collections.abc import Callable
from typing import Any

SIGN = """
import json
from datetime import UTC, datetime
from airflow.api_fastapi.auth.tokens import JWTGenerator
from trading.domain.override import AUDIENCE, OverrideRefused, verify_override

KEY = "k" * 64
causes = {}
for algorithm in ("HS512", "HS256"):
    for audience in ("apache-airflow", "urn:airflow.apache.org:task", AUDIENCE):
        generator = JWTGenerator(secret_key=KEY, valid_for=600, audience=audience, algorithm=algorithm, kid="a")
        token = generator.generate({"sub": "admin", "halt": 1, "action": "resume", "scope": "all", "env": "replay"})
        try:
            verify_override(token, {"a": KEY}, at=datetime.now(UTC), environment="replay")
        except OverrideRefused as refused:
            causes[f"{algorithm} {audience}"] = refused.cause
        else:
            causes[f"{algorithm} {audience}"] = "taken"
print(json.dumps(causes))
"""


def test_a_token_of_airflow_s_own_is_no_override(airflow: Callable[..., dict[str, Any]]) -> None:
    """Made by its own generator, with our key, our key's name and our audience: its type gives it away."""
    causes = airflow(SIGN)
    assert len(causes) == 6
    assert set(causes.values()) == {"wrong type or algorithm"}
