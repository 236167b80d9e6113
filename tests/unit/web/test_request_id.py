"""Each HTTP answer carries an X-Request-ID, and every line of its request too; nobody can write into a run's trace."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trading.logging.log_context import correlation_id_var, current_fields
from trading.web.server import RequestIDMiddleware


def call(*headers: tuple[bytes, bytes]) -> tuple[list[bytes], str | None, object]:
    """The answer's request ids, and what was bound while it was made."""
    bound: dict[str, Any] = {}
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bound["correlation_id"], bound["request_id"] = correlation_id_var.get(), current_fields().get("request_id")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Request-Id", b"the app's own")]})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(RequestIDMiddleware(app, prefix="ui")({"type": "http", "headers": list(headers)}, receive, send))
    ids = [value for name, value in sent[0]["headers"] if name.lower() == b"x-request-id"]
    return ids, bound["correlation_id"], bound["request_id"]


def test_a_client_s_id_comes_back_and_is_logged_beside_our_own() -> None:
    ids, correlation_id, request_id = call((b"X-Request-ID", b"abc-1"))
    assert ids == [b"abc-1"]
    assert request_id == "abc-1"
    assert correlation_id is not None
    assert correlation_id.startswith("ui__")
    assert "abc-1" not in correlation_id


@pytest.mark.parametrize("given", [b"", b"a b", b"a\nb", b"x" * 65, b"\xff"])
def test_an_unfit_or_missing_id_is_replaced(given: bytes) -> None:
    ids, correlation_id, request_id = call((b"x-request-id", given))
    assert len(ids) == 1
    assert ids[0] != given
    assert correlation_id == f"ui__{request_id}"


def test_two_ids_are_as_good_as_none_and_no_two_requests_share_one() -> None:
    first, second = (call((b"x-request-id", b"a"), (b"x-request-id", b"b"))[0] for _ in range(2))
    assert first != second


def test_nothing_stays_bound_and_other_protocols_pass_through() -> None:
    call()
    assert correlation_id_var.get() is None
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(RequestIDMiddleware(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_importing_it_does_not_import_fastapi() -> None:
    code = "import sys; import trading.web.server; print('fastapi' in sys.modules, 'starlette' in sys.modules)"
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["False", "False"]
